"""What is asked of MLflow about runs: to find them, to make one, and to take what it does not have yet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType

KEY, NUMBER = "visiontune.study_key", "visiontune.number"
"""Tags by which a run is found again: its study's key, and a trial's number."""

_NUM_METRICS, _NUM_PARAMS, _NUM_TAGS = 800, 100, 100  # one request takes 1,000 of all together


@dataclass(frozen=True)
class RunState:
    """What MLflow has of a run: its last epoch, params as text and status."""

    run_id: str
    epoch: int = 0
    params: Mapping[str, str] | None = None
    status: str = "RUNNING"


class Requests:
    """To an MlflowClient; raises what the client raises."""

    def __init__(self, client: Any, artifact_root: Path | None) -> None:
        self._client, self._artifact_root = client, artifact_root

    def find_experiment(self, name: str) -> str | None:
        """Its id, also of one that was deleted."""
        experiment = self._client.get_experiment_by_name(name)
        return None if experiment is None else str(experiment.experiment_id)

    def make_experiment(self, name: str) -> str:
        """The id of one that is there, made or restored if need be."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = (self._artifact_root / name).as_uri() if self._artifact_root else None
            return str(self._client.create_experiment(name, location))
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        return str(experiment.experiment_id)

    def find_runs(self, experiment_id: str, key: str) -> tuple[RunState | None, dict[int, RunState]]:
        """A study's parent and its trials' runs by number, by one paginated search."""
        parent: RunState | None = None
        children: dict[int, RunState] = {}
        where, token = f"tags.`{KEY}` = '{key}'", None
        while True:
            page = self._client.search_runs([experiment_id], where, ViewType.ALL, 1_000, ["attributes.start_time ASC"], token)
            for run in page:
                state = RunState(run.info.run_id, int(run.data.metrics.get("epoch", 0)), dict(run.data.params), run.info.status)
                if NUMBER in run.data.tags:
                    children[int(run.data.tags[NUMBER])] = state
                else:
                    parent = state
            token = page.token
            if not token:
                return parent, children

    def make_run(self, experiment_id: str, name: str, tags: Mapping[str, str], time_ms: int) -> RunState:
        """Whether there is one already is not asked."""
        return RunState(self._client.create_run(experiment_id, time_ms, tags=tags, run_name=name).info.run_id)

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
        return replace(state, params={**known, **new}) if new else state

    def set_status(self, state: RunState, status: str, time_ms: int) -> RunState:
        """Let it run, or end it at that time."""
        if status != state.status and status == "RUNNING":
            self._client.update_run(state.run_id, status=status)
        elif status != state.status:
            self._client.set_terminated(state.run_id, status, time_ms)
        return replace(state, status=status)
