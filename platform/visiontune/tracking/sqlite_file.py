"""MLflow's database where it is a file: made anew where it was never finished, and known again where nothing has changed."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path


def file_of(uri: str) -> Path | None:
    """The file; None for any other kind of address."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def is_missing(uri: str) -> bool:
    """Whether it is a file that is not there."""
    return (path := file_of(uri)) is not None and not path.exists()


def identity(uri: str) -> tuple[int, int] | None:
    """Tells one file from another of that name; None where there is none."""
    path = file_of(uri)
    if path is None or not path.exists():
        return None
    return path.stat().st_dev, path.stat().st_ino


def settle(uri: str) -> None:
    """Bring the write-ahead log into the file, so that nothing but a change changes it (`state`)."""
    if (path := file_of(uri)) is not None and path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=1.0)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def state(uri: str) -> str:
    """Stays the same while nobody writes to the file; "" while that can't be told, and for any other kind of address."""
    path = file_of(uri)
    if path is None or not path.exists():
        return ""
    log, found = path.with_name(f"{path.name}-wal"), path.stat()
    is_behind = log.exists() and log.stat().st_size > 0
    return "" if is_behind else f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def move_half_made(uri: str) -> str:
    """Move a file aside that a kill left half-made, or that is no database; what was done in a sentence, "" for nothing.

    Only before anything has it open. One of another version of MLflow, which has runs, stays, and MLflow says what to do.
    """
    path = file_of(uri)
    if path is None or not path.exists() or not _is_half_made(path):
        return ""
    aside = path.with_name(f"{path.name}.unfinished-{time.strftime('%Y%m%d-%H%M%S')}")
    for end in ("-wal", "-shm", "-journal", ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(f"{aside}{end}")
    return f"{path.name} was half-made or damaged: it is made anew, and what was there is {aside.name}"


def _is_half_made(path: Path) -> bool:
    """MLflow makes its first experiment once all tables are there."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            if not tables:
                return False  # a new file
            return "experiments" not in tables or not database.execute("select 1 from experiments limit 1").fetchone()
    except sqlite3.OperationalError:
        return False  # locked, or not to be read by us
    except sqlite3.DatabaseError:
        return True
