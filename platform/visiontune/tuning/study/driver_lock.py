"""One driver for a study: a lock file in its folder, in which the holder writes who it is."""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.file_lock import Taken, locked_at_once
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.who_drives import holder_of


@contextmanager
def driver_lock(folder: StudyFolder) -> Iterator[None]:
    """Hold the study's lock. Raises UserError that names the holder when another driver has it, where the file system has no locks, and
    for a study that can only be read.
    """
    with ExitStack() as stack:
        try:
            with writing(folder):
                stack.enter_context(locked_at_once(folder.lock))
                _sign(folder.lock)
                folder.driver_state.unlink(missing_ok=True)  # in containers a driver before this one often had the same pid
                folder.stopping.unlink(missing_ok=True)  # of one that was killed as it left: workers would write every step's state
        except Taken:
            who = holder_of(folder) or "another process"
            raise UserError(f"study {folder.name} is already driven by {who}; wait for it or stop it first") from None
        yield


@contextmanager
def writing(folder: StudyFolder) -> Iterator[None]:
    """What the block writes is the study's. Raises UserError where it can only be read, as another user's can."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        rule = f"study {folder.name} can be read, but not changed ({error.strerror}: {error.filename or folder.path})"
        raise UserError(f"{rule}; a copy of its folder {folder.path} beside other studies of yours can") from error


def _sign(path: Path) -> None:
    """Written in place: the lock is on this very file, so it must not be replaced."""
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    path.write_text(json.dumps(holder))
