"""Trial schedulers: who goes on, who waits, who stops. Pure rules over values by epoch; no Ray, no storage.

A rule has two methods. `decide(number, epoch)` after every report: "go" on, "wait" at a rung for promotion, or "stop".
`promotable(waiting)` when a worker is free: the trial to promote, or None. Both read the same `Curves`.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from visiontune.spec.study_spec import Budget, Objective

GO, WAIT, STOP = "go", "wait", "stop"
MIN_PEERS = 4
"""The least number of other trials over which a median is taken."""


@dataclass
class Curves:
    """The objective of every trial by epoch: {number: {epoch: value}}, finite values only."""

    objective: Objective
    values: dict[int, dict[int, float]] = field(default_factory=dict)
    _ranked: dict[int, list[tuple[float, int]]] = field(default_factory=dict)

    def record(self, number: int, epoch: int, value: float) -> None:
        """Add one point; a point that is there already stays."""
        curve = self.values.setdefault(number, {})
        if epoch in curve:
            return
        curve[epoch] = value
        cost = -value if self.objective.mode == "max" else value
        bisect.insort(self._ranked.setdefault(epoch, []), (cost, number))

    def best(self, epoch: int, eta: int, at_least: int = 0) -> list[int]:
        """The best floor(n / eta) of the n trials with a value at `epoch`, or `at_least` so many; best first, of equals the older."""
        ranked = self._ranked.get(epoch, [])
        return [number for _, number in ranked[: max(at_least, len(ranked) // eta)]]

    def first(self, epoch: int) -> int | None:
        """The best at `epoch`; None where no trial got there."""
        ranked = self._ranked.get(epoch)
        return ranked[0][1] if ranked else None

    def rank(self, number: int, epoch: int) -> tuple[int, int]:
        """(rank from 1, number of trials) at `epoch`."""
        ranked, value = self._ranked[epoch], self.values[number][epoch]
        cost = -value if self.objective.mode == "max" else value
        return bisect.bisect_left(ranked, (cost, number)) + 1, len(ranked)

    def place(self, number: int, epoch: int) -> str:
        """The rank as a sentence."""
        place, num_reached = self.rank(number, epoch)
        return f"at epoch {epoch} number {place} of the {num_reached} trials that got there"


class TrialScheduler(Protocol):
    """What every rule answers."""

    def decide(self, number: int, epoch: int) -> str:
        """GO, WAIT or STOP for a trial that just reported `epoch`."""

    def promotable(self, waiting: Collection[int]) -> int | None:
        """The waiting trial that a free worker should take on, if any."""


@dataclass(frozen=True)
class Promotion:
    """ASHA as in Li et al. 2020, algorithm 2: of the n trials at a rung the best floor(n / eta) may go on."""

    curves: Curves
    rungs: tuple[int, ...]
    eta: int

    def decide(self, number: int, epoch: int) -> str:
        """Wait at each rung below the last."""
        return WAIT if epoch in self.rungs[:-1] else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """The best waiting trial among those that may go on, of the highest rung that has one."""
        for rung in reversed(self.rungs[:-1]):
            for number in self.curves.best(rung, self.eta):
                if number in waiting and max(self.curves.values[number]) == rung:
                    return number
        return None


@dataclass(frozen=True)
class Stopping:
    """ASHA that stops for good: a trial goes on if it is among the best floor(n / eta), at least one, at its rung."""

    curves: Curves
    rungs: tuple[int, ...]
    eta: int

    def decide(self, number: int, epoch: int) -> str:
        """Compare at rungs only."""
        if epoch not in self.rungs[:-1]:
            return GO
        return GO if number in self.curves.best(epoch, self.eta, at_least=1) else STOP

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Nobody waits."""
        return None


@dataclass(frozen=True)
class Median:
    """Stop if the best value so far is worse than the median of the others' running means (Golovin et al. 2017)."""

    curves: Curves
    min_epochs: int

    def decide(self, number: int, epoch: int) -> str:
        """Needs MIN_PEERS others that got as far, and min_epochs of grace."""
        means = [
            statistics.fmean(v for e, v in curve.items() if e <= epoch)
            for n, curve in self.curves.values.items()
            if n != number and epoch in curve
        ]
        if epoch < self.min_epochs or len(means) < MIN_PEERS:
            return GO
        own = self.curves.values[number].values()
        best = max(own) if self.curves.objective.mode == "max" else min(own)
        return STOP if self.curves.objective.is_better(statistics.median(means), best) else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Nobody waits."""
        return None


@dataclass(frozen=True)
class RunAll:
    """Every trial runs to its full budget."""

    def decide(self, number: int, epoch: int) -> str:
        """Always go on."""
        return GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Nobody waits."""
        return None


def asha(curves: Curves, budget: Budget, stop: bool) -> TrialScheduler:
    """ASHA by promotion, or the stopping kind."""
    kind = Stopping if stop else Promotion
    return kind(curves, budget.rungs, budget.reduction_factor)


def median(curves: Curves, budget: Budget) -> TrialScheduler:
    """The median stopping rule after min_epochs."""
    return Median(curves, budget.min_epochs)


def none(curves: Curves, budget: Budget) -> TrialScheduler:
    """No early end."""
    return RunAll()
