"""All that a sampler may learn from, and the part of it that proposals are made from: one more lesson costs nobody the whole list."""

from __future__ import annotations

import bisect

from optuna.trial import FrozenTrial, TrialState

from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.proposals.lessons import MOST_GOOD
from visiontune.tuning.ranking.several_objectives import Losses, fronts

MOST_LESSONS = 300
"""More cost TPE and the Gaussian process time and gain nothing (CONTRIBUTING.md, "Ten thousand trials")."""


class KnownLessons:
    """By the number of their trial, of which a newer one replaces the one before. `num_values` are those with a value."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._lessons: dict[int, FrozenTrial] = {}
        self._numbers: list[int] = []
        self._losses: list[tuple[Losses, int]] = []

    def add(self, number: int, lesson: FrozenTrial) -> None:
        """What became of a trial."""
        if number not in self._lessons:
            bisect.insort(self._numbers, number)
        elif (before := self._losses_of(self._lessons[number])) is not None:
            del self._losses[bisect.bisect_left(self._losses, (before, number))]
        self._lessons[number] = lesson
        if (losses := self._losses_of(lesson)) is not None:
            bisect.insort(self._losses, (losses, number))

    def forget(self, number: int) -> None:
        """Nothing is known of a trial any more; perhaps nothing was."""
        lesson = self._lessons.pop(number, None)
        if lesson is None:
            return
        del self._numbers[bisect.bisect_left(self._numbers, number)]
        if (losses := self._losses_of(lesson)) is not None:
            del self._losses[bisect.bisect_left(self._losses, (losses, number))]

    @property
    def num_values(self) -> int:
        """Trials of which more is known than that they can't be used."""
        return len(self._losses)

    def all(self) -> list[FrozenTrial]:
        """In the order of their numbers."""
        return [self._lessons[number] for number in self._numbers]

    def part(self) -> list[FrozenTrial]:
        """MOST_LESSONS of them at most, in their order: what TPE takes for good whole, and every so many of all, the newest too.

        With several objectives the good are the first fronts with so many trials, or more.
        """
        if len(self._numbers) <= MOST_LESSONS:
            return self.all()
        num = MOST_LESSONS - MOST_GOOD
        some = {self._numbers[-1 - place * len(self._numbers) // num] for place in range(num)}
        return [self._lessons[number] for number in sorted(some | self._good())]

    def _good(self) -> set[int]:
        if not self._objective.costs:
            return {number for _, number in self._losses[:MOST_GOOD]}
        found: set[int] = set()
        for front in fronts({number: losses for losses, number in self._losses}):
            if len(found) >= MOST_GOOD:
                break
            found.update(front)
        return found

    def _losses_of(self, lesson: FrozenTrial) -> Losses | None:
        """The value and the costs, where lower is better; None where there is no value."""
        if lesson.state is not TrialState.COMPLETE:
            return None
        value, *costs = lesson.values
        return (-value if self._objective.mode == "max" else value, *costs)
