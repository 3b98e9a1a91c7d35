"""Writes to runs of a local SQLite file, one transaction for a batch of trials in place of a dozen for each.

MLflow's own store takes 20 to 40 ms of CPU for a trial of three epochs, this under 2 ms. It writes the rows that
mlflow 3.17's SqlAlchemyStore writes (a test compares them) and is given up for MLflow's own client as soon as a
flush fails, for example because another mlflow has other tables.
"""

from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

_LARGEST = 1.7976931348623157e308  # how MLflow writes infinity

_SQL = {
    "run": (
        "INSERT INTO runs (run_uuid, name, status, start_time, experiment_id, artifact_uri, source_type, source_name, entry_point_name,"
        " user_id, source_version, lifecycle_stage)"
        " SELECT ?, ?, 'RUNNING', ?, experiment_id, artifact_location || '/' || ? || '/artifacts', 'UNKNOWN', '', '', 'unknown', '',"
        " 'active' FROM experiments WHERE experiment_id = ?"
    ),
    "input": (
        "INSERT OR IGNORE INTO inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)"
        " SELECT ?, source_type, source_id, destination_type, ?, step FROM inputs"
        " WHERE source_type = 'DATASET' AND destination_type = 'RUN' AND destination_id = ? LIMIT 1"
    ),
    "input_tag": (
        "INSERT OR IGNORE INTO input_tags (input_uuid, name, value) SELECT mine.input_uuid, name, value FROM inputs AS mine"
        " JOIN inputs AS theirs ON theirs.source_id = mine.source_id JOIN input_tags ON input_tags.input_uuid = theirs.input_uuid"
        " WHERE mine.input_uuid = ? AND theirs.destination_id = ?"
    ),
    "param": "INSERT OR IGNORE INTO params (run_uuid, key, value) VALUES (?, ?, ?)",
    "metric": "INSERT OR IGNORE INTO metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)",
    "latest": (
        "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step,"
        " is_nan = excluded.is_nan WHERE (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"
    ),
    "tag": ("INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?) ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value"),
    "status": "UPDATE runs SET status = ?, end_time = coalesce(?, end_time) WHERE run_uuid = ?",
}
"""In the order in which a flush runs them."""


class Bulk:
    """The calls of an MlflowClient that trials need; they wait in memory for `flush`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def clear(self) -> None:
        """Drop what waits."""
        self._rows = {}

    def create_run(self, experiment_id: str, start_time: int, tags: Mapping[str, str], run_name: str) -> Any:
        """A new run; it has `.info.run_id`, as MLflow's."""
        run_id = uuid.uuid4().hex
        self._add("run", (run_id, run_name, start_time, run_id, int(experiment_id)))
        for key, value in {**tags, "mlflow.runName": run_name}.items():
            self._add("tag", (run_id, key, value))
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def log_batch(self, run_id: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]) -> None:
        """As MlflowClient.log_batch, with its checks of keys and lengths."""
        from mlflow.utils.validation import _validate_batch_log_data

        metrics, params, tags = _validate_batch_log_data(metrics, params, tags)
        for metric in metrics:
            row = (run_id, metric.key, _finite(metric.value), metric.timestamp, metric.step, math.isnan(metric.value))
            self._add("metric", row)
            self._add("latest", row)
        for kind, pairs in (("param", params), ("tag", tags)):
            for pair in pairs:
                self._add(kind, (run_id, pair.key, pair.value))

    def copy_inputs(self, run_id: str, from_run_id: str) -> None:
        """Give a run the dataset that another has."""
        input_id = str(uuid.uuid4())
        self._add("input", (input_id, run_id, from_run_id))
        self._add("input_tag", (input_id, from_run_id))

    def update_run(self, run_id: str, status: str) -> None:
        """As MlflowClient.update_run."""
        self._add("status", (status, None, run_id))

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        """As MlflowClient.set_terminated."""
        self._add("status", (status, end_time, run_id))

    def flush(self) -> None:
        """Write all that waits, or nothing of it. sqlite3.Error when that fails; what waited is dropped then."""
        rows, self._rows = self._rows, {}
        if not rows:
            return
        where = f"file:{quote(str(self._path))}?mode=rw"  # rw: never makes a file
        with closing(sqlite3.connect(where, uri=True, timeout=20.0, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute("BEGIN IMMEDIATE")
            for kind, sql in _SQL.items():
                database.executemany(sql, rows.get(kind, ()))
            database.execute("COMMIT")

    def _add(self, kind: str, row: tuple[Any, ...]) -> None:
        self._rows.setdefault(kind, []).append(row)


def _finite(value: float) -> float:
    if math.isnan(value):
        return 0.0
    return math.copysign(_LARGEST, value) if math.isinf(value) else value
