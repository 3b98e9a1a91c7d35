"""What MLflow is told of a recipe that is trained again: an epoch at a time, and of its test, which is a leg of its own."""

from __future__ import annotations

from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.retraining.mlflow_events import Event, now_ms


def confirmation_event(leg: Leg, report: Report, candidate: int, metric: str) -> Event | None:
    """Of a report on a leg that trains this trial's recipe again, under the name of its weights; None for what changes nothing in MLflow.

    Weights that are tested are those of an earlier leg, and a test that failed leaves what is known of them.
    """
    known: Event = {"event": "confirmation", "key": leg.weights, "number": candidate, "seed": leg.recipe.training["seed"]}
    if report.failure:
        return None if leg.is_test else {**known, **_failed(f"{report.failure}: {report.reason}"), "time_ms": now_ms()}
    final = {key: value for key, value in report.metrics.items() if key.startswith("test_")}
    ending = {"status": "FINISHED", "reason": _reason(leg), "tags": {"visiontune.state": "complete"}} if report.is_last else {}
    metrics = {key: value for key, value in report.metrics.items() if key not in final}
    if leg.is_test or leg.use_val or leg.averaged:  # of these an epoch says nothing that is compared
        own = {} if leg.is_test or leg.use_val else {key: value for key, value in metrics.items() if key == metric}
        return {**known, "final": {**own, **final}, **ending, "time_ms": report.time_ms} if report.is_last else None
    return {**known, "epoch": report.epoch, "metrics": metrics, "objective": metrics[metric], **ending, "time_ms": report.time_ms}


def crashed_event(leg: Leg, what: str, candidate: int) -> Event:
    """Of a leg that is given up."""
    known: Event = {"event": "confirmation", "key": leg.weights, "number": candidate, "seed": leg.recipe.training["seed"]}
    return {**known, **_failed(f"crashed: {what}"), "time_ms": now_ms()}


def _reason(leg: Leg) -> str:
    if leg.use_val:
        return "trained in full, on the validation pictures too"
    return "the mean of the weights of several seeds" if leg.averaged else "trained in full"


def _failed(reason: str) -> Event:
    return {"status": "FAILED", "reason": reason, "tags": {"visiontune.state": "failed"}}
