"""Trials written in bulk against the same trials written by MLflow's own store."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path
from typing import Any

from made_up import content, end, epoch, search, study, trial

from visiontune.tracking.bulk import Bulk
from visiontune.tracking.deliver import Delivery
from visiontune.tracking.outbox import Outbox, load_sent, num_unsent
from visiontune.tracking.runs import Runs

TABLES = {
    "runs": "name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, deleted_time, source_version,"
    " lifecycle_stage, experiment_id",
    "tags": "key, tags.value",
    "params": "key, params.value",
    "metrics": "key, metrics.value, timestamp, step, is_nan",
    "latest_metrics": "key, latest_metrics.value, timestamp, step, is_nan",
    "inputs": "source_type, source_id, destination_type, step, (SELECT group_concat(name || value) FROM input_tags AS t"
    " WHERE t.input_uuid = inputs.input_uuid)",
}


def rows(studies_dir: Path, name: str) -> dict[str, list[tuple[Any, ...]]]:
    """What stands in the database for a study's trials, by trial, without what must differ: ids and the study's name."""
    found = {}
    with sqlite3.connect(studies_dir / "mlflow.db") as database:
        for table, columns in TABLES.items():
            run_id = "destination_id" if table == "inputs" else f"{table}.run_uuid"
            sql = f"SELECT number.value, {columns} FROM {table} JOIN tags AS number ON number.run_uuid = {run_id}"
            sql = sql.replace("key,", f"{table}.key,", 1) if "key," in columns else sql
            sql += " AND number.key = 'visiontune.number' JOIN tags AS study ON study.run_uuid = number.run_uuid"
            sql += f" AND study.key = 'visiontune.study' WHERE study.value = '{name}'"
            found[table] = sorted(database.execute(sql).fetchall(), key=repr)
    differs = ("visiontune.study", "visiontune.study_key", "mlflow.parentRunId")
    found["tags"] = [row for row in found["tags"] if row[1] not in differs]
    plain = {"runs": lambda row: row[:-1], "inputs": lambda row: (row[0], row[1], *row[3:])}
    return {table: [plain.get(table, tuple)(row) for row in lines] for table, lines in found.items()}


def deliver(client: Any, uri: str, folder: Path, bulk: Bulk | None) -> None:
    delivery = Delivery(folder, uri, lambda: Runs(client, folder / "artifacts", None, bulk))
    while delivery.step():
        pass


def test_bulk_writes_the_rows_that_mlflow_writes(client: Any, uri: str, studies_dir: Path, tmp_path: Path) -> None:
    odd = epoch(0, 4) | {"metrics": {"nan": math.nan, "inf": -math.inf}}
    for name, bulk in (("plain", None), ("bulk", Bulk(studies_dir / "mlflow.db"))):
        outbox = Outbox(tmp_path / name)
        for event in [*search(name), odd, end(1, "KILLED"), epoch(2, 4), trial(3), study(name), epoch(0, 5), end(0, "FAILED", "NaN")]:
            outbox.put(event)
        deliver(client, uri, tmp_path / name, bulk)
        assert num_unsent(tmp_path / name, uri) == 0
    plain, bulk_rows = rows(studies_dir, "plain"), rows(studies_dir, "bulk")
    assert {table: len(lines) > 0 for table, lines in plain.items()} == dict.fromkeys(TABLES, True)
    assert bulk_rows == plain
    experiment = client.get_experiment_by_name("bulk")
    for run in client.search_runs([experiment.experiment_id], "tags.`visiontune.kind` = 'trial'"):
        assert run.info.artifact_uri == f"{experiment.artifact_location}/{run.info.run_id}/artifacts"


def test_the_whole_outbox_again_changes_nothing(client: Any, uri: str, studies_dir: Path, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for event in search("bulk replay"):
        outbox.put(event)
    found = []
    for _ in range(2):
        deliver(client, uri, tmp_path, Bulk(studies_dir / "mlflow.db"))
        found.append(content(client, "bulk replay"))
        (tmp_path / "outbox.sent").unlink()  # as if killed between MLflow's commit and the mark
    assert found[0] == found[1]


def test_another_schema_falls_back_to_mlflows_own_client(client: Any, uri: str, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE runs (something_else)").connection.close()
    outbox = Outbox(tmp_path)
    for event in search("fallback"):
        outbox.put(event)
    delivery = Delivery(tmp_path, uri, lambda: Runs(client, None, None, Bulk(tmp_path / "other.db")))
    try:
        delivery.step()
    except ConnectionError as error:
        assert "a batch could not be written: " in str(error)
    assert load_sent(tmp_path, uri).offset == 0
    assert delivery.step()
    assert set(content(client, "fallback")) == {"", "0", "1", "2"}


def test_a_bad_key_is_refused_alone(client: Any, uri: str, studies_dir: Path, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    for event in [study("bulk refused"), trial(0), trial(1) | {"params": {"a bad\nkey": 1}}, epoch(1, 1), end(0)]:
        outbox.put(event)
    deliver(client, uri, tmp_path, Bulk(studies_dir / "mlflow.db"))
    (row,) = [json.loads(line) for line in (tmp_path / "outbox.refused.jsonl").read_text().splitlines()]
    assert row["event"]["number"] == 1
    found = content(client, "bulk refused")
    assert (found["0"][1], found["1"][5]["val_loss"][0][0]) == ("FINISHED", 1)
