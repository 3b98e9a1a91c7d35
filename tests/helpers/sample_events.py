"""A search's events, made up, and what MLflow has of a study, read back with MLflow's own client."""

from __future__ import annotations

import math
from typing import Any

DIGEST = "0123456789abcdef" * 4
T0 = 1_700_000_000_000


def study(name: str, **params: Any) -> dict[str, Any]:
    data = {"name": "digits", "digest": DIGEST, "source": "digits", "num_train": 1_000, "num_val": 100, "num_test": 300}
    tags = {"git.commit": "abc123"}
    return {"event": "study", "study": name, "key": f"key-{name}", "params": params, "tags": tags, "data": data, "time_ms": T0}


def trial(number: int, **params: Any) -> dict[str, Any]:
    params = {"model.name": "lenet5", "optimizer.name": "adamw", "optimizer.lr": 0.1 / (number + 1), **params}
    tags = {"recipe.fingerprint": f"f{number}"}
    recipe = {"model": {"name": "lenet5", "width": 1}, "optimizer": {"name": "adamw"}}
    return {"event": "trial", "number": number, "params": params, "recipe": recipe, "tags": tags, "time_ms": T0 + number}


def epoch(number: int, epoch: int, time_ms: int = 0) -> dict[str, Any]:
    metrics = {"val_top1": 1 - 1 / (number + epoch + 1), "val_loss": 1 / epoch}
    known = {"epoch": epoch, "metrics": metrics, "objective": metrics["val_top1"]}
    return {"event": "epoch", "number": number, **known, "time_ms": time_ms or T0 + 1_000 * epoch}


def best(step: int, value: float) -> dict[str, Any]:
    return {"event": "best", "metrics": {"best.val_top1": value}, "step": step, "time_ms": T0 + 1_000 * step}


def confirmation(seed: int, epoch: int, time_ms: int = 0, **final: float) -> dict[str, Any]:
    known = {"event": "confirmation", "key": f"confirmation.f0.{seed}", "number": 0, "seed": seed, "epoch": epoch}
    ending = {"status": "FINISHED", "reason": "trained in full", "final": final} if final else {}
    figures = {"metrics": {"val_top1": 0.1 * epoch}, "objective": 0.1 * epoch}
    return {**known, **figures, **ending, "time_ms": time_ms or T0 + 12_000 + 1_000 * epoch}


def end(number: int, status: str = "FINISHED", reason: str = "full budget") -> dict[str, Any]:
    return {"event": "end", "number": number, "status": status, "reason": reason, "time_ms": T0 + 10_000}


def study_end(status: str = "FINISHED") -> dict[str, Any]:
    return {"event": "study_end", "status": status, "metrics": {"best.val_top1": 0.75}, "step": 9, "tags": {}, "time_ms": T0 + 20_000}


def search(name: str, num_trials: int = 3, num_epochs: int = 3) -> list[dict[str, Any]]:
    events = [study(name)]
    for number in range(num_trials):
        events += [trial(number), *(epoch(number, e) for e in range(1, num_epochs + 1)), best(number + 1, number / 10), end(number)]
    return [*events, study_end()]


def content(client: Any, name: str) -> dict[str, Any]:
    """Everything of the study in MLflow, run ids aside; the parent under "". Fails when a number is there twice."""
    experiment = client.get_experiment_by_name(name)
    found: dict[str, Any] = {}
    for run in client.search_runs([experiment.experiment_id], max_results=1_000):
        number = run.data.tags.get("visiontune.number", run.data.tags.get("visiontune.confirmation", ""))
        assert number not in found, f"trial {number!r} is there twice"
        curves = {
            key: [(m.step, None if math.isnan(m.value) else m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        inputs = [(one.dataset.name, one.dataset.digest) for one in run.inputs.dataset_inputs]
        found[number] = (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time, run.data.params, curves, tags, inputs)
    return found
