"""States of a population's trials at the points where others may go on from them, kept for as long as one may come that does.

A state is a second name of the checkpoint's file, where the file system has such, so that it takes room only once its trial has gone on.
Nothing is decided from these files: without one, what it would have saved is trained again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from visiontune.filesystem.checkpoint_files import Attempt, clear, state_path, states_in
from visiontune.filesystem.study_folder import StudyFolder

_HELD = re.compile(r"(\d+)\.epoch-(\d+)")


class HeldStates:
    """Those in the study's folder, beside the checkpoints of its trials."""

    def __init__(self, folder: StudyFolder) -> None:
        self._folder = folder

    @property
    def keys(self) -> list[str]:
        """Names of their folders."""
        return sorted(path.name for path in self._folder.checkpoints.glob("*.epoch-*") if _HELD.fullmatch(path.name))

    def hold(self, number: int, epoch: int) -> None:
        """Keep a trial's state after that epoch, if it is there, whatever becomes of the trial."""
        found = next((one.path for one in states_in(self._folder.checkpoint(number)) if one.epoch == epoch), None)
        if found is not None:
            with suppress(OSError):  # a disk that is full, or at fault
                _place(found, state_path(self._of(number, epoch), epoch))

    def give(self, source: int, epoch: int, number: int) -> bool:
        """Let a trial go on from what is held of another; its own states are gone. Whether there is such a state."""
        found, own = states_in(self._of(source, epoch)), self._folder.checkpoint(number)
        if not found:
            return False
        with suppress(OSError):
            attempt = Attempt.claim(own)  # a worker that was given up and still writes must not outdo it
            path = state_path(own, epoch, attempt.number)
            _place(found[0].path, path)
            clear(own, path, 1)
            return True
        return False

    def release(self, is_wanted: Callable[[int], bool]) -> None:
        """Remove those of epochs that are not wanted any more."""
        for key in self.keys:
            if (name := _HELD.fullmatch(key)) and not is_wanted(int(name[2])):
                shutil.rmtree(self._folder.checkpoints / key, ignore_errors=True)

    def _of(self, number: int, epoch: int) -> Path:
        return self._folder.checkpoint(f"{number:05d}.epoch-{epoch:06d}")


def _place(found: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.hardlink_to(found)
    except OSError:  # a file system without second names
        partial = path.with_suffix(".copy")
        shutil.copyfile(found, partial)
        partial.replace(path)
