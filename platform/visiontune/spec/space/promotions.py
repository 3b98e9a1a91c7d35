"""How far trials are promoted by ASHA (Li et al. 2020) where what they are worth is in random order and rungs agree: played, not estimated.

A rung promotes whoever is among the best 1 in eta when it is asked, and some are overtaken later: with 100 trials over rungs 1, 3, 9 and 27
that takes 1.4 times the epochs of successive halving, which knows all trials before it promotes one.
"""

from __future__ import annotations

import bisect
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import pairwise

MOST_PLAYED = 1000
"""Of more trials each takes what one of so many does."""
NUM_PLAYED = 6000
"""In all orders together."""


@dataclass
class _Rungs:
    """Losses by rung: of who `reached` it in order, and of who waits there."""

    num: int
    eta: int
    at_least: int
    can_wait: bool
    reached: list[list[float]] = field(init=False)
    waiting: list[list[float]] = field(init=False)

    def __post_init__(self) -> None:
        self.reached, self.waiting = [[] for _ in range(self.num)], [[] for _ in range(self.num)]

    def begin(self, loss: float) -> None:
        """A trial, whose promotions and those that it makes room for happen at once."""
        self._arrive(0, loss)

    def run_through(self, loss: float) -> None:
        """One that waits nowhere."""
        for there in self.reached:
            bisect.insort(there, loss)

    def _arrive(self, place: int, loss: float) -> None:
        bisect.insort(self.reached[place], loss)
        if place == self.num - 1:
            return
        waiting = self.waiting[place]
        heappush(waiting, loss)
        while waiting and bisect.bisect_left(self.reached[place], waiting[0]) < self._num_promotable(place):
            self._arrive(place + 1, heappop(waiting))
        if not self.can_wait:
            waiting.clear()

    def _num_promotable(self, place: int) -> int:
        least = self.at_least if place or not self.can_wait else 0
        return max(least, len(self.reached[place]) // self.eta)


@cache
def mean_epochs(
    num_trials: int, rungs: Sequence[int], eta: int, *, at_least: int = 0, can_wait: bool = True, is_first_known: bool = False
) -> float:
    """Epochs of so many trials that begin at the first of the rungs, on average over random orders.

    `at_least` so many may leave a rung above the first, or any where nobody can wait. `is_first_known`: the first trial runs through;
    where not, the best is trained in full at the end.
    """
    if not num_trials:
        return 0.0
    num, draw = min(num_trials, MOST_PLAYED), random.Random(0)
    orders = (draw.sample(range(num), num) for _ in range(math.ceil(NUM_PLAYED / num)))
    return statistics.fmean(_play(order, rungs, eta, at_least, can_wait, is_first_known) for order in orders) * num_trials / num


def _play(losses: Sequence[int], rungs: Sequence[int], eta: int, at_least: int, can_wait: bool, is_first_known: bool) -> int:
    at = _Rungs(len(rungs), eta, at_least, can_wait)
    for place, loss in enumerate(losses):
        (at.run_through if is_first_known and not place else at.begin)(loss)
    num_at = [len(there) for there in at.reached]
    missing = rungs[-1] - max((rung for rung, num in zip(rungs, num_at, strict=True) if num), default=rungs[-1])
    return missing + sum(num * (high - low) for num, (low, high) in zip(num_at, pairwise((0, *rungs)), strict=True))
