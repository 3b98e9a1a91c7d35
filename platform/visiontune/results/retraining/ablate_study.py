"""An ablation run or gone on with, with its screen; and the same read: what `visiontune ablate` does."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from visiontune.errors import UserError, plural
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.screens.search_screen import Screen
from visiontune.results.tables.ablation_table import Ablation, ablation_of
from visiontune.spec.declarations.call_ranges import SEEDS, refuse_outside
from visiontune.spec.plugins import in_use
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.ray_cluster import check_address
from visiontune.tuning.retrain_study import retrain_study, spec_of_study
from visiontune.tuning.retraining import ablation as policy
from visiontune.tuning.retraining.winner import winner_of
from visiontune.tuning.study.open_storage import open_existing
from visiontune.tuning.study.read_confirmations import results_of
from visiontune.tuning.study.read_study import epoch_seconds, load_files_of, study_record
from visiontune.tuning.study.study_storage import Storage

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def limit_of(budget: int | str | None) -> policy.Limit:
    """
    >>> limit_of(90).epochs, limit_of("90").epochs, limit_of("1.5h").seconds, limit_of(None).text
    (90.0, 90.0, 5400.0, '')
    """
    if budget is None:
        return policy.Limit()
    text = str(budget).strip()
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None or isinstance(budget, bool) or float(found[1]) == 0 or (not found[2] and "." in found[1]):
        raise UserError(f"budget must be a number of epochs or a time above 0, such as 200, 30m or 2h, but got {budget!r}")
    if found[2]:
        return policy.Limit(seconds=float(found[1]) * _UNITS[found[2]], text=text)
    return policy.Limit(epochs=float(found[1]), text=plural(int(text), "epoch"))


def ablate_study(
    folder: StudyFolder,
    *,
    budget: int | str | None,
    seeds: int,
    address: str | None,
    storage: str,
    progress: bool | str,
    may_exit: bool,
) -> Ablation:
    """Train what is left of it, and give it as it stands then. Nothing is trained twice, nor Ray started where nothing is left to train.

    Raises as `retrain_study`, and UserError for a wrong budget, a study without a winner, or one whose winner is the defaults.
    """
    refuse_outside(SEEDS, seeds=seeds)
    limit = limit_of(budget)
    check_address(address)
    with in_use(load_files_of(folder, storage)):
        opened = open_existing(folder, storage)
        plan = _plan(folder, opened, storage, int(seeds))
        _refuse_small(plan, limit)
        done = results_of(opened.attributes(), policy.PREFIX)
        epoch_s = _epoch_s(opened)
        status = "finished"
        if policy.Ablation(plan, opened, folder, limit, epoch_s).next_leg(done, {}, lambda leg, then: True) is not None:

            def make(spec: StudySpec, storage: Storage, folder: StudyFolder, trials: object) -> policy.Ablation:
                policy.ask(storage, plan.winner, plan.num_seeds, limit)
                return policy.Ablation(plan, storage, folder, limit, epoch_s)

            with Screen.of(progress) as screen:
                parts: dict[str, Any] = {"screen": screen.update, "say": screen.say, "tracker": lambda: nullcontext(lambda event: None)}
                more: dict[str, Any] = {"url": storage, "address": address, "may_exit": may_exit, "make_policy": make, "is_race": False}
                status = retrain_study(folder, {}, **parts, **more).status
            done = results_of(open_existing(folder, storage).attributes(), policy.PREFIX)
        return replace(ablation_of(folder.name, plan, done, limit.text), status=status)


def read_ablation(folder: StudyFolder, storage: str = "journal") -> Ablation | None:
    """The study's ablation as it stands; None where none was asked for, or another winner's."""
    opened = open_existing(folder, storage)
    asked = opened.attributes().get(policy.ABLATED)
    if not asked:
        return None
    with in_use(load_files_of(folder, storage)):
        plan = _plan(folder, opened, storage, int(asked["num_seeds"]))
        done = results_of(opened.attributes(), policy.PREFIX)
        return ablation_of(folder.name, plan, done, asked["budget"]) if asked["winner"] == plan.winner.number else None


def _plan(folder: StudyFolder, storage: Storage, url: str, num_seeds: int) -> policy.Plan:
    study = study_record(storage, folder.name)
    winner = winner_of(study) if study.ending is not None else None
    if winner is None:
        raise UserError(f"study {folder.name} has no winner yet; `visiontune search FILE` with its file goes on")
    if winner.recipe.get("phases"):
        raise UserError(
            f"the winner of study {folder.name} changed while it was trained (pbt): a factor of it is a schedule, which can't be ablated"
        )
    plan = policy.Plan(spec_of_study(storage, folder.name, {}, url), winner, num_seeds)
    if not plan.factors:
        raise UserError(f"the winner of study {folder.name} is what the search began with, the defaults: there is nothing to ablate")
    return plan


def _refuse_small(plan: policy.Plan, limit: policy.Limit) -> None:
    least = 2 * plan.spec.budget.max_epochs
    if limit.epochs is not None and limit.epochs < least:
        takes = f"a comparison takes two trainings in full, {plural(least, 'epoch')}"
        raise UserError(f"{takes}, but the budget is {limit.text}; say `budget={least}` or more")


def _epoch_s(storage: Storage) -> float:
    """Seconds of an epoch in the study's trials, on average."""
    known: Sequence[float] = [seconds for trial in storage.trials() for seconds in epoch_seconds(trial).values()]
    return statistics.fmean(known) if known else 0.0
