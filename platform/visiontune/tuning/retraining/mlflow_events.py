"""What a search tells MLflow, as plain events: tracking/mlflow_runs.py makes runs of them. Any of them may be sent twice."""

from __future__ import annotations

import base64
import getpass
import io
import os
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from visiontune.data.store.store import Store
from visiontune.filesystem.json_text import read_mapping
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.intervals import half_width
from visiontune.spec.declarations.declare import NOTHING
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.several_labels import has_many
from visiontune.tuning.records.leg import Report, device_of
from visiontune.tuning.records.records import StudyRecord, TrialRecord, test_figures_of
from visiontune.tuning.retraining.answer import answer
from visiontune.tuning.study.lineage import begun

Event = dict[str, Any]
STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "waiting": "FINISHED"}
"""A trial that was not promoted has done what was asked of it; MLflow's KILLED has a red cross, as FAILED has. The tag says which."""


def study_event(spec: StudySpec, key: str, pictures: Mapping[str, Any], said: Sequence[str] = ()) -> Event:
    """A driver starts, or goes on. `key` tells the study from an earlier one of its name; `pictures` are what the study keeps of them
    (study_pictures.py), `said` what was said of them before the first trial.
    """
    data: dict[str, Any] = {}
    if pictures:  # a study of earlier versions may have kept none
        data = {"name": spec.data["source"], "source": spec.data["source"], "digest": pictures["digest"]}
        data |= {f"num_{split}": num for split, num in pictures.get("splits", {}).items()}
    searched = [name for name, _, above in spec.space.domains() if not above]
    known = {"identity": spec.identity(), "mode": spec.objective.mode, "searched": searched}
    known |= {"test": "map"} if has_many(spec.data) else {}
    known |= {"tags": source_tags(spec), "data": data, **({"pictures": "\n".join(said)} if said else {})}
    return {"event": "study", "study": spec.study, "key": key, **known, "time_ms": now_ms()}


def trial_event(trial: TrialRecord) -> Event:
    """A trial exists, as it was begun. Params are what is searched; all else is in the recipe."""
    first = begun(trial)
    tags = {"recipe.fingerprint": first.fingerprint, "visiontune.proposed_by": trial.proposed_by, "visiontune.state": "running"}
    known = {"params": dict(first.params), "recipe": first.recipe}
    return {"event": "trial", "number": trial.number, **known, "tags": tags, "time_ms": now_ms()}


def epoch_event(
    number: int, report: Report, value: float, rungs: Collection[int], costs: Mapping[str, float] = NOTHING, attempt: int = 1
) -> Event:
    """An epoch of a trial, at the time at which its worker ended it; `value` is the objective's.

    With the first one what the trial costs, as far as it is known; with the first of a leg where it is trained.
    """
    found = {f"costs.{name}": cost for name, cost in costs.items()}
    metrics = {**report.metrics, **found, **({"rung": report.epoch} if report.epoch in rungs else {})}
    known = {"epoch": report.epoch, "metrics": metrics, "objective": value}
    where = {"tags": place_tags(report.place, attempt)} if report.place else {}
    return {"event": "epoch", "number": number, **known, **where, "time_ms": report.time_ms}


def place_tags(place: Mapping[str, Any], attempt: int) -> dict[str, str]:
    """Where a trial is trained, and which worker in a row has it: those before were lost."""
    return {"visiontune.node": str(place["node"]), "visiontune.device": device_of(place), "visiontune.attempt": str(attempt)}


def best_event(metric: str, value: float, num_epochs: int) -> Event:
    """The first of the ranking is another, or has another value; the study's trials have so many epochs together."""
    return {"event": "best", "metrics": {f"best.{metric}": value}, "step": num_epochs, "time_ms": now_ms()}


def end_event(number: int, state: str, reason: str, micro_batch: int = 0, costs: Mapping[str, float] = NOTHING, phases: str = "") -> Event:
    """A trial has ended; one that is waiting can go on, should the study be carried on with a larger budget.

    `micro_batch`: what memory allowed, where that was less than the recipe's; `costs`: what training took; `phases`: whose weights it
    took, where it is of a population: its params are those that it was begun with.
    """
    tags = {"visiontune.state": state, "visiontune.can_go_on": str(state == "waiting").lower()}
    if micro_batch:
        tags["visiontune.micro_batch"] = str(micro_batch)
    if phases:
        tags["visiontune.phases"] = phases
    metrics = {"metrics": {f"costs.{name}": cost for name, cost in costs.items()}} if costs else {}
    return {"event": "end", "number": number, "status": STATUS[state], "reason": reason, "tags": tags, **metrics, "time_ms": now_ms()}


def winner_event(study: StudyRecord, number: int, folder: StudyFolder, data: Mapping[str, Any]) -> Event:
    """The winner, with where its files are and, in `data`, what its model needs to know of the pictures."""
    tested = study.tested
    name, figures = test_figures_of(tested)
    metrics = {f"test_{name}_mean": fmean(figures)} if tested else {}
    metrics |= _race_metrics(study, number)
    if study.with_val is not None and study.with_val.is_tested:
        metrics["test_top1_with_val"] = study.with_val.test_top1  # never of several classes
    for views in {one.test_time for one in tested if one.test_time_top1 is not None}:
        found = [one.test_time_top1 for one in tested if one.test_time == views and one.test_time_top1 is not None]
        metrics[f"test_top1_{views}_mean"] = sum(found) / len(found)
    if folder.winner_test.exists():  # of the very weights that the model has, where the mean is of all seeds
        metrics |= read_mapping(folder.winner_test, "metrics")["metrics"]
    weights = folder.winner_weights
    paths = {"recipe": str(folder.winner.resolve()), "weights": str(weights.resolve()) if weights.exists() else ""}
    return {"event": "winner", "number": number, **paths, "metrics": metrics, "data": data, "time_ms": now_ms()}


def data_of(store: Store) -> dict[str, Any]:
    """What the winner's model needs to know of the pictures."""
    return {
        "num_classes": len(store.class_names),
        "channels": int(store.images_NHWC.shape[3]),
        "image_size": store.image_size,
        "class_names": list(store.class_names),
        "mean": [float(value) for value in store.mean_C],
        "std": [float(value) for value in store.std_C],
        "examples": _examples(store),
    }


def _examples(store: Store) -> list[str]:
    """Two validation pictures as PNG files, in base64."""
    from PIL import Image

    found = []
    for picture in store.read(store.val_idx[:2], store.image_size):
        Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(file := io.BytesIO(), "PNG")
        found.append(base64.b64encode(file.getvalue()).decode())
    return found


def _race_metrics(study: StudyRecord, number: int) -> dict[str, float]:
    """The winner's value over fresh seeds, the search's beyond it, and the probability of being the best of those that were confirmed."""
    found = [one.val_value for one in study.confirmations if not one.failure]
    own = next((one for one in study.candidates if one.number == number), None)
    if not found or own is None:
        return {}
    metric, mean = study.objective.metric, fmean(found)
    metrics = {f"confirmed_{metric}_mean": mean, "winners_curse": own.search_value - mean, "num_tests": float(study.num_tests)}
    metrics |= {f"confirmed_{metric}_std": stdev(found)} if len(found) > 1 else {}
    return metrics | ({} if own.probability is None else {"probability_best": own.probability})


def artifact_event(path: Path, artifact_folder: str) -> Event:
    """A file of the study's folder, for that folder of the parent run's artifacts."""
    return {"event": "artifact", "path": str(path.resolve()), "artifact_folder": artifact_folder, "time_ms": now_ms()}


def register_event(study: StudyRecord, winner: TrialRecord, name: str, data_digest: str) -> Event | None:
    """The winner's model becomes a version of the registered model; None without a confirmation. `half_width` of the 95 % interval
    of the mean over seeds, by Student's t; None for one seed.
    """
    good = [one for one in study.confirmations if not one.failure]
    if not good:
        return None
    values = [one.val_value for one in good]
    figures: dict[str, Any] = {"mean": fmean(values), "half_width": half_width(values), "num_seeds": len(good)}
    name_of_test, tested = test_figures_of(study.tested)
    figures |= {f"test_{name_of_test}": fmean(tested)} if tested else {}
    compared_by = {"metric": study.objective.metric, "mode": study.objective.mode, "data_digest": data_digest}
    return {"event": "register", "name": name, "study": study.name, "number": winner.number, **figures, **compared_by, "time_ms": now_ms()}


def study_end_event(study: StudyRecord, winner: TrialRecord | None) -> Event:
    """The search is over, with the answer as the description in MLflow."""
    metrics = {f"best.{study.objective.metric}": study.best.value} if study.best is not None else {}
    known = {"metrics": metrics, "step": sum(trial.epoch for trial in study.trials), "tags": {"mlflow.note.content": answer(study, winner)}}
    return {"event": "study_end", "status": "FINISHED", **known, "time_ms": now_ms()}


def stopped_event(reason: str) -> Event:
    """A driver leaves a study that the same command goes on with: its runs, and the study's own, end as KILLED."""
    return {"event": "study_end", "status": "KILLED", "reason": reason, "tags": {}, "time_ms": now_ms()}


def now_ms() -> int:
    """Wall clock in milliseconds, as MLflow counts it."""
    return int(time.time() * 1000)


def source_tags(spec: StudySpec) -> dict[str, str]:
    """Who searches, from which file and commit, as MLflow's own tags."""
    tags = {"mlflow.user": _user(), "mlflow.source.name": spec.space.file or spec.study, "mlflow.source.type": "LOCAL"}
    return {**tags, **({"mlflow.source.git.commit": commit} if (commit := _git_commit()) else {})}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())


def _git_commit() -> str:
    """The commit of the repository around the working directory; empty outside one."""
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
