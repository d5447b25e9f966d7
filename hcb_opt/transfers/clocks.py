"""When computes and copies run: three clocks, and what the computes wait for.

Three things go on at once: computes, one after the other; copies to the host, one
after the other; copies from the host likewise. Actions are issued in the schedule's
order by the stream of computes, which waits only where something is not there yet or
not free yet:

- a copy begins when it is issued and the copies before it in its direction have
  ended;
- a compute waits for the prefetches of what it reads;
- what releases a value's bytes, its drop or a compute that replaces it, waits for
  the copies from and to them. So a prefetch, whose value has been released, never
  comes before the end of its offload.

Values are compressed and decompressed between the computes.

For example, with computes of 3 units and copies of 5 either way, x is written by the
first compute and read by the last::

    computes   write x   compute        drop x             compute        read x
               0 .. 3    3 .. 6         8, after waiting   8 .. 11        13 .. 16
    to host              offload x, 3 .. 8
    from host                                     prefetch x, 8 .. 13
"""

from __future__ import annotations

from collections.abc import Iterable

from hcb_opt.errors import InvalidInput
from hcb_opt.transfers.link import Link


class Clocks:
    """The clocks of one replay, in the link's cost units.

    Parameters
    ----------
    link : Link

    Attributes
    ----------
    now : int
        When the computes issued so far have ended.
    waits : list of int
        How long the computes waited at each action, see `wait`.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.now = 0
        self.waits: list[int] = []
        self._offloads_end = self._prefetches_end = 0
        # When the last copy from or to the resident instance of a value ends, and when a prefetched one is there.
        self._busy_until: dict[int, int] = {}
        self._arrives: dict[int, int] = {}

    def wait(self, *, present: Iterable[int] = (), free: Iterable[int] = ()) -> None:
        """Let the computes wait for an action's copies; to be called once for each action, if only for none.

        Parameters
        ----------
        present : iterable of int
            Values whose prefetches must have ended.
        free : iterable of int
            Values of which all copies, from and to them, must have ended.
        """
        times = [self._arrives[value] for value in present if value in self._arrives]
        times += [self._busy_until[value] for value in free if value in self._busy_until]
        self.waits.append(max(0, max(times, default=0) - self.now))
        self.now += self.waits[-1]

    def compute(self, cost: int) -> None:
        """Run an op for so many cost units."""
        self.now += cost

    def offload(self, value: int, size_bytes: int) -> None:
        """Issue a copy of a value to the host."""
        self._offloads_end = max(self.now, self._offloads_end) + self._link.offload_cost(size_bytes)
        self._busy_until[value] = self._offloads_end

    def prefetch(self, value: int, size_bytes: int) -> None:
        """Issue a copy of a value from the host."""
        self._prefetches_end = max(self.now, self._prefetches_end) + self._link.prefetch_cost(size_bytes)
        self._arrives[value] = self._busy_until[value] = self._prefetches_end

    def compress(self, size_bytes: int, compressed_bytes: int) -> None:
        """Compress a value of so many bytes to so many, or decompress it.

        Raises
        ------
        InvalidInput
            If the link does not say what that costs.
        """
        if not self._link.device_bytes_per_second:
            raise InvalidInput("link.device_bytes_per_second", "not given", "say at what rate values are compressed")
        self.now += self._link.compress_cost(size_bytes, compressed_bytes)

    def release(self, value: int) -> None:
        """Forget the copies of a device instance that has ended."""
        self._arrives.pop(value, None)
        self._busy_until.pop(value, None)
