"""Periodic Disk-Revolve: a state to disk every so many steps.

Aupy and Herrmann (2017), "Periodicity in optimal hierarchical checkpointing
schemes for adjoint computations", Optimization Methods and Software 32(3). With a
disk without limit, the distances between the states that Disk-Revolve writes tend
to one period, which depends on the costs and the slots of memory, but not on the
length of the chain. A schedule of k such periods, and memory alone for the steps
after them, costs ::

    P(n, p, k) = k (w_d + p u_f + r_d + D(p)) + R(n - k p)

with R and D as in `hcb_opt.hierarchy.disk_revolve`. The period p that is cheapest
by the step, (w_d + r_d + p u_f + D(p)) / p, is asymptotically optimal: what it
costs beyond Disk-Revolve does not grow with n. It can be chosen before the length
is known.
"""

from __future__ import annotations

import numpy as np

from hcb_opt.errors import InvalidInput
from hcb_opt.hierarchy.actions import Action
from hcb_opt.hierarchy.disk_revolve import DISK, DiskRevolve


def best_period(tables: DiskRevolve) -> int:
    """The period p that costs least by the step; of equals the longest.

    Parameters
    ----------
    tables : DiskRevolve
        Of chains longer than the period; if the answer is nearly their length,
        longer ones may be cheaper yet.
    """
    rates = _period_costs(tables)[1:] / np.arange(1, tables.most_steps + 1)
    return tables.most_steps - int(rates[::-1].argmin())


def periodic_cost(tables: DiskRevolve, steps: int, period: int | None = None) -> int:
    """The least cost of any number of whole periods, and memory alone after them.

    Parameters
    ----------
    tables : DiskRevolve
    steps : int
        n.
    period : int, optional
        p; `best_period` if not given.
    """
    counts, costs = _choices(tables, steps, _checked(tables, period))
    return int(costs[counts[costs.argmin()]])


def periodic_actions(tables: DiskRevolve, steps: int, period: int | None = None) -> list[Action]:
    """The reversal of that cost, to be played by `hcb_opt.hierarchy.play`; parameters as there."""
    period = _checked(tables, period)
    counts, costs = _choices(tables, steps, period)
    return tables.actions_from([period] * int(counts[costs.argmin()]), steps)


def _choices(tables: DiskRevolve, steps: int, period: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.arange((steps - 1) // period + 1)
    return counts, counts * _period_costs(tables)[period] + tables.memory_costs[steps - counts * period]


def _period_costs(tables: DiskRevolve) -> np.ndarray:
    disk, forward_cost = tables.platform.levels[DISK], tables.platform.forward_cost
    runs = np.arange(tables.most_steps + 1) * forward_cost
    return disk.write_cost + disk.read_cost + runs + tables.again_costs


def _checked(tables: DiskRevolve, period: int | None) -> int:
    if period is None:
        return best_period(tables)
    if not 1 <= period <= tables.most_steps:
        raise InvalidInput(f"period {period!r}", f"the tables have 1 to {tables.most_steps} steps", "give one of these")
    return period
