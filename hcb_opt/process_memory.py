"""Memory of the present process: what it takes, its peak, and a limit on it.

All of it is Linux's: elsewhere the figures are None, and there is no limit.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ACCOUNT = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"


def peak_memory_bytes() -> int | None:
    """Most memory that this process has held at once since `forget_peak_memory`, in bytes.

    ``ru_maxrss`` would not do: a process that another one started inherits that
    one's.
    """
    return _accounted("VmHWM")


def allocated_memory_bytes() -> int | None:
    """What the limit of `limited_memory` counts, in bytes: private writable memory, touched or not."""
    return _accounted("VmData")


def forget_peak_memory() -> None:
    """Begin a new peak at what the process holds now, if the kernel allows it."""
    with contextlib.suppress(OSError):
        _FORGET.write_text(_FORGET_PEAK)


@contextmanager
def limited_memory(limit_bytes: int | None) -> Iterator[None]:
    """Let no allocation inside the block take this process above a limit.

    One that would raises `MemoryError`, or ends a process that cannot handle
    it. The limit is ``RLIMIT_DATA``, which counts what could be written to;
    ``RLIMIT_AS`` would also count mapped libraries and what allocators reserve
    for threads without using it.

    Parameters
    ----------
    limit_bytes : int or None
        None sets no limit.
    """
    if limit_bytes is None:
        yield
        return
    import resource

    present, hard = resource.getrlimit(resource.RLIMIT_DATA)
    allowed = min(each for each in (limit_bytes, sys.maxsize, present, hard) if each != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (present, hard))


def _accounted(field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in _ACCOUNT.read_text().splitlines():
            name, _, amount = line.partition(":")
            if name == field:
                return int(amount.split()[0]) * 1024
    return None
