"""Whether a process that trains gets anywhere. One that does not says where each of its threads stands, and ends.

Training beats at every batch. faulthandler's own thread waits for the next beat: it needs no lock of Python's, so that a loader which waits
for ever, a dead mount and C code that never comes back are all noticed; only a frozen process is not, which its driver ends.

Of several processes that train together all wait for the one that hangs. Each says where it stands, the others a moment before rank 0, with
which all end.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from visiontune.errors import Preempted
from visiontune.spec.declarations.hang_limit import limit_s

_SIGNS = 4
# In the time that a step may take; arming starts a thread, which takes 50 us.
_ARMS = 20
# Of rank 0's time, which measures its own epochs, and may have been armed earlier.
_FOLLOWERS_SHARE = 0.75


@dataclass(frozen=True)
class Watch:
    """How another rank is to be watched: where its stacks go, how long a step may take, and what epochs took that are known."""

    file: Path
    hang_s: float
    epochs_s: tuple[float, ...]


class Heartbeat:
    """Of this process. It beats to nobody unless it is `watched`."""

    def __init__(self) -> None:
        self.is_leaving = threading.Event()
        self._hang_s, self._is_watched, self._is_follower = 0.0, False, False
        self._epochs_s: list[float] = []
        self._is_first = True
        self._armed_s = self._signed_s = 0.0
        self._file: Path | None = None
        self._open: TextIO | None = None

    @contextmanager
    def watched(self, hang_s: float) -> Iterator[None]:
        """While the block runs a step may take so long, as hang_limit.py says; else the process ends with exit code 1."""
        self._hang_s, self._is_watched = hang_s, True
        self._arm()
        try:
            yield
        finally:
            self._is_watched = False
            faulthandler.cancel_dump_traceback_later()

    @contextmanager
    def following(self, watch: Watch | None) -> Iterator[None]:
        """As a rank that is not the first: where a step takes too long it says where it stands, and goes on; None watches nothing."""
        if watch is None:
            yield
            return
        self._is_follower = True
        try:
            with self.watched(watch.hang_s):
                with suppress(OSError):  # the disk is away: to stderr then
                    self.begin(watch.file, [*watch.epochs_s])
                yield
        finally:
            self._is_follower = False
            self.begin()

    def of_rank(self, rank: int) -> Watch | None:
        """For that rank of the leg which has begun here; None where nobody watches this process."""
        if not self._is_watched or self._file is None:
            return None
        return Watch(self._file.with_name(f"{self._file.name}.rank-{rank}"), self._hang_s, tuple(self._epochs_s))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the block waits for a process that may take its time."""
        was_watched, self._is_watched = self._is_watched, False
        if was_watched:
            faulthandler.cancel_dump_traceback_later()
        try:
            yield
        finally:
            self._is_watched = was_watched
            self._arm()

    def begin(self, file: Path | None = None, epochs_s: list[float] | None = None) -> None:
        """A leg begins, of which so many epochs are known: stacks go to that file, and signs of life; to stderr while there is none."""
        if self._open is not None:
            self._open.close()
        self._file, self._open = file, None if file is None else file.open("a")
        self._epochs_s, self._is_first = epochs_s or [], True
        self._arm()

    def epoch_ended(self, epoch_s: float) -> None:
        """One more."""
        self._epochs_s, self._is_first = [*self._epochs_s, epoch_s], False
        self.beat()

    def beat(self) -> None:
        """A step was made. Raises Preempted where this process is to leave."""
        if self.is_leaving.is_set() and self._is_watched:
            raise Preempted("it was told to leave")
        now_s = time.monotonic()
        if self._is_watched and now_s - self._armed_s > self._limit_s / _ARMS:
            self._arm()

    @property
    def _limit_s(self) -> float:
        share = _FOLLOWERS_SHARE if self._is_follower else 1.0
        return share * limit_s(self._hang_s, self._epochs_s, is_first=self._is_first)

    def _arm(self) -> None:
        if not self._is_watched:
            return
        self._armed_s = time.monotonic()
        if self._is_follower and self._open is not None:
            with suppress(OSError):
                self._open.truncate(0)  # where it stood too long, and then went on
        faulthandler.dump_traceback_later(self._limit_s, exit=not self._is_follower, file=self._open or sys.__stderr__ or 2)
        if self._file is not None and self._armed_s - self._signed_s > self._hang_s / _SIGNS:
            self._signed_s = self._armed_s
            with suppress(OSError):  # it is another worker's by now, or the disk is away
                os.utime(self._file)


HEARTBEAT = Heartbeat()
