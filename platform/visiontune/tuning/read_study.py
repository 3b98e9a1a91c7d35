"""A study as frozen records, read from its storage without starting anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.study_spec import Budget, Objective
from visiontune.tuning.ranking import best_of
from visiontune.tuning.records import Confirmation, StudyRecord, TrialRecord
from visiontune.tuning.study_storage import Storage, open_existing

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def trial_record(trial: FrozenTrial, rungs: Iterable[int], waits: bool) -> TrialRecord:
    """The record of a trial of the storage. `waits`: whether trials of this study wait at rungs below the last."""
    values = dict(sorted(trial.intermediate_values.items()))
    epoch = max(values, default=0)
    is_waiting = waits and epoch in tuple(rungs)[:-1]
    end = trial.user_attrs.get("end", {}) if trial.state.is_finished() else {}
    return TrialRecord(
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


def study_record(storage: Storage, name: str) -> StudyRecord:
    """The whole study out of an open storage."""
    attributes = storage.attributes()
    identity: Mapping[str, Any] = attributes["identity"]
    objective = Objective(identity["objective.metric"], identity["objective.mode"])
    first, last, eta = (int(identity[f"budget.{key}"]) for key in ("min_epochs", "max_epochs", "reduction_factor"))
    has_rungs = identity["trial_scheduler.name"] == "asha"
    rungs = Budget(0, first, last, eta, None).rungs if has_rungs else (last,)
    trials = tuple(trial_record(trial, rungs, does_wait(identity)) for trial in storage.trials())
    best = best_of(trials, objective)
    prefix = f"confirmation.{best.fingerprint}." if best is not None else "-"
    found = [value for key, value in sorted(attributes.items()) if key.startswith(prefix)]
    return StudyRecord(
        name=name,
        objective=objective,
        rungs=rungs,
        num_trials=int(attributes.get("num_trials", len(trials))),
        trials=trials,
        best=best,
        confirmations=tuple(Confirmation(**one) for one in found),
        identity=identity,
    )


def does_wait(identity: Mapping[str, Any]) -> bool:
    """Whether trials wait at rungs for promotion: ASHA, not the stopping kind."""
    return identity["trial_scheduler.name"] == "asha" and not identity["trial_scheduler.stop"]


def read_study(folder: StudyFolder, url: str = "journal") -> StudyRecord:
    """A study as it stands, running or not. Raises UserError when there is none."""
    return study_record(open_existing(folder, url), folder.name)
