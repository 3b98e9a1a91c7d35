"""The trials of a search by number, kept in the order of the ranking: to sort all of them for each report makes a long search quadratic."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.ranking.ranking import Key, is_usable, ranking_key
from visiontune.tuning.records.records import TrialRecord

UNDECIDED = ("running", "waiting")
"""States of trials that may go on."""


class RankedTrials(dict[int, TrialRecord]):
    """A record is set anew when anything of it changes. `counts` are by state."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self._objective = objective
        self._order: dict[str, list[Key]] = defaultdict(list)
        self.counts: Counter[str] = Counter()

    def __setitem__(self, number: int, trial: TrialRecord) -> None:
        if (before := self.get(number)) is not None:
            self.counts[before.state] -= 1
            if is_usable(before):
                order, key = self._order[before.state], ranking_key(before, self._objective)
                del order[bisect.bisect_left(order, key)]
        super().__setitem__(number, trial)
        self.counts[trial.state] += 1
        if is_usable(trial):
            bisect.insort(self._order[trial.state], ranking_key(trial, self._objective))

    def best(self, states: Iterable[str], among: Callable[[TrialRecord], bool] = lambda trial: True) -> TrialRecord | None:
        """The first of the ranking of those in these states, None where none of them can be used."""
        firsts = (next((key for key in self._order[state] if among(self[key[-1]])), None) for state in states)
        found = min((key for key in firsts if key is not None), default=None)
        return None if found is None else self[found[-1]]
