"""Progress of a solve on stderr: one live line on a terminal, else a line per improvement."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TextIO

from hcb_opt.result import Event, relative_gap

_REFRESH_SECONDS = 0.5


class LiveLine:
    """Shows incumbent, bound, gap and seconds while a solve runs.

    Use as a context manager; on a terminal the line is redrawn twice a second
    and wiped at the end.

    Parameters
    ----------
    stream : TextIO
        Where to write.
    base_cost : int
        Cost of computing every op once; overheads are shown relative to it.
    """

    def __init__(self, stream: TextIO, base_cost: int) -> None:
        self._stream = stream
        self._base_cost = base_cost
        self._live = stream.isatty()
        self._last = Event(0.0, None, None)
        self._start = time.perf_counter()
        self._stop = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="live-line", daemon=True)

    def show(self, event: Event) -> None:
        """Take note of an improvement."""
        self._last = event
        if self._live:
            self._redraw()
        else:
            print(self._text(event.seconds), file=self._stream, flush=True)

    def __enter__(self) -> LiveLine:
        if self._live:
            self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._live:
            self._clock.join()
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _tick(self) -> None:
        while not self._stop.wait(_REFRESH_SECONDS):
            self._redraw()

    def _redraw(self) -> None:
        self._stream.write(f"\r{self._text(time.perf_counter() - self._start)}\x1b[K")
        self._stream.flush()

    def _text(self, seconds: float) -> str:
        cost, bound = self._last.cost, self._last.bound
        parts = [f"{seconds:7.1f} s", f"overhead {self._overhead(cost)}", f"bound {self._overhead(bound)}"]
        if cost is not None and bound is not None:
            parts.append(f"gap {100 * relative_gap(cost, bound):.3f} %")
        return "  ".join(parts)

    def _overhead(self, cost: int | None) -> str:
        return "none yet" if cost is None else f"{100 * relative_gap(cost, self._base_cost):.3f} %"
