"""Whether a study that has ended has nothing left to do, by the file that it is searched with now."""

from __future__ import annotations

import math

from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.proposals.start_recipes import StartRecipes
from visiontune.tuning.ranking.constraints import num_counted
from visiontune.tuning.records.records import Ending
from visiontune.tuning.study.read_study import ending_of
from visiontune.tuning.study.study_storage import Storage

START_GOES_ON = ("num_trials", "patience", "constraints")
"""What ended a search that a new recipe goes on with, where there are trials left for it."""


def is_finished(storage: Storage, spec: StudySpec) -> bool:
    """Whether the budget has no more of what ended the study than it had then, and wants no more confirmations."""
    ending = ending_of(storage)
    if ending is None or ending.num_seeds < spec.confirm["num_seeds"] or _confirms_otherwise(ending, spec):
        return False
    now, then = spec.budget.ends.get(ending.by, math.inf), ending.limits.get(ending.by, math.inf)
    if ending.by == "stop_at":
        return ending.by in spec.budget.ends and not spec.objective.is_better(now, then)
    return now <= then


def _confirms_otherwise(ending: Ending, spec: StudySpec) -> bool:
    """Whether more recipes are to be confirmed than were, other weights kept, or views tested. What a study older than races left stays."""
    if not ending.confirm or not spec.confirm["num_seeds"]:
        return False
    file = ending.confirm_of_file or ending.confirm  # the file that was searched with does not undo what `confirm` was told since
    is_other = any(file[key] != spec.confirm[key] != ending.confirm[key] for key in ("weights", "use_val"))
    is_other |= spec.confirm["test_time"] not in ("none", ending.confirm["test_time"])
    return is_other or spec.confirm["top"] > ending.confirm["top"]


def has_more_to_start(storage: Storage, spec: StudySpec) -> bool:
    """Whether recipes of the user's were added that there are trials left for."""
    ending, trials = ending_of(storage), storage.trials()
    has_room = spec.budget.num_trials is None or num_counted(trials) < spec.budget.num_trials
    return ending is not None and ending.by in START_GOES_ON and has_room and bool(StartRecipes(spec, storage, trials).left())
