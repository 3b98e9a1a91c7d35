"""Earlier studies on an MLflow server, as records that start points are taken from: recipes, and the objective after the last epoch.

A search is a parent run; what its space and objective were is its artifact study.yaml, each trial's recipe one of the trial's run.
mlflow is imported where it is asked: most searches have nothing to ask.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from visiontune.errors import UserError, first_line
from visiontune.filesystem.uri import shown
from visiontune.spec.space.study_spec import Objective
from visiontune.spec.yaml.yaml_reader import read_yaml
from visiontune.tracking.mlflow_uri import QUIET_ENV
from visiontune.tracking.mlflow_view import LAST, VIEW
from visiontune.tuning.records.records import StudyRecord, TrialRecord

MOST_STUDIES, MOST_TRIALS = 20, 64
"""The newest studies with `auto`, and of each the best trials: a recipe takes a request or two, and so many take some seconds."""
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""A search must not wait the minutes that mlflow gives a server which is away by default: its writer has them, who asks here has not."""
_AT_ONCE = 8
_PAGE = 1_000
STUDY_FILE, RECIPE_FILE = "study.yaml", "recipe.yaml"


class StudiesThere:
    """Of the MLflow at a URI. Whatever it answers with becomes a UserError."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @classmethod
    def by_environment(cls) -> StudiesThere | None:
        """Of the MLflow that MLFLOW_TRACKING_URI names; None without: then it holds what the studies' folder does."""
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        return cls(uri) if uri else None

    def names(self) -> list[str]:
        """The newest studies, newest first. Raises UserError."""
        with _told(self._uri):
            found = self._client.search_experiments(max_results=_PAGE, order_by=["last_update_time DESC"])
            return [one.name for one in found if VIEW in one.tags][:MOST_STUDIES]

    def read(self, name: str) -> StudyRecord | None:
        """Its newest search; None where there is no such study. Raises UserError, also where a search says too little of itself."""
        with _told(self._uri):
            experiment = self._client.get_experiment_by_name(name)
            parent = None if experiment is None else next(iter(self._runs(experiment.experiment_id, "visiontune.kind", "study")), None)
            return None if experiment is None or parent is None else self._record(name, experiment.experiment_id, parent)

    @cached_property
    def _client(self) -> Any:
        os.environ.update({key: value for key, value in QUIET_ENV.items() if key not in os.environ})
        from mlflow.tracking import MlflowClient

        return MlflowClient(self._uri)

    def _runs(self, experiment_id: str, tag: str, value: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", 1, _PAGE, ["attributes.start_time DESC"], token)
            yield from page
            token = page.token
            if not token:
                return

    def _record(self, name: str, experiment_id: str, parent: Any) -> StudyRecord:
        from visiontune.tracking.mlflow_requests import KEY, NUMBER

        identity = self._file(parent, STUDY_FILE)
        if "objective.metric" not in identity:
            raise UserError(f"study {name} of MLflow does not say what it searched for, as older ones don't; leave it out")
        objective = Objective(identity["objective.metric"], identity["objective.mode"])
        runs = [
            run for run in self._runs(experiment_id, KEY, parent.data.tags[KEY]) if NUMBER in run.data.tags and LAST in run.data.metrics
        ]
        sign = -1 if objective.mode == "max" else 1
        best = sorted(runs, key=lambda run: (-_epoch(run), sign * run.data.metrics[LAST]))[:MOST_TRIALS]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            recipes = list(pool.map(lambda run: self._file(run, RECIPE_FILE), best))
        trials = [_trial(run, recipe) for run, recipe in zip(best, recipes, strict=True) if recipe]
        return StudyRecord(name, objective, (), None, tuple(trials), None, identity=identity)

    def _file(self, run: Any, name: str) -> Mapping[str, Any]:
        """A YAML artifact; nothing where there is none."""
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="visiontune-") as folder:
            try:
                path = download_artifacts(run_id=run.info.run_id, artifact_path=name, dst_path=folder, tracking_uri=self._uri)
            except (MlflowException, OSError):
                return {}
            content: Any = read_yaml(Path(path)).plain()
            return content if isinstance(content, Mapping) else {}


def _trial(run: Any, recipe: Mapping[str, Any]) -> TrialRecord:
    from visiontune.tracking.event_content import STATE
    from visiontune.tracking.mlflow_requests import NUMBER

    tags, value, epoch = run.data.tags, float(run.data.metrics[LAST]), _epoch(run)
    known = (int(tags[NUMBER]), tags.get(STATE, "complete"), value, epoch, "", "", dict(run.data.params), recipe)
    return TrialRecord(*known, tags.get("recipe.fingerprint", run.info.run_id), {epoch: value})


def _epoch(run: Any) -> int:
    return max((int(one.step) for one in run.data.to_proto().metrics if one.key == LAST), default=0)


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """Whatever MLflow raises, as a UserError that names it; no long waiting for one that is away."""
    from mlflow.exceptions import MlflowException

    before = {key: os.environ.get(key) for key in _PATIENCE}
    os.environ.update({key: value for key, value in _PATIENCE.items() if before[key] is None})
    try:
        yield
    except (MlflowException, OSError) as error:
        raise UserError(
            f"MLflow at {shown(uri)} can't be asked for earlier studies: {first_line(error).replace(uri, shown(uri))}"
        ) from error
    except (KeyError, ValueError, TypeError) as error:  # a run that somebody else made, or changed
        raise UserError(f"what MLflow at {shown(uri)} has of earlier studies is not what a search leaves there: {error!r}") from error
    finally:
        for key in (key for key, value in before.items() if value is None):
            os.environ.pop(key, None)
