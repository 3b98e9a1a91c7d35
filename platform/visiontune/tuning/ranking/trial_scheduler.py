"""Trial schedulers: who goes on, who waits, who stops. Pure rules over values by epoch; no Ray, no storage.

`decide(number, epoch)` after every report: "go" on, "wait" at a rung for promotion, or "stop". `promotable(waiting)` when a worker is
free: the trial to promote, or None. Both are functions of the same `Curves` and of a trial's number, so that a driver which goes on decides
what the first would have. `pauses(number)`, where that trial may wait, is a function of the number alone.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from visiontune.spec.declarations.brackets import bracket_sizes, first_rung
from visiontune.spec.declarations.declare import Arg
from visiontune.spec.space.study_spec import Budget
from visiontune.spec.tables.search import TRIAL_SCHEDULERS
from visiontune.tuning.ranking.curves import ALL, Curves

GO, WAIT, STOP = "go", "wait", "stop"
MIN_PEERS = 4
"""The least number of other trials over which a median is taken."""


class TrialScheduler(Protocol):
    """What every rule answers."""

    def decide(self, number: int, epoch: int) -> str:
        """GO, WAIT or STOP for a trial that just reported `epoch`."""

    def promotable(self, waiting: Collection[int]) -> int | None:
        """The waiting trial that a free worker should take on, if any."""

    def pauses(self, number: int) -> tuple[int, ...]:
        """Epochs at which the trial waits, unless it is promoted at once."""


@dataclass(frozen=True)
class Promotion:
    """ASHA as in Li et al. 2020, algorithm 2: of the n trials at a rung the best floor(n / eta) may go on, above the first `at_least`.

    Several `brackets`, numbers of trials by the rung at which they begin, are Hyperband: each is an ASHA by itself.
    They are those of the curves.
    """

    curves: Curves
    rungs: tuple[int, ...]
    eta: int
    brackets: tuple[int, ...] = (1,)
    at_least: int = 0

    def pauses(self, number: int) -> tuple[int, ...]:
        """Each rung below the last, from the first of its bracket."""
        return self.rungs[first_rung(number, self.brackets) : -1]

    def decide(self, number: int, epoch: int) -> str:
        """Wait at each of these."""
        return WAIT if epoch in self.pauses(number) else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """The best waiting trial among those that may go on, of the highest rung that has one."""
        for place in reversed(range(len(self.rungs) - 1)):
            at_least = self.at_least if place else 0
            for bracket in range(len(self.brackets[: place + 1])) if len(self.brackets) > 1 else (ALL,):
                found = self.curves.best_at(self.rungs[place], self.eta, waiting, bracket, at_least)
                if found is not None:
                    return found
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

    def pauses(self, number: int) -> tuple[int, ...]:
        """Nowhere."""
        return ()


@dataclass(frozen=True)
class Median:
    """Stop if the best value so far is worse than the median of the others' running means (Golovin et al. 2017)."""

    curves: Curves
    min_epochs: int
    _means: dict[int, dict[int, float]] = field(default_factory=dict)
    _sorted: dict[int, list[float]] = field(default_factory=dict)

    def decide(self, number: int, epoch: int) -> str:
        """Needs MIN_PEERS others that got as far, and min_epochs of grace."""
        if epoch < self.min_epochs or self.curves.num_at(epoch) <= MIN_PEERS:
            return GO
        own = self.curves.values[number].values()
        best = max(own) if self.curves.objective.mode == "max" else min(own)
        return STOP if self.curves.objective.is_better(self._median_of_others(number, epoch), best) else GO

    def _median_of_others(self, number: int, epoch: int) -> float:
        """Running means stay what they are: each is computed once and kept in order, as all of them for each report would be quadratic."""
        means, in_order = self._means.setdefault(epoch, {}), self._sorted.setdefault(epoch, [])
        is_next = number not in means and self.curves.num_at(epoch) == len(means) + 1
        for one in [number] if is_next else self.curves.ranked(epoch):
            if one not in means:
                means[one] = statistics.fmean(value for e, value in self.curves.values[one].items() if e <= epoch)
                bisect.insort(in_order, means[one])
        own, middle = bisect.bisect_left(in_order, means[number]), (len(in_order) - 1) // 2
        middles = (middle - 1, middle) if len(in_order) % 2 else (middle, middle)
        low, high = (in_order[place + (place >= own)] for place in middles)
        return (low + high) / 2

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Nobody waits."""
        return None

    def pauses(self, number: int) -> tuple[int, ...]:
        """Nowhere."""
        return ()


@dataclass(frozen=True)
class RunAll:
    """Every trial runs to its full budget."""

    def decide(self, number: int, epoch: int) -> str:
        """Always go on."""
        return GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Nobody waits."""
        return None

    def pauses(self, number: int) -> tuple[int, ...]:
        """Nowhere."""
        return ()


def make_trial_scheduler(settings: Mapping[str, Any], budget: Budget, curves: Curves) -> TrialScheduler:
    """That of a study, by its `name` and its arguments; those that are left out, as in older studies, have their defaults."""
    entry = TRIAL_SCHEDULERS.entries[settings["name"]]
    args = {key: settings.get(key, declared.default) for key, declared in entry.args.items() if isinstance(declared, Arg)}
    return entry.load()(curves, budget, **args)  # type: ignore[no-any-return]


def asha(curves: Curves, budget: Budget, stop: bool) -> TrialScheduler:
    """ASHA by promotion, or the stopping kind; not by the paper's floor alone, or the best waits at each rung for eta - 1 others."""
    if stop:
        return Stopping(curves, budget.rungs, budget.reduction_factor)
    return Promotion(curves, budget.rungs, budget.reduction_factor, at_least=1)


def hyperband(curves: Curves, budget: Budget) -> TrialScheduler:
    """ASHA by promotion in the brackets of Hyperband (Li et al. 2018), which run side by side (Li et al. 2020)."""
    return Promotion(curves, budget.rungs, budget.reduction_factor, bracket_sizes(len(budget.rungs), budget.reduction_factor))


def median(curves: Curves, budget: Budget) -> TrialScheduler:
    """The median stopping rule after min_epochs."""
    return Median(curves, budget.min_epochs)


def none(curves: Curves, budget: Budget) -> TrialScheduler:
    """No early end."""
    return RunAll()
