"""Whether the disk of a study has room for another checkpoint. Where it has none the search waits, and looks again."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from visiontune.filesystem.study_folder import StudyFolder

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 30.0
GIVE_UP_S = 900.0
LEAST_BYTES = 16_000_000
"""For the journal, the outbox and logs, which go on all the while."""
FULL = (errno.ENOSPC, errno.EDQUOT)


def when_there_is_room(write: Callable[[], None], on_full: Callable[[str], None]) -> None:
    """What a full disk did not take is written again until it does, for GIVE_UP_S. `on_full` is told, and may make room. Raises OSError."""
    begun_s, pause_s = time.monotonic(), FIRST_PAUSE_S / 8
    while True:
        try:
            write()
        except OSError as error:
            if error.errno not in FULL or time.monotonic() - begun_s > GIVE_UP_S:
                raise
            on_full(f"{error.strerror}: {error.filename or 'a file of the study'}")
        else:
            return
        time.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


class DiskRoom:
    """`is_full` once a worker met that, until there is room for another checkpoint here."""

    def __init__(self, folder: StudyFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self.is_full = False
        self._least_bytes, self._pause_s, self._looked_s = LEAST_BYTES, FIRST_PAUSE_S, 0.0

    def has_room(self, num_bytes: int) -> bool:
        """Whether so much more can be written; tried out, as there are quotas too. Raises OSError for a disk that takes nothing."""
        path = self._folder.path / ".room"
        try:
            with path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, num_bytes + self._least_bytes)
        except OSError as error:
            if error.errno in FULL:
                return False
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # of file systems that reserve nothing
                raise
        finally:
            path.unlink(missing_ok=True)
        return True

    def met(self) -> None:
        """A worker found no room: next time there is to be twice as much, as nobody knows what it needed."""
        self._least_bytes *= 2

    def look(self, num_bytes: int) -> None:
        """Whether it is full. Raises OSError as above."""
        self.is_full, self._looked_s = not self.has_room(num_bytes), self._clock()
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s) if self.is_full else FIRST_PAUSE_S

    def is_waited_for(self, num_bytes: int) -> bool:
        """Whether it is full still; looked at with pauses that grow."""
        if self.is_full and self._clock() - self._looked_s >= self._pause_s:
            self.look(num_bytes)
        return self.is_full
