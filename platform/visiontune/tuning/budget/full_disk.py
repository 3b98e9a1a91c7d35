"""What a search does while the disk of its study is full: old checkpoints go first, nothing new is begun, and what is reported is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from visiontune.errors import plural
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.budget.kept_checkpoints import KeptCheckpoints
from visiontune.tuning.records.records import Put
from visiontune.tuning.study.disk_room import DiskRoom, when_there_is_room

HasRoom = Callable[[], bool]


class Log(Protocol):
    """Of a search run."""

    def __call__(self, kind: str, text: str, *, is_said: bool = False) -> None:
        """An event that is of no trial."""


class FullDisk:
    """`give_up` is told to have trials that wait give up checkpoints until there is room; it gives the number of those that did."""

    def __init__(self, folder: StudyFolder, checkpoints: KeptCheckpoints, log: Log) -> None:
        self._room, self._checkpoints, self._log = DiskRoom(folder), checkpoints, log
        self.give_up: Callable[[HasRoom], int] = lambda has_room: 0

    @property
    def is_full(self) -> bool:
        """As far as it is known."""
        return self._room.is_full

    def patient(self, put: Put) -> Put:
        """The same, which waits for room where the disk is full."""
        return lambda event: when_there_is_room(lambda: put(event), self.met_here)

    def has_room(self) -> bool:
        """For another checkpoint of the largest. Raises OSError for a disk that takes nothing at all."""
        return self._room.has_room(self._checkpoints.largest_bytes)

    def met_here(self, what: str) -> None:
        """The driver could not write; it tries again, as long as it takes."""
        with suppress(OSError):
            self._make_room(what)

    def met(self, what: str) -> None:
        """A worker could not write. Raises OSError as above."""
        self._room.met()
        self._make_room(what)

    def is_waited_for(self) -> bool:
        """Whether nothing new is to be begun."""
        if not self._room.is_full:
            return False
        with suppress(OSError):  # it takes nothing at all just now
            if not self._room.is_waited_for(self._checkpoints.largest_bytes):
                self._log("disk", "there is room on the disk again", is_said=True)
        return self._room.is_full

    def _make_room(self, what: str) -> None:
        was_full, num = self._room.is_full, self.give_up(self.has_room)
        self._room.look(self._checkpoints.largest_bytes)
        went = f"; {plural(num, 'trial')} that wait gave up checkpoints" if num else ""
        then = "new trials wait until there is room" if self._room.is_full else "there is room again"
        if num or not was_full:
            self._log("disk", f"the disk is full ({what}){went}; {then}", is_said=True)
