"""A study as frozen records, read from its storage without starting anything."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from visiontune.errors import UserError, first_line
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.kept_files import load_named
from visiontune.spec.space.study_spec import Budget, Objective, brackets_of, rungs_of
from visiontune.tuning.ranking.adaptive_rungs import AdaptiveRungs
from visiontune.tuning.ranking.constraints import num_counted
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.pasha import Progressive
from visiontune.tuning.ranking.ranking import best_of, full_epochs
from visiontune.tuning.ranking.spent_costs import costs_spent
from visiontune.tuning.ranking.trial_scheduler import make_trial_scheduler
from visiontune.tuning.records.leg import device_of
from visiontune.tuning.records.phase import PHASES, Phase
from visiontune.tuning.records.records import INTERRUPTED, STAGED, Driver, Ending, StudyRecord, TrialRecord
from visiontune.tuning.study.lineage import begun
from visiontune.tuning.study.open_storage import open_existing, without_gc
from visiontune.tuning.study.read_confirmations import confirmed
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.trial_history import LEGS, LOSSES
from visiontune.tuning.study.who_drives import driver_of

SCHEDULER = "trial_scheduler."
STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def trial_record(trial: FrozenTrial, pauses: Collection[int], *, is_over: bool = False) -> TrialRecord:
    """The record of a trial of the storage. It waits at its `pauses`; `is_over`: nobody trains any now."""
    values = dict(sorted(trial.intermediate_values.items()))
    epoch = max(values, default=0)
    is_waiting = is_over or epoch in pauses
    end = trial.user_attrs.get("end", {}) if trial.state.is_finished() else {}
    repeats = trial.user_attrs.get("repeats", {})
    places, losses = trial.user_attrs.get(LEGS, ()), trial.user_attrs.get(LOSSES, ())
    record = TrialRecord(
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
        proposed_by=trial.user_attrs.get("proposed_by", ""),
        start=trial.user_attrs.get("start", ""),
        micro_batch=trial.user_attrs.get("micro_batch", 0),
        repeats=tuple(repeats["values"]) if repeats.get("epoch") == epoch else (),
        costs={**trial.user_attrs.get("costs", {}), **costs_spent(trial.user_attrs.get("spent", {}))},
        node=places[-1]["node"] if places else "",
        device=device_of(places[-1]) if places else "",
        attempt=1 + len(losses),
    )
    return _with_phases(record, trial.user_attrs[PHASES]) if PHASES in trial.user_attrs else record


def _with_phases(trial: TrialRecord, facts: Sequence[Mapping[str, Any]]) -> TrialRecord:
    """As the last of its phases that took another's weights left it."""
    phases = (begun(trial), *(Phase(**one) for one in facts))
    taken = [phase for phase in phases if phase.recipe][-1]
    return replace(trial, phases=phases, params=taken.params, recipe=taken.recipe, fingerprint=taken.fingerprint)


def _let_go(trial: TrialRecord) -> TrialRecord:
    """As it is while no search runs."""
    if trial.state != "running":
        return trial
    since = f" after {trial.epoch} epoch{'s'[trial.epoch == 1 :]}" if trial.epoch else " before its first epoch came to its end"
    return replace(trial, state="waiting", reason=INTERRUPTED + since)


def _as_told(trial: TrialRecord, driver: Driver) -> TrialRecord:
    """As its driver said last, where that said something of it: the storage does not tell which legs are on workers."""
    if trial.state in ("running", "waiting") and trial.number in driver.staged_trials:
        return replace(trial, state="waiting", reason=STAGED)
    is_running = trial.state == "waiting" and trial.number in driver.running_trials
    return replace(trial, state="running") if is_running else trial


def epoch_seconds(trial: FrozenTrial) -> dict[int, float]:
    """What each epoch of a trial took, by epoch; a kill may have swallowed some."""
    return {int(epoch): float(seconds) for epoch, seconds in trial.user_attrs.get("spent", {}).get("epoch_s", {}).items()}


def load_files_of(folder: StudyFolder, url: str = "journal") -> tuple[str, ...]:
    """Load a study's plugins and teachers from its folder; the plugins' keys. Raises UserError where there is no study, or one is gone."""
    return load_named(open_existing(folder, url).attributes()["identity"], folder.path)


def study_record(storage: Storage, name: str, ending: Ending | None = None, driver: Driver | None = None) -> StudyRecord:
    """The whole study out of an open storage; `ending` is that of a search which has ended and not yet written it down.

    Without a `driver` no trial runs.
    """
    attributes = storage.attributes()
    identity: Mapping[str, Any] = attributes["identity"]
    objective = Objective(identity["objective.metric"], identity["objective.mode"], tuple(identity.get("objective.costs", ())))
    first, last, eta = (int(identity[f"budget.{key}"]) for key in ("min_epochs", "max_epochs", "reduction_factor"))
    settings = {key.removeprefix(SCHEDULER): value for key, value in identity.items() if key.startswith(SCHEDULER)}
    budget = Budget(first, last, eta)
    brackets = brackets_of(settings["name"], budget)
    curves = Curves(objective, brackets=brackets)
    rule = make_trial_scheduler(settings, budget, curves)
    ending = ending or ending_of(storage)
    records = [trial_record(t, rule.pauses(t.number), is_over=ending is not None) for t in storage.trials()]
    records = [_let_go(trial) if driver is None else _as_told(trial, driver) for trial in records]
    trials = _with_places(records, curves, last)
    best = best_of(trials, objective)
    found = confirmed(attributes, trials, best)
    return StudyRecord(
        name=name,
        objective=objective,
        rungs=rungs_of(settings["name"], budget),
        brackets=brackets,
        lowest_rung=rule.lowest() if isinstance(rule, AdaptiveRungs) else 0,
        highest_rung=rule.highest() if isinstance(rule, Progressive) else last,
        num_trials=attributes.get("num_trials", num_counted(storage.trials())),
        trials=trials,
        best=best,
        **found,
        identity=identity,
        ending=ending,
        spent=attributes.get("spent", {}),
        pictures=attributes.get("pictures", {}),
        driver=driver,
        forecast=attributes.get("forecast", {}),
    )


def ending_of(storage: Storage) -> Ending | None:
    """How the last search of the study ended; None where one goes on, or is to."""
    found = storage.attributes().get("finished")
    if found is None:
        return None
    limits = found.get("limits") or {"num_trials": found["num_trials"]}  # before budgets in hours
    return Ending(
        limits,
        found.get("by", "num_trials"),
        int(found["num_seeds"]),
        found.get("confirm", {}),
        found.get("confirm_of_file", {}),
        found.get("hours_to_go_on", 0.0),
    )


def _with_places(trials: Sequence[TrialRecord], curves: Curves, max_epochs: int) -> tuple[TrialRecord, ...]:
    """The trials, those that wait with their place among all of the same full budget that got as far; `curves` get their values."""
    for trial in trials:
        if full_epochs(trial) != max_epochs:
            continue
        curves.know_costs(trial.number, trial.costs)
        for epoch, value in trial.values.items():
            curves.record(trial.number, epoch, value)
    return tuple(
        replace(trial, reason=curves.place(trial.number, trial.epoch))
        if trial.state == "waiting" and trial.epoch and not trial.reason
        else trial
        for trial in trials
    )


def read_study(folder: StudyFolder, url: str = "journal") -> StudyRecord:
    """A study as it stands, running or not. Raises UserError when there is none, or one that visiontune did not write."""
    with without_gc():
        storage = open_existing(folder, url)
        try:
            return study_record(storage, folder.name, driver=driver_of(folder, storage.attributes()))
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            rule = f"the storage of {folder.path} holds a study that visiontune did not write, or had only begun to"
            raise UserError(f"{rule} ({type(error).__name__}: {first_line(error)})") from error
