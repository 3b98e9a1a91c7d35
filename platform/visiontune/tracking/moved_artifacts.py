"""A folder of studies that was moved, or copied: MLflow's database beside it names its artifacts by absolute paths, which are made anew.

MLflow has no request that changes where a run's artifacts are. Only prefixes of paths are changed, in one transaction, and only to folders
that are there; nothing is done to a server's database.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote

from visiontune.filesystem.study_folder import StudiesFolder

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def follow_artifacts(studies: StudiesFolder) -> int:
    """Have MLflow's SQLite file beside the studies name the artifacts beside it; how many experiments were moved.

    To be called under `studies.mlflow_lock`. A file that is no database of MLflow's, or can't be written, is left as it is.
    """
    if not studies.mlflow_database.is_file():
        return 0
    with suppress(sqlite3.Error), closing(sqlite3.connect(studies.mlflow_database, timeout=30.0)) as database, database:
        moved = list(_moved(database, studies.mlflow_artifacts.resolve()))
        for before, now in moved:
            for table, column in _COLUMNS:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
                )
        return len(moved)
    return 0


def _moved(database: sqlite3.Connection, root: Path) -> list[tuple[str, str]]:
    """Where an experiment's artifacts were and are; those that lie elsewhere by somebody's choice stay."""
    known = [
        str(location) for (location,) in database.execute("SELECT artifact_location FROM experiments WHERE artifact_location NOT NULL")
    ]
    found = []
    for before in known:
        above, mark, name = before.rpartition(f"/{root.name}/")
        folder = root / unquote(name)
        if mark and above.startswith("file://") and folder.is_dir() and folder.as_uri() != before:
            found.append((before, folder.as_uri()))
    return found
