"""Checkmate's figure 6: the largest batch in 16 GB with at most one extra forward, for each strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hcb_opt.experiments.checkmate_strategies import NETWORK_NOTE, STRATEGIES, titled
from hcb_opt.experiments.executors import given_or_local
from hcb_opt.experiments.largest_batch import BatchRow, largest_batch
from hcb_opt.experiments.row_files import facts_block, markdown_table, save_rows, save_text
from hcb_opt.experiments.sweep import Job, Sweep
from hcb_opt.figure_style import FIGURE_STYLE, save_figure
from hcb_opt.layer_graphs import LAYER_NETWORKS, layer_graph
from hcb_opt.plot import LEAD_METHOD, OTHER_LOOKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "checkmate-maxbatch"
SUMMARY = "Checkmate's figure 6: the largest batch in 16 GB with at most one extra forward, for each strategy"

MEMORY_BYTES = 16 * 10**9
NETWORKS = ("unet", "fcn8", "segnet", "vgg19", "resnet50", "mobilenet")
QUICK_NETWORKS = ("vgg19", "unet")
METHODS: Mapping[str, str] = {"store_all": "checkpoint all", **STRATEGIES, LEAD_METHOD: "optimum"}

#: Jain et al., MLSys 2020, figure 6 and section 6: what is printed there as a number.
FIGURE_6: Mapping[str, Mapping[str, int]] = {
    "unet": {LEAD_METHOD: 61},
    "mobilenet": {LEAD_METHOD: 1105},
    "vgg19": {"store_all": 167, "ap_sqrt": 197, "ap_greedy": 266, LEAD_METHOD: 289},
}
_PAPER: dict[str, Any] = {
    "color": "#D00000", "marker": "_", "markersize": 8, "markeredgewidth": 1.2, "linestyle": "",
}  # fmt: skip
_CAPTION = (
    "Largest batch for which a schedule, beside the weights and their gradients, fits 16 GB (16 * 10^9 bytes) and "
    "costs at most what storing everything costs, and one forward more. Sizes and costs are proportional to the "
    "batch. Above the last column no batch is possible in the fixed order, which is proven. "
    f"{NETWORK_NOTE} Its U-Net is another one. Paper: Jain et al., MLSys 2020, figure 6."
)


def run_default(
    directory: Path,
    quick: bool = False,
    *,
    time_limit: float | None = None,
    workers: int = 2,
    executor: Executor | None = None,
) -> None:
    """Run the experiment and print its table.

    Parameters
    ----------
    directory : Path
        Gets ``checkmate-maxbatch.md``, ``.csv``, ``.json``, ``.png`` and ``.pdf``.
    quick : bool
        VGG19 and U-Net, 2 s per solve unless told otherwise.
    time_limit : float, optional
        Seconds per solve, of which a bisection takes some; 60 if not given.
    workers : int
        As in `solve_schedule`.
    executor : Executor, optional
        Where searches run; processes of this machine if not given.
    """
    if time_limit is None:
        time_limit = 2.0 if quick else 60.0
    run(directory, QUICK_NETWORKS if quick else NETWORKS, time_limit=time_limit, workers=workers, executor=executor)
    print((directory / f"{NAME}.md").read_text(encoding="utf-8"))


def run(
    directory: Path, networks: Sequence[str], *, time_limit: float, workers: int, executor: Executor | None = None
) -> list[BatchRow]:
    """Search for every network and strategy, and write rows, table and figure.

    Interrupted, it goes on from there when it is run again.
    """
    settings = {"networks": list(networks), "time_limit": time_limit, "workers": workers}
    sweep = Sweep(directory, NAME, settings)
    jobs = [
        Job((title, method), partial(largest_batch, title, graph, method, _free_bytes(name), time_limit, workers))
        for title, name in titled(networks).items()
        for graph in (layer_graph(name, batch=1),)
        for method in METHODS
    ]
    with given_or_local(executor, workers) as opened:
        rows = [BatchRow.from_record(record) for record in sweep.run(jobs, opened)]
    write_report(rows, directory, {**sweep.facts, "complete": True})
    sweep.journal.remove()
    return rows


def write_report(rows: Sequence[BatchRow], directory: Path, facts: Mapping[str, Any]) -> None:
    """Write table, rows and figure."""
    save_rows(rows, directory, NAME, facts)
    text = (
        f"# Largest batch in 16 GB\n\n{_CAPTION}\n\n{table(rows)}\n\n## Machine and settings\n\n{facts_block(facts)}\n"
    )
    save_text(text, directory / f"{NAME}.md")
    save_figure(batch_figure(rows), [directory / f"{NAME}.png", directory / f"{NAME}.pdf"])


def table(rows: Sequence[BatchRow]) -> str:
    """Networks against strategies; the paper's numbers below ours."""
    lines = []
    for title, (name, own) in _networks(rows).items():
        limit = own[LEAD_METHOD].impossible_batch
        proven = "-" if limit is None else str(limit - 1)
        lines.append([title, *(_batch(own[method]) for method in METHODS), proven])
        paper = FIGURE_6.get(name, {})
        lines.append(["paper", *(str(paper.get(method, "-")) for method in METHODS), ""])
    return markdown_table(["network", *METHODS.values(), "none above (proven)"], lines)


def batch_figure(rows: Sequence[BatchRow]) -> Figure:
    """Batches as bars on a logarithmic scale, the paper's as marks."""
    import matplotlib
    from matplotlib.figure import Figure

    networks = _networks(rows)
    width = 0.85 / len(METHODS)
    with matplotlib.rc_context(FIGURE_STYLE):
        figure = Figure(figsize=(0.9 + 1.5 * len(networks), 3.2), layout="constrained")
        axes = figure.subplots()
        for number, (method, label) in enumerate(METHODS.items()):
            colour = "black" if method == LEAD_METHOD else OTHER_LOOKS[number][0]
            shift = width * (number - (len(METHODS) - 1) / 2)
            heights = [own[method].batch or 0 for _, own in networks.values()]
            axes.bar([place + shift for place in range(len(networks))], heights, width, color=colour, label=label)
            for place, (name, _) in enumerate(networks.values()):
                if method in FIGURE_6.get(name, {}):
                    axes.plot(place + shift, FIGURE_6[name][method], **_PAPER)
        axes.plot([], [], **_PAPER, label="paper")
        axes.set_xticks(range(len(networks)), list(networks))
        axes.set_yscale("log")
        axes.set_ylabel("largest batch")
        below: Any = "outside lower center"
        figure.legend(loc=below, ncols=4)
    return figure


def _free_bytes(name: str) -> int:
    """What weights and their gradients leave of the memory."""
    return MEMORY_BYTES - 2 * LAYER_NETWORKS[name].weight_bytes


def _networks(rows: Sequence[BatchRow]) -> dict[str, tuple[str, dict[str, BatchRow]]]:
    """Networks by title, with their name and their rows by method."""
    return {
        title: (name, {row.method: row for row in rows if row.network == title})
        for title, name in titled(NETWORKS).items()
        if any(row.network == title for row in rows)
    }


def _batch(row: BatchRow) -> str:
    return "too large" if row.reason else "-" if row.batch is None else str(row.batch)
