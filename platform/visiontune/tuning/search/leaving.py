"""A driver that leaves a study with work left says so to MLflow, however it leaves, so that no run there goes on saying RUNNING."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from visiontune.errors import first_line
from visiontune.tuning.records.records import Put
from visiontune.tuning.retraining.mlflow_events import stopped_event


@contextmanager
def said_when_left(put: Put, is_replaced: Callable[[], bool]) -> Iterator[Put]:
    """`put`, which at the end gets a last event where the study was begun and has not ended; none from a driver that another replaced."""
    last = ""

    def noted(event: Mapping[str, Any]) -> None:
        nonlocal last
        put(event)
        if last or event["event"] == "study":
            last = event["event"]

    reason = "interrupted"
    try:
        yield noted
    except Exception as error:
        reason = first_line(error)
        raise
    finally:
        if last not in ("", "study_end") and not is_replaced():
            with suppress(OSError):  # a full disk: the next start says how the study stands
                put(stopped_event(f"{reason}; the same command goes on"))
