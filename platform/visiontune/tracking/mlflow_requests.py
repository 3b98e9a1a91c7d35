"""What is asked of MLflow about runs: to find them, to make one, and to take what it does not have yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from visiontune.tracking.mlflow_view import LAST

KEY, NUMBER, CONFIRMATION = "visiontune.study_key", "visiontune.number", "visiontune.confirmation"
"""Tags by which a run is found again: its study's key, and a trial's number or a confirmation's key."""

BEST = "best."
"""How metrics of a study's best begin; their steps say how far its curve is."""

_NUM_METRICS, _NUM_PARAMS, _NUM_TAGS = 800, 100, 100  # one request takes 1,000 of all together


@dataclass(frozen=True)
class RunState:
    """What MLflow has of a run: its last epoch, the names of its metrics, params as text and status."""

    run_id: str
    epoch: int = 0
    metrics: frozenset[str] = frozenset()
    params: Mapping[str, str] | None = None
    status: str = "RUNNING"


@dataclass
class Restored:
    """What was deleted in MLflow and is there again: whether the experiment was, and how many runs."""

    is_experiment: bool = False
    num_runs: int = 0

    def __str__(self) -> str:
        runs = f"{self.num_runs} deleted run{'' if self.num_runs == 1 else 's'}" * bool(self.num_runs)
        return " and ".join(filter(None, ["the deleted experiment" * self.is_experiment, runs]))


class Requests:
    """To an MlflowClient; raises what the client raises."""

    def __init__(self, client: Any, artifact_root: Path | None) -> None:
        self._client, self._artifact_root = client, artifact_root
        self.restored = Restored()

    def find_experiment(self, name: str) -> str | None:
        """Its id; one that was deleted is restored."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            return None
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
            self.restored.is_experiment = True
        return str(experiment.experiment_id)

    def make_experiment(self, name: str) -> str:
        """The id of one that is there, made or restored if need be."""
        if (found := self.find_experiment(name)) is not None:
            return found
        location = (self._artifact_root / name).as_uri() if self._artifact_root else None
        return str(self._client.create_experiment(name, location))

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str], keep: Callable[[str, str], bool]) -> None:
        """Set its tags but those that are there and that `keep` says to leave, of key and value."""
        there = self._client.get_experiment(experiment_id).tags
        for key, value in tags.items():
            if there.get(key, "") != value and not (key in there and keep(key, there[key])):
                self._client.set_experiment_tag(experiment_id, key, value)

    def find_runs(self, experiment_id: str, key: str) -> tuple[RunState | None, dict[str, RunState]]:
        """A study's parent and its children by a trial's number or a confirmation's key, by one paginated search.

        Deleted ones are restored.
        """
        parent: RunState | None = None
        children: dict[str, RunState] = {}
        where, token = f"tags.`{KEY}` = '{key}'", None
        while True:
            page = self._client.search_runs([experiment_id], where, ViewType.ALL, 1_000, ["attributes.start_time ASC"], token)
            for run in page:
                self._restore(run)
                state = RunState(run.info.run_id, _epoch(run), frozenset(run.data.metrics), dict(run.data.params), run.info.status)
                name = run.data.tags.get(NUMBER, run.data.tags.get(CONFIRMATION))
                if name is None:
                    parent = state
                else:
                    children[name] = state
            token = page.token
            if not token:
                return parent, children

    def revive(self, experiment_id: str, run_ids: Iterable[str]) -> bool:
        """Restore what of these was deleted; whether anything was. KeyError where something is gone for good."""
        try:
            experiment = self._client.get_experiment(experiment_id)
            was = bool(experiment.lifecycle_stage == "deleted")
            if was:
                self.find_experiment(experiment.name)
            return sum(self._restore(self._client.get_run(run_id)) for run_id in run_ids) > 0 or was
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise KeyError(str(error)) from error
            raise

    def _restore(self, run: Any) -> bool:
        is_deleted = bool(run.info.lifecycle_stage == "deleted")
        if is_deleted:
            self._client.restore_run(run.info.run_id)
            self.restored.num_runs += 1
        return is_deleted

    def make_run(self, experiment_id: str, name: str, tags: Mapping[str, str], time_ms: int) -> RunState:
        """Whether there is one already is not asked."""
        return RunState(self._client.create_run(experiment_id, time_ms, tags=tags, run_name=name).info.run_id)

    def log_text(self, state: RunState, text: str, file: str) -> None:
        """An artifact of the run, in place of an earlier one of that name."""
        self._client.log_text(state.run_id, text, file)

    def log_data(self, state: RunState, data: Mapping[str, Any]) -> None:
        """Say what the run's pictures are; nothing for no data."""
        if data:
            profile = json.dumps({key: value for key, value in data.items() if key.startswith("num_")})
            source = json.dumps({"source": data.get("source")})
            dataset = Dataset(data["name"], data["digest"][:36], "visiontune", source, profile=profile)
            self._client.log_inputs(state.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])

    def log(
        self,
        state: RunState,
        metrics: Sequence[Metric] = (),
        params: Mapping[str, str] = MappingProxyType({}),
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> RunState:
        """Log what is new. MLflow takes a param once: one that changed since (num_trials) becomes a tag."""
        known = state.params or {}
        new = {key: value for key, value in params.items() if key not in known}
        tags = {**tags, **{f"visiontune.changed.{key}": value for key, value in params.items() if known.get(key, value) != value}}
        rows = iter(metrics), iter([Param(*item) for item in new.items()]), iter([RunTag(*item) for item in tags.items()])
        while any(batch := [list(islice(row, limit)) for row, limit in zip(rows, (_NUM_METRICS, _NUM_PARAMS, _NUM_TAGS), strict=True)]):
            self._client.log_batch(state.run_id, *batch)
        return replace(state, params={**known, **new}, metrics=state.metrics | {metric.key for metric in metrics})

    def set_status(self, state: RunState, status: str, time_ms: int) -> RunState:
        """Let it run, or end it at that time."""
        if status != state.status and status == "RUNNING":
            self._client.update_run(state.run_id, status=status)
        elif status != state.status:
            self._client.set_terminated(state.run_id, status, time_ms)
        return replace(state, status=status)


def _epoch(run: Any) -> int:
    """How far it is. Runs of older versions have a metric "epoch" that says it."""
    steps = [metric.step for metric in run.data.to_proto().metrics if metric.key == LAST or metric.key.startswith(BEST)]
    return int(max(*steps, 0, run.data.metrics.get("epoch", 0)))
