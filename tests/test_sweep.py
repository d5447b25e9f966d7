"""Sweeps: every task answered once, whatever is killed on the way, on local processes, a Dask cluster and submitit."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

from hcb_opt.errors import InvalidInput
from hcb_opt.experiments.executors import LocalProcesses, open_executor
from hcb_opt.experiments.sweep import ATTEMPTS, Job, Sweep
from hcb_opt.experiments.task import Task
from hcb_opt.generators import chain
from hcb_opt.solve import solve_schedule


def square(number: int, seconds: float = 0.0) -> dict[str, Any]:
    time.sleep(seconds)
    return {"square": number * number, "process": os.getpid()}


def killed_once(number: int, mark: Path) -> dict[str, Any]:
    """The first process that asks for it is killed."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(number)


def killed_always() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def never() -> dict[str, Any]:
    raise AssertionError("asked again")


def refused_below(number: int, limit_file: Path) -> dict[str, Any]:
    if number < int(limit_file.read_text()):
        raise InvalidInput("number", "too small", "give a larger one")
    return square(number)


def squares(count: int, seconds: float = 0.0) -> list[Job]:
    return [Job((number,), partial(square, number, seconds)) for number in range(count)]


def sweep(folder: Path) -> tuple[Sweep, io.StringIO]:
    bar = io.StringIO()
    return Sweep(folder, "squares", {"of": "whole numbers"}, bar), bar


def values(records: list[dict[str, Any]]) -> list[int]:
    return [record["square"] for record in records]


def written_rows(folder: Path) -> list[str]:
    return (folder / "squares.partial.jsonl").read_text().splitlines()[1:]


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor, LocalProcesses])
def test_any_executor_gives_all_rows_in_order(kind: type[Executor], tmp_path: Path) -> None:
    some, bar = sweep(tmp_path)
    with kind(1) as executor:  # type: ignore[call-arg]
        assert values(some.run(squares(7), executor)) == [0, 1, 4, 9, 16, 25, 36]
    assert "7 solved, 0 cached, 0 failed, 0 remaining" in bar.getvalue()
    assert len(written_rows(tmp_path)) == 7
    assert len(some.facts["found on"]) == 1 and some.facts["found on"][0].endswith("CPUs: 7 rows")


def test_rows_that_are_there_are_not_found_again(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as executor:
        sweep(tmp_path)[0].run(squares(3), executor)
        again, bar = sweep(tmp_path)
        jobs = [*[Job(job.key, never) for job in squares(3)], *squares(5)[3:]]
        assert values(again.run(jobs, executor)) == [0, 1, 4, 9, 16]
    assert "2 solved, 3 cached, 0 failed, 0 remaining" in bar.getvalue()
    assert len(written_rows(tmp_path)) == 5


def test_the_task_of_a_killed_process_is_retried_and_fails_alone(tmp_path: Path) -> None:
    """One that dies once is answered; one that always dies fails, and no other with it."""
    some, bar = sweep(tmp_path)
    jobs = squares(6)
    jobs[2] = Job((2,), partial(killed_once, 2, tmp_path / "killed"))
    jobs[4] = Job((4,), killed_always)
    with (
        LocalProcesses(2) as executor,
        pytest.raises(InvalidInput, match=rf"1 of 6 tasks failed {ATTEMPTS} times; the first, 4, by .*exit code -9"),
    ):
        some.run(jobs, executor)
    assert (tmp_path / "killed").exists()
    assert "5 solved, 0 cached, 1 failed, 0 remaining" in bar.getvalue()
    assert sorted(int(row[2]) for row in written_rows(tmp_path)) == [0, 1, 2, 3, 5]


def test_what_failed_is_tried_by_the_next_run(tmp_path: Path) -> None:
    limit = tmp_path / "limit"
    limit.write_text("2")
    jobs = [Job((number,), partial(refused_below, number, limit)) for number in range(4)]
    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(InvalidInput, match=r"2 of 4 tasks failed.*too small"):
            sweep(tmp_path)[0].run(jobs, executor)
        limit.write_text("0")
        again, bar = sweep(tmp_path)
        assert values(again.run(jobs, executor)) == [0, 1, 4, 9]
    assert "2 solved, 2 cached" in bar.getvalue()


def test_tasks_are_solved_as_anywhere(tmp_path: Path) -> None:
    graphs = {"nine": chain(9), "five": chain(5)}
    tasks = [Task("part", name, graph, 0.8, "frontier_cuts") for name, graph in graphs.items()]
    some, _ = sweep(tmp_path)
    with ThreadPoolExecutor(2) as executor:
        rows = some.solve(tasks, executor, time_limit=60.0, workers=1)
    for row, task in zip(rows, tasks, strict=True):
        assert row.instance == task.instance and row.proven
        assert row.cost == solve_schedule(task.graph, task.budget, "frontier_cuts").cost


def test_closing_ends_processes_that_are_busy(tmp_path: Path) -> None:
    started = time.perf_counter()
    with open_executor(processes=1) as executor:
        first = executor.submit(square, 1)
        process = first.result()["process"]
        executor.submit(square, 2, 60.0)
    assert time.perf_counter() - started < 20
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_unusable_choices() -> None:
    with pytest.raises(InvalidInput, match="give at least 1"), open_executor(processes=0):
        pass
    with pytest.raises(InvalidInput, match="more than one"), open_executor("tcp://host:1", processes=1):
        pass


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, each a process of its own that nothing restarts."""
    address = f"tcp://127.0.0.1:{free_port()}"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": paths, "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    host = ["--host", "127.0.0.1", "--no-dashboard"]

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *arguments]
        return subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)

    processes = [start("distributed.cli.dask_scheduler", "--port", address.rpartition(":")[2], *host)]
    try:
        for _ in range(2):
            options = ["--no-nanny", "--nthreads", "1", "--local-directory", str(folder), *host]
            processes.append(start("distributed.cli.dask_worker", address, *options))
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def test_a_dask_worker_killed_mid_sweep_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    count, seconds = 30, 0.1
    with dask_cluster(tmp_path) as (address, workers), open_executor(cluster=address) as executor:
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=30)

        def kill_one() -> None:
            while len(written_rows(tmp_path)) < 6:
                time.sleep(0.02)
            workers[0].kill()

        some, bar = sweep(tmp_path)
        killer = threading.Thread(target=kill_one, daemon=True)
        killer.start()
        records = some.run(squares(count, seconds), executor)
        killer.join(timeout=10)
        assert workers[0].poll() == -signal.SIGKILL and workers[1].poll() is None
    assert values(records) == [number * number for number in range(count)]
    assert len(written_rows(tmp_path)) == len(set(written_rows(tmp_path))) == count
    assert f"{count} solved, 0 cached, 0 failed, 0 remaining" in bar.getvalue()
    shares = [sum(record["process"] == worker.pid for record in records) for worker in workers]
    assert sum(shares) == count and 0 < shares[0] < shares[1]


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    monkeypatch.setattr("hcb_opt.experiments.executors._CONNECT_SECONDS", 1)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(InvalidInput, match="no Dask scheduler answers"), open_executor(cluster=address):
        pass


def test_submitit_runs_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine, as submitit does where there is no Slurm."""
    pytest.importorskip("submitit", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    some, bar = sweep(tmp_path)
    with open_executor(slurm=tmp_path / "jobs") as executor:
        assert values(some.run(squares(1), executor)) == [0]
    assert "1 solved" in bar.getvalue()
