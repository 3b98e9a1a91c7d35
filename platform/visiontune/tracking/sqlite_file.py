"""MLflow's database where it is a file: made anew where it was never finished, and known again where nothing has changed."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

_BESIDE = ("-wal", "-shm", "-journal")
_ASIDE = ".unfinished-"
_OF_SCHEME = ("alembic_version", "sqlite_sequence")


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

    One without a row in it, as a full disk leaves with every try, is removed, and so are those that were moved aside before.
    Only before anything has it open. One of another version of MLflow, which has runs, stays, and MLflow says what to do.
    """
    path = file_of(uri)
    if path is None or not path.exists():
        return ""
    _remove_dead(path)
    if not _is_half_made(path):
        return ""
    if _is_empty(path):
        _remove(path)
        return f"{path.name} was half-made: it is made anew"
    aside = path.with_name(f"{path.name}{_ASIDE}{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}")
    for end in (*_BESIDE, ""):
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(f"{aside}{end}")
    return f"{path.name} was half-made or damaged: it is made anew, and what was there is {aside.name}"


def _remove_dead(path: Path) -> None:
    """Files that were moved aside and have no row, and what lies beside files that are gone."""
    there = list(path.parent.glob(f"{path.name}{_ASIDE}*"))
    for one in there:
        main = next((one.with_name(one.name.removesuffix(end)) for end in _BESIDE if one.name.endswith(end)), one)
        if main == one and _is_empty(one):
            _remove(one)
        elif not main.exists():
            one.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for end in (*_BESIDE, ""):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _is_empty(path: Path) -> bool:
    """Whether it is a database whose tables have no rows, but for the number of its scheme; what can't be read counts as full."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
            return not any(database.execute(f'select 1 from "{name}" limit 1').fetchone() for name in tables if name not in _OF_SCHEME)
    except sqlite3.Error:
        return False


def _is_half_made(path: Path) -> bool:
    """MLflow makes its first experiment once all tables are there."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
            if not tables:
                return False  # a new file
            return "experiments" not in tables or not database.execute("select 1 from experiments limit 1").fetchone()
    except sqlite3.OperationalError:
        return False  # locked, or not to be read by us
    except sqlite3.DatabaseError:
        return True
