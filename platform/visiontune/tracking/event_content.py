"""What of an event becomes a run's name, tags, params and metrics, in the form and length that every MLflow store takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Metric

from visiontune.tracking.mlflow_requests import CONFIRMATION, KEY, NUMBER
from visiontune.tracking.mlflow_view import LAST
from visiontune.tracking.outbox import Event

REASON, STATE, NOTE = "visiontune.reason", "visiontune.state", "mlflow.note.content"
CAN_GO_ON = "visiontune.can_go_on"
"""Whether the same command goes on with a run that has ended."""
_RENAMED = {"lr": "schedule.lr", "epoch_s": "system/epoch_s", "data_wait_share": "system/data_wait_share"}
OWN_NOTE = "Study "
"""How descriptions of ours begin; others are a person's and stay."""
STATUSES = ("FINISHED", "KILLED", "FAILED")
_MAX_PARAM, MAX_TAG = 6_000, 5_000  # characters that every MLflow store takes


def run_name(number: int, params: Mapping[str, Any]) -> str:
    """What tells trials apart in a list.

    >>> run_name(7, {"model.name": "lenet5", "optimizer.name": "adamw"})
    '0007 lenet5 adamw'
    """
    parts = [params.get(key) for key in ("model.name", "optimizer.name")]
    return " ".join([f"{number:04d}", *(str(part) for part in parts if part)])


def child_head(event: Event) -> tuple[str, dict[str, str]]:
    """A new child's name in the list, and its own tags."""
    own = texts(event.get("tags", {}))
    if event["event"] == "confirmation":
        tags = {CONFIRMATION: event["key"], "visiontune.candidate": str(event["number"]), "visiontune.seed": str(event["seed"])}
        return f"{event['number']:04d} seed {event['seed']}", {**own, **tags, "visiontune.kind": "confirmation"}
    recipe, number = event.get("recipe", {}), int(event["number"])
    named = {f"{part}.name": recipe[part]["name"] for part in ("model", "optimizer") if part in recipe}
    return run_name(number, named or event.get("params", {})), {**own, NUMBER: str(number), "visiontune.kind": "trial"}


def study_tags(event: Event) -> dict[str, str]:
    """Of the parent, and of every child."""
    digest = event.get("data", {}).get("digest")
    tags = {**event.get("tags", {}), **({"visiontune.data_digest": digest} if digest else {})}
    return {**texts(tags), KEY: event["key"], "visiontune.study": event["study"]}


def picture_tags(event: Event) -> dict[str, str]:
    """Of the parent alone: what was said of the pictures before the first trial."""
    return texts({"visiontune.pictures": event["pictures"]}) if "pictures" in event else {}


def epoch_metrics(event: Event) -> list[Metric]:
    """Those of an epoch; the last of them says that it is there. Events of older versions have no objective."""
    last = {LAST: event[LAST]} if LAST in event else {"epoch": event["epoch"]}
    return metrics({**event["metrics"], **last}, event["time_ms"], int(event["epoch"]))


def params(event: Event) -> dict[str, str]:
    """As text."""
    return {key: _text(value)[:_MAX_PARAM] for key, value in event.get("params", {}).items()}


def metrics(values: Mapping[str, Any], time_ms: int, step: int = 0) -> list[Metric]:
    """All of them at one step."""
    return [Metric(metric_name(key), float(value), time_ms, step) for key, value in values.items()]


def metric_name(key: str) -> str:
    """Its name in MLflow, which sorts charts by name: how good a trial is comes first, what it takes is below, among system metrics.

    >>> metric_name("val_top1"), metric_name("lr"), metric_name("costs.train_s")
    ('val_top1', 'schedule.lr', 'system/costs.train_s')
    """
    return f"system/{key}" if key.startswith("costs.") else _RENAMED.get(key, key)


def status(event: Event) -> str:
    """Raises ValueError for one that MLflow does not know as an end."""
    if event["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, but got {event['status']!r}")
    return str(event["status"])


def texts(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as text."""
    return {key: _text(value)[:MAX_TAG] for key, value in tags.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
