"""What MLflow should have of a study, made of the study alone: whatever was lost on the way there is said again, and taken once.

A crash of the machine takes lines of the outbox, which nobody waits for, and none of the study. What the study does not keep is not said
again: of an epoch it has the objective alone, of a confirmation the figures at its end, and of times those of a trial's start and end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any

from optuna.trial import FrozenTrial

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.training.weights_metadata import read_metadata
from visiontune.tuning.ranking.spent_costs import costs_spent
from visiontune.tuning.records.leg import Report
from visiontune.tuning.records.records import CONSTRAINT, Confirmation, Put, StudyRecord, TrialRecord
from visiontune.tuning.retraining.mlflow_events import (
    Event,
    artifact_event,
    end_event,
    epoch_event,
    now_ms,
    study_end_event,
    study_event,
    trial_event,
    winner_event,
)
from visiontune.tuning.retraining.winner import winner_of
from visiontune.tuning.study.lineage import schedule_of
from visiontune.tuning.study.read_confirmations import AVERAGED, PREFIX, WITH_VAL, results_of
from visiontune.tuning.study.read_study import epoch_seconds, trial_record
from visiontune.tuning.study.study_pictures import ATTRIBUTE
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.trial_history import LEGS, LOSSES


def say_again(storage: Storage, spec: StudySpec, put: Put) -> None:
    """Trials and confirmations, to an MLflow that has been told of the study. Those that go on have no end."""
    found = storage.trials()
    records = [trial_record(trial, ()) for trial in found]
    for event in _of_trials(found, records, spec):
        put({**event, "again": True})
    for event in _of_confirmations(storage.attributes(), records, spec.objective.metric):
        put({**event, "again": True})


def say_whole_again(storage: Storage, spec: StudySpec, study: StudyRecord, folder: StudyFolder, put: Put) -> None:
    """A study that has ended, from its first event to its last."""
    attributes = storage.attributes()
    pictures, winner = attributes.get(ATTRIBUTE, {}), winner_of(study)
    put({**study_event(spec, attributes["key"], pictures), "again": True})
    say_again(storage, spec, put)
    for trial in study.trials:
        if trial.state == "waiting":
            put({**end_event(trial.number, "waiting", trial.reason, phases=schedule_of(trial)), "again": True})
    if pictures and winner is not None and folder.winner.exists():
        put({**winner_event(study, winner.number, folder, _data_of_files(folder, pictures)), "again": True})
        for path, place in ((folder.winner_sheet, "winner"), (folder.winner_test, "winner"), (folder.augmentation_sheet, "space")):
            if path.exists():
                put({**artifact_event(path, place), "again": True})
    put({**study_end_event(study, winner), "again": True})


def _of_trials(found: Sequence[FrozenTrial], records: Sequence[TrialRecord], spec: StudySpec) -> Iterator[Event]:
    for trial, record in zip(found, records, strict=True):
        started_ms = _ms(trial.datetime_start)
        ended_ms = _ms(trial.datetime_complete)
        if record.kind != CONSTRAINT:  # what was refused before it was trained is none of MLflow's
            yield {**trial_event(record), "time_ms": started_ms}
            yield from _of_epochs(trial, record, spec, started_ms, ended_ms)
        if record.state in ("complete", "pruned", "failed"):
            costs = costs_spent(trial.user_attrs.get("spent", {}))
            ended = end_event(record.number, record.state, record.reason, record.micro_batch, costs, schedule_of(record))
            yield {**ended, "time_ms": ended_ms}


def _of_epochs(trial: FrozenTrial, record: TrialRecord, spec: StudySpec, started_ms: int, ended_ms: int) -> Iterator[Event]:
    """At the times at which they would have ended had nothing come between them."""
    seconds = epoch_seconds(trial)
    after_s = accumulate(seconds.get(epoch, 0.0) for epoch in record.values)
    places = {one["epoch"]: {key: value for key, value in one.items() if key != "epoch"} for one in trial.user_attrs.get(LEGS, ())}
    losses = [one["epoch"] for one in trial.user_attrs.get(LOSSES, ())]
    first = min(record.values, default=0)
    for (epoch, value), passed_s in zip(record.values.items(), after_s, strict=True):
        took = {"epoch_s": seconds[epoch]} if epoch in seconds else {}
        time_ms = min(started_ms + int(1_000 * passed_s), ended_ms)
        report = Report(epoch, {spec.objective.metric: value, **took}, time_ms, place=places.get(epoch, {}))
        attempt = 1 + sum(lost < epoch for lost in losses)
        costs = record.costs if epoch == first else {}
        yield epoch_event(record.number, report, value, spec.rungs, costs, attempt)


def _of_confirmations(attributes: Mapping[str, Any], records: Sequence[TrialRecord], metric: str) -> Iterator[Event]:
    numbers: dict[str, int] = {}
    for record in records:
        numbers.setdefault(record.fingerprint, record.number)
    for key, one in results_of(attributes, PREFIX).items():
        if (number := numbers.get(key.removeprefix(PREFIX).rpartition(".")[0])) is not None:
            yield _confirmation(key, number, one, metric)


def _confirmation(key: str, number: int, one: Confirmation, metric: str) -> Event:
    known: Event = {"event": "confirmation", "key": key, "number": number, "seed": one.seed, "time_ms": now_ms()}
    if one.failure:
        return {**known, "status": "FAILED", "reason": one.failure, "tags": {"visiontune.state": "failed"}}
    end = key.rpartition(".")[2]
    reason = "trained in full"
    if end == WITH_VAL:
        reason += ", on the validation pictures too"
    elif end.startswith(AVERAGED):
        reason = "the mean of the weights of several seeds"
    name, value = one.test_figure
    figures = {metric: one.val_value, f"test_{name}": value, "test_loss": one.test_loss}
    if one.test_time_top1 is not None:
        figures[f"test_top1_{one.test_time}"] = one.test_time_top1
    final = {name: value for name, value in figures.items() if not math.isnan(value)}
    return {**known, "status": "FINISHED", "reason": reason, "tags": {"visiontune.state": "complete"}, "final": final}


def _data_of_files(folder: StudyFolder, pictures: Mapping[str, Any]) -> dict[str, Any]:
    """Of the winner's own weights, which say what they need; without examples, which only the pictures have."""
    if (known := read_metadata(folder.winner_weights)) is None:
        return {"examples": [], "class_names": list(pictures.get("classes", ())), **pictures}
    form = known.form
    return {"channels": form.channels, "image_size": list(form.image_size), "class_names": list(known.class_names), "examples": []}


def _ms(time: datetime | None) -> int:
    return now_ms() if time is None else int(1_000 * time.timestamp())
