"""A study's events as MLflow runs: one experiment and parent run for the study, one child run for each trial.

Everything here may be said twice. Runs are found again by the tags visiontune.study_key and visiontune.number, a
trial's metric "epoch" tells how far it is (so an epoch trained twice is logged once, the first time), and MLflow
itself drops equal metrics and params.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from visiontune.tracking.mlflow_requests import KEY, NUMBER, Requests, RunState

Event = Mapping[str, Any]
REASON, PARENT = "visiontune.reason", "mlflow.parentRunId"
STATUSES = ("FINISHED", "KILLED", "FAILED")
_MAX_PARAM, _MAX_TAG = 6_000, 5_000  # characters that every MLflow store takes


@dataclass(frozen=True)
class Study:
    """The parent run, and what every child carries."""

    key: str
    experiment_id: str
    parent: RunState
    child_tags: Mapping[str, str]
    data: Mapping[str, Any]


class Runs:
    """Sends events with an MlflowClient; raises what the client raises, and may then be given the same events again.

    `log_model(experiment_id, run_id, event)` logs the winner's model and gives a word on it for a tag; `log_sheet(run_id, event)`
    the picture of its augmentation.
    """

    def __init__(
        self,
        client: Any,
        artifact_root: Path | None,
        log_model: Callable[[str, str, Event], str] | None = None,
        log_sheet: Callable[[str, Event], None] | None = None,
    ) -> None:
        self._mlflow, self._log_model, self._log_sheet = Requests(client, artifact_root), log_model, log_sheet
        self._study: Study | None = None
        self._parent: RunState | None = None
        self._children: dict[int, RunState] = {}
        self._is_stale = False

    @property
    def is_ready(self) -> bool:
        """Whether the study's parent run is known, so that other events have a place."""
        return self._study is not None

    def forget(self) -> None:
        """Look before the next run is made: one may be there although the answer never came."""
        self._is_stale = True

    def adopt(self, event: Event) -> bool:
        """Take up the study of this event if MLflow has it; nothing is written."""
        experiment_id = self._mlflow.find_experiment(event["study"])
        if experiment_id is not None:
            self._load(experiment_id, event["key"])
        if experiment_id is not None and self._parent is not None:
            self._study = _study(event, experiment_id, self._parent)
        return self.is_ready

    def send(self, events: Sequence[Event]) -> None:
        """Events of one run in order. KeyError, TypeError or ValueError for an event that is not what it should be."""
        if self._is_stale and self._study is not None:
            self._load(self._study.experiment_id, self._study.key)
        self._is_stale = False
        ends = {"winner": self._send_winner, "sheet": self._send_sheet, "study_end": self._send_end}
        {"study": self._send_study, **ends}.get(events[0]["event"], self._send_trial)(events)

    def _send_study(self, events: Sequence[Event]) -> None:
        event = events[-1]
        experiment_id = self._mlflow.make_experiment(event["study"])
        if self._study is None or self._study.key != event["key"]:
            self._load(experiment_id, event["key"])
        tags = {**_study_tags(event), "visiontune.kind": "study"}
        if self._parent is None:
            self._parent = self._mlflow.make_run(experiment_id, event["study"], tags, event["time_ms"])
        self._study = _study(event, experiment_id, self._parent)
        self._mlflow.log_data(self._parent, self._study.data)
        parent = self._mlflow.log(self._parent, params=_params(event), tags=tags)
        self._set_parent(self._mlflow.set_status(parent, "RUNNING", event["time_ms"]))

    def _send_trial(self, events: Sequence[Event]) -> None:
        number = int(events[0]["number"])
        is_new = number not in self._children
        state = self._child(number, events) if is_new else self._children[number]
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        metrics: list[Metric] = []
        epoch, status, time_ms = state.epoch, state.status, 0
        for event in events:
            time_ms = event["time_ms"]
            if event["event"] == "trial":
                params |= _params(event)
                tags |= {} if is_new else _texts(event.get("tags", {}))
            elif event["event"] == "end":
                status, tags[REASON] = _status(event), str(event.get("reason", ""))[:_MAX_TAG]
                tags |= _texts(event.get("tags", {}))
                metrics += _metrics(event.get("metrics", {}), time_ms, epoch)
            elif event["epoch"] > epoch:
                epoch, status = int(event["epoch"]), "RUNNING"
                metrics += _metrics({**event["metrics"], "epoch": epoch}, time_ms, epoch)
        if params and not state.params:  # they are logged after it: once they are there, the data is
            self._mlflow.log_data(state, self._known().data)
        state = self._children[number] = replace(self._mlflow.log(state, metrics, params, tags), epoch=epoch)
        self._children[number] = self._mlflow.set_status(state, status, time_ms)

    def _send_winner(self, events: Sequence[Event]) -> None:
        """The last winner counts: its test metrics, recipe, weights and model go to the parent run."""
        event, study = events[-1], self._known()
        child = self._children.get(int(event["number"]))
        tags = {"visiontune.winner": str(event["number"]), "visiontune.winner_run_id": child.run_id if child else ""}
        self._mlflow.log(study.parent, _metrics(event.get("metrics", {}), event["time_ms"]), tags=tags)
        if self._log_model:
            word = self._log_model(study.experiment_id, study.parent.run_id, event)
            self._mlflow.log(study.parent, tags={"visiontune.winner_model": word[:_MAX_TAG]})

    def _send_sheet(self, events: Sequence[Event]) -> None:
        if self._log_sheet:
            self._log_sheet(self._known().parent.run_id, events[-1])

    def _send_end(self, events: Sequence[Event]) -> None:
        event, study = events[-1], self._known()
        metrics = _metrics(event.get("metrics", {}), event["time_ms"])
        self._mlflow.log(study.parent, metrics, tags=_texts(event.get("tags", {})))
        self._set_parent(self._mlflow.set_status(study.parent, _status(event), event["time_ms"]))

    def _known(self) -> Study:
        if self._study is None:
            raise ValueError("an event came before the study's own")
        return self._study

    def _set_parent(self, parent: RunState) -> None:
        self._parent, self._study = parent, replace(self._known(), parent=parent)

    def _load(self, experiment_id: str, key: str) -> None:
        self._parent, self._children = self._mlflow.find_runs(experiment_id, key)

    def _child(self, number: int, events: Sequence[Event]) -> RunState:
        study = self._known()
        first = next((event for event in events if event["event"] == "trial"), events[0])
        tags = {**study.child_tags, **_texts(first.get("tags", {})), NUMBER: str(number), "visiontune.kind": "trial"}
        name = run_name(number, first.get("params", {}))
        self._children[number] = self._mlflow.make_run(study.experiment_id, name, tags, first["time_ms"])
        return self._children[number]


def run_name(number: int, params: Mapping[str, Any]) -> str:
    """What tells trials apart in a list.

    >>> run_name(7, {"model.name": "lenet5", "optimizer.name": "adamw"})
    '0007 lenet5 adamw'
    """
    parts = [params.get(key) for key in ("model.name", "optimizer.name")]
    return " ".join([f"{number:04d}", *(str(part) for part in parts if part)])


def _study_tags(event: Event) -> dict[str, str]:
    digest = event.get("data", {}).get("digest")
    tags = {**event.get("tags", {}), **({"visiontune.data_digest": digest} if digest else {})}
    return {**_texts(tags), KEY: event["key"], "visiontune.study": event["study"]}


def _study(event: Event, experiment_id: str, parent: RunState) -> Study:
    return Study(event["key"], experiment_id, parent, {**_study_tags(event), PARENT: parent.run_id}, event.get("data", {}))


def _params(event: Event) -> dict[str, str]:
    return {key: _text(value)[:_MAX_PARAM] for key, value in event.get("params", {}).items()}


def _metrics(values: Mapping[str, Any], time_ms: int, epoch: int = 0) -> list[Metric]:
    return [Metric(key, float(value), time_ms, epoch) for key, value in values.items()]


def _status(event: Event) -> str:
    if event["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, but got {event['status']!r}")
    return str(event["status"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _texts(tags: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value)[:_MAX_TAG] for key, value in tags.items()}
