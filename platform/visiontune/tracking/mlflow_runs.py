"""A study's events as MLflow runs: one experiment and parent run for the study, one child run for each trial and confirmation.

Everything here may be said twice. Runs are found again by the tags visiontune.study_key, visiontune.number and
visiontune.confirmation. The step of a child's newest objective, which is logged after all else of an epoch, tells how far it is (so an
epoch trained twice is logged once, the first time), that of the parent's newest best how far the study's curve is; MLflow itself drops
equal metrics and params.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from visiontune.spec.yaml.yaml_writer import to_yaml
from visiontune.tracking import event_content as content
from visiontune.tracking.event_content import CAN_GO_ON, NOTE, REASON, STATE
from visiontune.tracking.mlflow_requests import Requests, RunState
from visiontune.tracking.mlflow_view import KIND, TRAINING, VIEW, leaderboard_view
from visiontune.tracking.outbox import Event, child_name
from visiontune.tracking.told import CHILD_EVENTS, ToldChild

PARENT = "mlflow.parentRunId"


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

    `log_model(experiment_id, run_id, event)` logs the winner's model and gives a word on it for a tag; `log_artifact(run_id, event)`
    a file; `register(run_id, event)` registers the model and gives a word on it for a tag.
    """

    def __init__(
        self,
        client: Any,
        artifact_root: Path | None,
        log_model: Callable[[str, str, Event], str] | None = None,
        log_artifact: Callable[[str, Event], None] | None = None,
        register: Callable[[str, Event], str] | None = None,
    ) -> None:
        self._mlflow, self._log_model, self._log_artifact = Requests(client, artifact_root), log_model, log_artifact
        self._register = register
        self._study: Study | None = None
        self._parent: RunState | None = None
        self._children: dict[str, RunState] = {}
        self._is_stale = False

    @property
    def is_ready(self) -> bool:
        """Whether the study's parent run is known, so that other events have a place."""
        return self._study is not None

    def forget(self) -> None:
        """Look before the next run is made: one may be there although the answer never came."""
        self._is_stale = True

    @property
    def restored(self) -> str:
        """What was found deleted so far and is there again; "" for nothing."""
        return str(self._mlflow.restored)

    def revive(self, events: Sequence[Event]) -> bool:
        """Whether what these events belong to was deleted, and is there again. KeyError where it is gone for good."""
        if self._study is None:
            return False
        child = self._children.get(child_name(events[0])) if events[0]["event"] in CHILD_EVENTS else None
        return self._mlflow.revive(self._study.experiment_id, [self._study.parent.run_id, *([child.run_id] if child else [])])

    def num_lacking(self, children: Mapping[str, ToldChild]) -> int:
        """How many of these MLflow does not have, or not as far, or not as ended."""
        return sum(_lacks(self._children.get(name), child) for name, child in children.items())

    def adopt(self, event: Event) -> bool:
        """Take up the study of this event if MLflow has it; nothing is written, but what was deleted is restored."""
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
        ends = {"best": self._send_best, "winner": self._send_winner, "register": self._send_registered, "study_end": self._send_end}
        ends |= {"artifact": self._send_artifacts, "sheet": self._send_artifacts}  # sheet: an artifact of older versions
        {"study": self._send_study, **ends}.get(events[0]["event"], self._send_child)(events)

    def _send_study(self, events: Sequence[Event]) -> None:
        event = events[-1]
        experiment_id = self._mlflow.make_experiment(event["study"])
        if self._study is None or self._study.key != event["key"]:
            self._load(experiment_id, event["key"])
        tags = {**content.study_tags(event), **content.picture_tags(event), "visiontune.kind": "study"}
        if self._parent is None:
            self._parent = self._mlflow.make_run(experiment_id, event["study"], tags, event["time_ms"])
        self._study = _study(event, experiment_id, self._parent)
        self._mlflow.log_data(self._parent, self._study.data)
        parent = self._mlflow.log(self._parent, params=content.params(event), tags=tags)
        self._set_parent(self._mlflow.set_status(parent, "RUNNING", event["time_ms"]))
        view = leaderboard_view(parent.run_id, event.get("mode", "max"), event.get("searched", ()), event.get("test", "top1"))
        self._mlflow.tag_experiment(experiment_id, {KIND: TRAINING, VIEW: view}, _is_chosen)
        if "identity" in event:
            self._mlflow.log_text(parent, to_yaml(event["identity"]), "study.yaml")

    def _send_child(self, events: Sequence[Event]) -> None:
        """A trial or a confirmation. Its recipe last, or where artifacts can't be written the rest would not be there either."""
        name = child_name(events[0])
        is_new = name not in self._children
        state = self._child(name, events) if is_new else self._children[name]
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        metrics: list[Metric] = []
        epoch, status, time_ms = state.epoch, state.status, 0
        for event in events:
            time_ms = event["time_ms"]
            if event["event"] == "trial":
                params |= content.params(event)
                tags |= {} if is_new else content.texts(event.get("tags", {}))
            if event["event"] == "epoch":
                tags |= content.texts(event.get("tags", {}))
            if event.get("epoch", 0) > epoch:
                epoch, status = int(event["epoch"]), "RUNNING"
                metrics += content.epoch_metrics(event)
                tags[STATE] = "running"
            final = {key: value for key, value in event.get("final", {}).items() if content.metric_name(key) not in state.metrics}
            metrics += content.metrics(final, time_ms, epoch)
            if "status" in event:
                status, tags[REASON] = content.status(event), str(event.get("reason", ""))[: content.MAX_TAG]
                tags |= content.texts(event.get("tags", {}))
            if event["event"] == "end":
                metrics += content.metrics(event.get("metrics", {}), time_ms, epoch)
        if params and not state.params:  # they are logged after it: once they are there, the data is
            self._mlflow.log_data(state, self._known().data)
        state = self._children[name] = replace(self._mlflow.log(state, metrics, params, tags), epoch=epoch)
        state = self._children[name] = self._mlflow.set_status(state, status, time_ms)
        for recipe in [event["recipe"] for event in events if "recipe" in event][-1:]:
            self._mlflow.log_text(state, to_yaml(recipe), "recipe.yaml")

    def _send_best(self, events: Sequence[Event]) -> None:
        """The curve of the study's best, on the parent."""
        parent = self._known().parent
        for event in events:
            if event["step"] > parent.epoch:
                metrics = content.metrics(event["metrics"], event["time_ms"], event["step"])
                parent = replace(self._mlflow.log(parent, metrics), epoch=event["step"])
                self._set_parent(parent)

    def _send_winner(self, events: Sequence[Event]) -> None:
        """The last winner counts: its test metrics, recipe, weights and model go to the parent run."""
        event, study = events[-1], self._known()
        child = self._children.get(str(event["number"]))
        tags = {"visiontune.winner": str(event["number"]), "visiontune.winner_run_id": child.run_id if child else ""}
        self._mlflow.log(study.parent, content.metrics(event.get("metrics", {}), event["time_ms"]), tags=tags)
        if self._log_model:
            word = self._log_model(study.experiment_id, study.parent.run_id, event)
            self._mlflow.log(study.parent, tags={"visiontune.winner_model": word[: content.MAX_TAG]})

    def _send_registered(self, events: Sequence[Event]) -> None:
        """The winner's model, which its own event has logged before."""
        if self._register:
            parent = self._known().parent
            said = self._register(parent.run_id, events[-1])
            self._mlflow.log(parent, tags={"visiontune.registered": said[: content.MAX_TAG]})

    def _send_artifacts(self, events: Sequence[Event]) -> None:
        """Files of the study, each in place of an earlier one of its name."""
        for event in events:
            if self._log_artifact:
                self._log_artifact(self._known().parent.run_id, event)

    def _send_end(self, events: Sequence[Event]) -> None:
        event, study = events[-1], self._known()
        metrics = content.metrics(event.get("metrics", {}), event["time_ms"], event.get("step", 0))
        is_stopped = {REASON: str(event.get("reason", "")), CAN_GO_ON: str(event["status"] == "KILLED").lower()}
        parent = self._mlflow.log(study.parent, metrics, tags=content.texts({**is_stopped, **event.get("tags", {})}))
        self._set_parent(self._mlflow.set_status(parent, content.status(event), event["time_ms"]))
        if event["status"] == "KILLED":
            self.stop(str(event.get("reason", "")), event["time_ms"])
        if NOTE in event.get("tags", {}):
            self._mlflow.tag_experiment(study.experiment_id, {NOTE: event["tags"][NOTE][: content.MAX_TAG]}, _is_chosen)

    def stop(self, reason: str, time_ms: int) -> None:
        """Whatever says RUNNING, the study too, is KILLED and can go on: nobody works on it now."""
        running = {name: child for name, child in self._children.items() if child.status == "RUNNING"}
        tags = {REASON: reason[: content.MAX_TAG], STATE: "waiting", CAN_GO_ON: "true"}
        for name, child in running.items():
            self._children[name] = self._mlflow.set_status(self._mlflow.log(child, tags=tags), "KILLED", time_ms)
        parent = self._known().parent
        if parent.status == "RUNNING":
            parent = self._mlflow.log(parent, tags={REASON: reason[: content.MAX_TAG], CAN_GO_ON: "true"})
            self._set_parent(self._mlflow.set_status(parent, "KILLED", time_ms))

    def _known(self) -> Study:
        if self._study is None:
            raise ValueError("an event came before the study's own")
        return self._study

    def _set_parent(self, parent: RunState) -> None:
        self._parent, self._study = parent, replace(self._known(), parent=parent)

    def _load(self, experiment_id: str, key: str) -> None:
        self._parent, self._children = self._mlflow.find_runs(experiment_id, key)
        if self._parent is not None and self._study is not None and self._study.key == key:
            self._study = replace(self._study, parent=self._parent)

    def _child(self, name: str, events: Sequence[Event]) -> RunState:
        study = self._known()
        first = next((event for event in events if event["event"] == "trial"), events[0])
        title, tags = content.child_head(first)
        self._children[name] = self._mlflow.make_run(study.experiment_id, title, {**study.child_tags, **tags}, first["time_ms"])
        return self._children[name]


def _study(event: Event, experiment_id: str, parent: RunState) -> Study:
    tags = {**content.study_tags(event), PARENT: parent.run_id}
    return Study(event["key"], experiment_id, parent, tags, event.get("data", {}))


def _lacks(found: RunState | None, told: ToldChild) -> bool:
    return found is None or found.epoch < told.last or bool(told.state and found.status == "RUNNING")


def _is_chosen(key: str, value: str) -> bool:
    """Whether somebody chose this tag of the experiment in MLflow's UI, so that it stays: a kind, or a description of their own."""
    return (key == KIND and not value.endswith("inferred")) or (key == NOTE and not value.startswith(content.OWN_NOTE))
