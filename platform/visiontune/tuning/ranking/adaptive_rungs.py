"""ASHA that asks whether its lowest rung is worth comparing at, and compares later where it is not.

One trial in `random_every` is promoted from the lowest rung whatever its rank, so that something is known of those that are not promoted,
until enough is known. While the ranks there agree too little with the ranks at the next rung, trials run through to that one.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.space.study_spec import Budget
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import GO, WAIT, TrialScheduler

MIN_PASSED = 4
"""Trials that got to the next rung and would not by their rank, before the agreement of two rungs is believed."""


@dataclass(frozen=True)
class AdaptiveRungs:
    """A function of the curves alone: a rung is left out while they say so, and is back once they say otherwise.

    A rung counts as misleading while its agreement is below `min_agreement` by more than a standard error. The last but one never does.
    """

    curves: Curves
    rungs: tuple[int, ...]
    eta: int
    random_every: int
    min_agreement: float
    _known: dict[int, tuple[tuple[int, int], tuple[float, float]]] = field(default_factory=dict)

    def pauses(self, number: int) -> tuple[int, ...]:
        """Each rung below the last, as any may be the lowest."""
        return self.rungs[:-1]

    def decide(self, number: int, epoch: int) -> str:
        """Wait at each of these."""
        return WAIT if epoch in self.rungs[:-1] else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """As ASHA from the lowest rung on, then who was drawn there; whoever waits below goes on, the newest first."""
        lowest = self.lowest()
        for rung in reversed(self.rungs[:-1]):
            found = next((n for n in self._best(rung, lowest) if n in waiting and self._epoch(n) == rung), None)
            if found is None and rung == lowest and self._is_doubtful(rung):
                found = min((n for n in waiting if is_drawn(n, rung, self.random_every) and self._epoch(n) == rung), default=None)
            if rung < lowest:
                found = max((n for n in waiting if self._epoch(n) == rung), default=None)
            if found is not None:
                return found
        return None

    def _best(self, rung: int, lowest: int) -> list[int]:
        """The best 1 in eta; who got there by being drawn has a chance and adds no place, or each would be paid for at all rungs."""
        order = self.curves.ranked(rung) if rung >= lowest else []
        is_next = rung > lowest and self.rungs.index(rung) == self.rungs.index(lowest) + 1
        below = set(self.curves.best(lowest, self.eta)) if is_next else set()
        num_drawn = sum(n not in below and is_drawn(n, lowest, self.random_every) for n in order) if is_next else 0
        return order[: (len(order) - num_drawn) // self.eta]

    def lowest(self) -> int:
        """Epochs of the rung at which trials are compared first."""
        place = 0
        while place < len(self.rungs) - 2 and sum(self._agreement(place)) < self.min_agreement:
            place += 1
        return self.rungs[place]

    def _is_doubtful(self, rung: int) -> bool:
        """Whether the agreement with the next rung, of those that may rise, is not known to be good, to a standard error."""
        place = self.rungs.index(rung)
        if place >= len(self.rungs) - 2:
            return False
        found, error = self._agreement(place)
        return not found - error >= self.min_agreement  # NaN is doubtful

    def _agreement(self, place: int) -> tuple[float, float]:
        """Looked at again when another trial has come to one of the two rungs."""
        low, high = self.rungs[place : place + 2]
        num_there = len(self.curves.ranked(low)), len(self.curves.ranked(high))
        if place not in self._known or self._known[place][0] != num_there:
            self._known[place] = num_there, agreement(self.curves, low, high, self.eta)
        return self._known[place][1]

    def _epoch(self, number: int) -> int:
        return max(self.curves.values[number])


@cache
def is_drawn(number: int, rung: int, random_every: int) -> bool:
    """Whether a trial is one of those that are promoted from this rung whatever their rank."""
    return keyed_seed("promoted at random", number, rung) % random_every == 0


def agreement(curves: Curves, low: int, high: int, eta: int) -> tuple[float, float]:
    """Spearman's rank correlation of two rungs over all trials at the lower one, out of those that went on; and its standard error.

    The best 1 in eta at the lower rung and the others are strata: of each, those that went on stand for all. NaN where of one there are
    too few, as MIN_PASSED of the others.
    """
    order, there = curves.ranked(low), {number: place for place, number in enumerate(curves.ranked(high))}
    num_best = len(order) // eta
    places_2N = np.array([(place, there[number]) for place, number in enumerate(order) if number in there], float).reshape(-1, 2).T
    is_best_N = places_2N[0] < num_best
    num_other = int((~is_best_N).sum())
    if is_best_N.sum() < 2 or num_other < MIN_PASSED:
        return math.nan, math.nan
    weights_N = np.where(is_best_N, num_best / is_best_N.sum(), (len(order) - num_best) / num_other)
    found = float(_correlation(_ranks(places_2N[0], weights_N), _ranks(places_2N[1], weights_N), weights_N))
    num_effective = weights_N.sum() ** 2 / (weights_N**2).sum()
    return found, (1 - found**2) / math.sqrt(num_effective - 1)


def _ranks(places_N: NDArray[np.float64], weights_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each as if it stood there as often as it weighs."""
    order = np.argsort(places_N)
    ranks_N = np.empty(len(places_N))
    ranks_N[order] = np.cumsum(weights_N[order]) - weights_N[order] / 2
    return ranks_N


def _correlation(a_N: NDArray[np.float64], b_N: NDArray[np.float64], weights_N: NDArray[np.float64]) -> float:
    a_N, b_N = (one - np.average(one, weights=weights_N) for one in (a_N, b_N))
    products = [np.sum(weights_N * one * other) for one, other in ((a_N, b_N), (a_N, a_N), (b_N, b_N))]
    return float(products[0] / math.sqrt(products[1] * products[2]))


def adaptive_rungs(curves: Curves, budget: Budget, random_every: int, min_agreement: float) -> TrialScheduler:
    """Over the budget's rungs, of which the lowest may rise."""
    return AdaptiveRungs(curves, budget.rungs, budget.reduction_factor, random_every, min_agreement)
