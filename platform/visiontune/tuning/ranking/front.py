"""The Pareto front of a study: the trials that no other beats in all of its objectives."""

from __future__ import annotations

from visiontune.tuning.ranking.ranking import full_epochs, has_value
from visiontune.tuning.ranking.several_objectives import fronts, losses_of
from visiontune.tuning.records.records import StudyRecord, TrialRecord


def front_of_study(study: StudyRecord) -> list[TrialRecord]:
    """Of the trials that were trained in full, those that no other beats in one objective without being worse in another.

    The cheapest first, by the first cost; with one objective the best, or several that are as good.
    """
    trials = {one.number: one for one in study.trials if one.state == "complete" and full_epochs(one) == study.rungs[-1] and has_value(one)}
    found = {number: losses_of(one.value or 0.0, one.costs, study.objective) for number, one in trials.items()}
    losses = {number: one for number, one in found.items() if one is not None}
    if not losses:
        return []
    return [trials[number] for number in sorted(fronts(losses)[0], key=lambda number: (losses[number][1:], number))]
