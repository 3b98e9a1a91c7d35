"""One driver for a study: a lock on its folder, signed by who has it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.file_lock import Taken, locked_at_once
from visiontune.filesystem.study_folder import StudyFolder


@contextmanager
def driver_lock(folder: StudyFolder) -> Iterator[None]:
    """Hold the study's lock; UserError that names the holder when another driver has it."""
    try:
        with locked_at_once(folder.lock):
            _sign(folder.lock)
            yield
    except Taken:
        raise UserError(f"study {folder.name} is already driven by {_holder(folder.lock)}; wait for it or stop it first") from None


def _sign(path: Path) -> None:
    """In place: the lock is the file's own."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    path.write_text(json.dumps(holder))


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
