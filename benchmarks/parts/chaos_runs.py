"""MLflow's runs of a search: how often they have each epoch, whether they say that the search can go on, and how they are deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from parts.killable_search import Search, wait_for
from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.study_folder import StudiesFolder

CAN_GO_ON = "visiontune.can_go_on"


def epochs_of(search: Search) -> dict[int, Counter[int]]:
    """How often MLflow has each epoch of each trial; a trial with several runs has them all."""
    client, found = _client(search), dict[int, Counter[int]]()
    for run in _runs(client, search):
        if run.data.tags.get("visiontune.kind") == "trial":
            points = client.get_metric_history(run.info.run_id, "val_top1")
            found.setdefault(int(run.data.tags["visiontune.number"]), Counter()).update(point.step for point in points)
    return found


def not_killed(search: Search) -> list[str]:
    """What of a search that was told to leave says that it runs, or not that it can go on."""
    runs = _runs(_client(search), search)
    bad = [run for run in runs if run.info.status == "RUNNING" or (run.info.status == "KILLED" and run.data.tags.get(CAN_GO_ON) != "true")]
    found = [f"MLflow's run {run.info.run_name} is {run.info.status}, can go on: {run.data.tags.get(CAN_GO_ON)}" for run in bad]
    is_said = any("mlflow.parentRunId" not in run.data.tags and run.info.status == "KILLED" for run in runs)
    return found if is_said else [*found, "MLflow's run of the study is not KILLED"]


def delete_trial(search: Search) -> None:
    """The run of the first trial that is there."""
    _delete_run(search, lambda run: run.data.tags.get("visiontune.kind") == "trial")


def delete_study(search: Search) -> None:
    """Its own run, and with it nothing of the trials'."""
    _delete_run(search, lambda run: "mlflow.parentRunId" not in run.data.tags)


def _delete_run(search: Search, is_it: Callable[[Any], bool]) -> None:
    """Once there is one: MLflow has what the study has a little later."""
    client = _client(search)
    client.delete_run(wait_for(lambda: next(filter(is_it, _runs(client, search)), None)).info.run_id)


def delete_experiment(search: Search) -> None:
    """With all that is in it."""
    client = _client(search)
    client.delete_experiment(client.get_experiment_by_name(search.study.name).experiment_id)


def _client(search: Search) -> Any:
    from mlflow import MlflowClient

    with locked(StudiesFolder(search.folder).mlflow_lock):  # a writer on a busy machine may still be making the tables
        return MlflowClient(search.uri)


def _runs(client: Any, search: Search) -> list[Any]:
    experiment = client.get_experiment_by_name(search.study.name)
    return client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []  # type: ignore[no-any-return]
