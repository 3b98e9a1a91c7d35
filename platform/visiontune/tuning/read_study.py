"""The study as records: rows for trials, the best of them, and the whole as a view that nothing needs to run for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from visiontune.spec.recipe import Budget, Objective
from visiontune.tuning.records import Confirmation, StudyView, TrialRow
from visiontune.tuning.study_storage import Storage, open_existing

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def row_of(trial: FrozenTrial, rungs: Iterable[int], waits: bool) -> TrialRow:
    """A trial of the storage as a row. `waits`: whether trials of this study wait at rungs below the last."""
    values = dict(sorted(trial.intermediate_values.items()))
    epoch = max(values, default=0)
    is_waiting = waits and epoch in tuple(rungs)[:-1]
    end = trial.user_attrs.get("end", {}) if trial.state.is_finished() else {}
    return TrialRow(
        number=trial.number,
        state=STATES.get(trial.state, "waiting" if is_waiting else "running"),
        value=values.get(epoch),
        epoch=epoch,
        reason=end.get("reason", ""),
        kind=end.get("kind", ""),
        params=trial.params,
        recipe=trial.user_attrs["recipe"],
        fingerprint=trial.user_attrs["fingerprint"],
        values=values,
    )


def best_row(rows: Iterable[TrialRow], objective: Objective) -> TrialRow | None:
    """The best trial that did not fail: of those that got furthest, the best value, the older of equals.

    Values at different epochs are not compared: a trial at 9 epochs is ahead of every trial at 3. What is complete, by its
    full budget or by early stopping, got furthest.
    """
    usable = [row for row in rows if row.value is not None and row.state != "failed"]
    sign = 1.0 if objective.mode == "max" else -1.0

    def rank(row: TrialRow) -> tuple[float, float, int]:
        return math.inf if row.state == "complete" else row.epoch, sign * (row.value or 0.0), -row.number

    return max(usable, key=rank, default=None)


def view_of(storage: Storage, name: str) -> StudyView:
    """The whole study out of an open storage."""
    attributes = storage.attributes()
    identity: Mapping[str, Any] = attributes["identity"]
    objective = Objective(identity["objective.metric"], identity["objective.mode"])
    first, last, eta = (int(identity[f"budget.{key}"]) for key in ("min_epochs", "max_epochs", "reduction_factor"))
    rungs = Budget(0, first, last, eta, None).rungs
    waits = does_wait(identity)
    rows = tuple(row_of(trial, rungs, waits) for trial in storage.trials())
    best = best_row(rows, objective)
    prefix = f"confirmation.{best.fingerprint}." if best is not None else "-"
    found = [value for key, value in sorted(attributes.items()) if key.startswith(prefix)]
    return StudyView(
        name=name,
        objective=objective,
        rungs=rungs,
        num_trials=int(attributes.get("num_trials", len(rows))),
        rows=rows,
        best=best,
        confirmations=tuple(Confirmation(**one) for one in found),
        identity=identity,
    )


def does_wait(identity: Mapping[str, Any]) -> bool:
    """Whether trials wait at rungs for promotion: ASHA, not the stopping kind."""
    return identity["trial_scheduler.name"] == "asha" and not identity["trial_scheduler.stop"]


def read_study(folder: Path, url: str = "journal") -> StudyView:
    """A study as it stands, running or not; UserError when there is none."""
    return view_of(open_existing(folder, url), folder.name)
