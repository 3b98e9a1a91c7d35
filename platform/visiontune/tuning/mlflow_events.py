"""What a search tells MLflow, as plain events: tracking/mlflow_runs.py makes runs of them. Any of them may be sent twice."""

from __future__ import annotations

import base64
import io
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from visiontune.data.store.store import Store
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declare import NOTHING
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.tuning.records import Report, StudyRecord, TrialRecord

Event = dict[str, Any]
STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED", "waiting": "KILLED"}


def study_event(spec: StudySpec, key: str, store: Store) -> Event:
    """A driver starts, or goes on. `key` tells the study from an earlier one of its name."""
    data = {
        "name": spec.data["source"],
        "source": spec.data["source"],
        "digest": store.digest,
        "num_train": len(store.train_idx),
        "num_val": len(store.val_idx),
        "num_test": len(store.test_idx),
    }
    tags = {"mlflow.source.git.commit": commit} if (commit := _git_commit()) else {}
    return {"event": "study", "study": spec.study, "key": key, "params": spec.identity(), "tags": tags, "data": data, "time_ms": now_ms()}


def trial_event(trial: TrialRecord) -> Event:
    """A trial exists."""
    tags = {"recipe.fingerprint": trial.fingerprint, "visiontune.proposed_by": trial.proposed_by}
    return {"event": "trial", "number": trial.number, "params": TrialRecipe(**trial.recipe).flat(), "tags": tags, "time_ms": now_ms()}


def epoch_event(number: int, report: Report, costs: Mapping[str, float] = NOTHING) -> Event:
    """An epoch of a trial, at the time at which its worker ended it; with the first one what the trial costs, as far as it is known."""
    metrics = {**report.metrics, **{f"costs.{name}": cost for name, cost in costs.items()}}
    return {"event": "epoch", "number": number, "epoch": report.epoch, "metrics": metrics, "time_ms": report.time_ms}


def end_event(number: int, state: str, reason: str, micro_batch: int = 0, costs: Mapping[str, float] = NOTHING) -> Event:
    """A trial has ended; one that is waiting can go on, should the study be carried on with a larger budget.

    `micro_batch`: what memory allowed, where that was less than the recipe's; `costs`: what training took.
    """
    tags = {"visiontune.can_go_on": str(state == "waiting").lower()}
    if micro_batch:
        tags["visiontune.micro_batch"] = str(micro_batch)
    metrics = {"metrics": {f"costs.{name}": cost for name, cost in costs.items()}} if costs else {}
    return {"event": "end", "number": number, "status": STATUS[state], "reason": reason, "tags": tags, **metrics, "time_ms": now_ms()}


def winner_event(study: StudyRecord, number: int, folder: StudyFolder, store: Store) -> Event:
    """The winner, with where its files are and what its model needs to know of the pictures."""
    tested = [one for one in study.confirmations if not one.failure]
    metrics = {"test_top1_mean": sum(one.test_top1 for one in tested) / len(tested)} if tested else {}
    for views in {one.test_time for one in tested if one.test_time_top1 is not None}:
        found = [one.test_time_top1 for one in tested if one.test_time == views and one.test_time_top1 is not None]
        metrics[f"test_top1_{views}_mean"] = sum(found) / len(found)
    data = {
        "num_classes": len(store.class_names),
        "channels": int(store.images_NHWC.shape[3]),
        "image_size": int(store.images_NHWC.shape[1]),
        "class_names": list(store.class_names),
        "mean": [float(value) for value in store.mean_C],
        "std": [float(value) for value in store.std_C],
        "examples": _examples(store),
    }
    weights = folder.winner_weights
    paths = {"recipe": str(folder.winner.resolve()), "weights": str(weights.resolve()) if weights.exists() else ""}
    return {"event": "winner", "number": number, **paths, "metrics": metrics, "data": data, "time_ms": now_ms()}


def _examples(store: Store) -> list[str]:
    """Two validation pictures as PNG files, in base64."""
    from PIL import Image

    found = []
    for picture in store.read(store.val_idx[:2], store.image_size):
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file := io.BytesIO(), "PNG")
        found.append(base64.b64encode(file.getvalue()).decode())
    return found


def sheet_event(folder: StudyFolder) -> Event:
    """The picture of the winner's augmentation."""
    return {"event": "sheet", "path": str(folder.winner_sheet.resolve()), "time_ms": now_ms()}


def study_end_event(metrics: dict[str, Any]) -> Event:
    """The search is over; `metrics` of the winner, if there is one."""
    return {"event": "study_end", "status": "FINISHED", "metrics": metrics, "tags": {}, "time_ms": now_ms()}


def now_ms() -> int:
    """Wall clock in milliseconds, as MLflow counts it."""
    return int(time.time() * 1000)


def _git_commit() -> str:
    """The commit of the repository around the working directory; empty outside one."""
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
