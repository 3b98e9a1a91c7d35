"""PASHA, progressive ASHA (Bohdal et al. 2023, ICLR): no trial goes higher than it takes to rank them.

Trials are promoted as in ASHA, but up to a highest rung. That rises by one while the ranking there is not the one of the rung below,
where trials count as equal whose values differ by no more than epsilon: the noise in rankings, which the curves themselves show.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from visiontune.spec.space.study_spec import Budget
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import GO, WAIT, TrialScheduler


@dataclass(frozen=True)
class Progressive:
    """The paper's rule as a function of the curves alone: from the second rung on, each unstable ranking opens the next rung.

    In the paper a rung stays open; here one that the ranking below no longer asks for is closed to trials that have not gone there.
    """

    curves: Curves
    rungs: tuple[int, ...]
    eta: int
    percentile: float
    _known: dict[int, tuple[int, bool]] = field(default_factory=dict)

    def pauses(self, number: int) -> tuple[int, ...]:
        """Each rung below the last, as any may be the highest."""
        return self.rungs[:-1]

    def decide(self, number: int, epoch: int) -> str:
        """Wait at each of these."""
        return WAIT if epoch in self.rungs[:-1] else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """As ASHA, below the highest rung."""
        below = reversed(self.rungs[: self.rungs.index(self.highest())])
        return next((found for rung in below if (found := self.curves.best_at(rung, self.eta, waiting)) is not None), None)

    def highest(self) -> int:
        """Epochs of the rung up to which trials are promoted now."""
        place = min(1, len(self.rungs) - 1)
        while place < len(self.rungs) - 1 and not self._is_stable(place):
            place += 1
        return self.rungs[place]

    def _is_stable(self, place: int) -> bool:
        """Looked at again when another trial has come to the rung."""
        numbers = self.curves.ranked(self.rungs[place])
        if self._known.get(place, (-1, True))[0] != len(numbers):
            self._known[place] = (len(numbers), len(numbers) < 2 or self._is_ranking_kept(place, numbers))
        return self._known[place][1]

    def _is_ranking_kept(self, place: int, numbers: Sequence[int]) -> bool:
        values = self.curves.values
        before = [values[number].get(self.rungs[place - 1], np.nan) for number in numbers]
        curves = np.array([[values[number].get(epoch, np.nan) for epoch in range(1, self.rungs[place] + 1)] for number in numbers])
        return is_ranking_kept(before, noise(curves, self.percentile), self.curves.objective.mode == "max")


def is_ranking_kept(before: Sequence[float], epsilon: float, higher_is_better: bool) -> bool:
    """Whether trials, given by their values at the rung below in the order of the rung above, had that order there already.

    A trial may stand at any place whose trial there was within `epsilon` of it.

    >>> is_ranking_kept([0.9, 0.7, 0.8], 0.0, True), is_ranking_kept([0.9, 0.7, 0.8], 0.1001, True)
    (False, True)
    """
    expected = sorted(before, reverse=higher_is_better)
    return all(abs(value - there) <= epsilon for value, there in zip(before, expected, strict=True))


def noise(curves: NDArray[np.float64], percentile: float) -> float:
    """Epsilon out of curves, one trial a row and one epoch a column: section 4.2 of the paper.

    Two trials are within noise of each other if they changed places and changed back. Of these pairs' differences after the last epoch it
    is a percentile; 0 where there is no such pair.
    """
    last = np.sign(curves[:, None, -1] - curves[None, :, -1])
    has_swapped, is_noise = np.zeros(last.shape, bool), np.zeros(last.shape, bool)
    for column in curves.T[-2::-1]:
        order = np.sign(column[:, None] - column[None, :])
        is_noise |= has_swapped & (order * last > 0)
        has_swapped |= order * last < 0
    differences = np.abs(curves[:, None, -1] - curves[None, :, -1])[np.triu(is_noise, 1)]
    return float(np.percentile(differences, percentile)) if differences.size else 0.0


def pasha(curves: Curves, budget: Budget, percentile: float) -> TrialScheduler:
    """PASHA over the budget's rungs."""
    return Progressive(curves, budget.rungs, budget.reduction_factor, percentile)
