"""Which trials a report shows one by one: all of them; of very many the first of the ranking, and every so many of the others."""

from __future__ import annotations

import math
from dataclasses import replace

from visiontune.errors import plural
from visiontune.tuning.ranking.ranking import ranked
from visiontune.tuning.records.records import StudyRecord, TrialRecord

MOST_BEST = 500
MOST_OTHERS = 500
"""To count the networks of all of 10,000 took most of a minute, and to show them 12.7 MB."""


def best_trials(study: StudyRecord) -> list[TrialRecord]:
    """Those of which all is told, costs too, in the order of the ranking; the winner, whose rank is not the first, among them."""
    order = ranked(study.trials, study.objective)
    if len(order) <= MOST_BEST + MOST_OTHERS:
        return order
    number = None if study.winner is None else study.winner.number
    return [*order[:MOST_BEST], *(trial for trial in order[MOST_BEST:] if trial.number == number)]


def shown_trials(study: StudyRecord) -> StudyRecord:
    """The study with the trials that are shown, in their order; its best is among them."""
    if len(study.trials) <= MOST_BEST + MOST_OTHERS:
        return study
    best = {trial.number for trial in best_trials(study)}
    others = [trial.number for trial in study.trials if trial.number not in best]
    shown = best.union(others[:: _step(study)])
    return replace(study, trials=tuple(trial for trial in study.trials if trial.number in shown))


def said_of_shown(study: StudyRecord) -> str:
    """What is left out of pictures and tables of single trials, as a sentence; "" where all are there."""
    if len(study.trials) <= MOST_BEST + MOST_OTHERS:
        return ""
    which = f"the {MOST_BEST} that rank first and one in {_step(study)} of the others"
    return f"Of {plural(len(study.trials), 'trial')} {which} are shown one by one; visiontune show {study.name} --json has all."


def _step(study: StudyRecord) -> int:
    """One in so many of the others is shown."""
    return max(2, math.ceil((len(study.trials) - MOST_BEST) / MOST_OTHERS))
