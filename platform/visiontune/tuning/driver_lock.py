"""One driver for a study: a lock file in its folder, in which the holder writes who it is."""

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
from visiontune.tuning.who_drives import holder_of


@contextmanager
def driver_lock(folder: StudyFolder) -> Iterator[None]:
    """Hold the study's lock. Raises UserError that names the holder when another driver has it, or where the file system has no locks."""
    try:
        with locked_at_once(folder.lock):
            _sign(folder.lock)
            yield
    except Taken:
        who = holder_of(folder) or "another process"
        raise UserError(f"study {folder.name} is already driven by {who}; wait for it or stop it first") from None


def _sign(path: Path) -> None:
    """Written in place: the lock is on this very file, so it must not be replaced."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    path.write_text(json.dumps(holder))
