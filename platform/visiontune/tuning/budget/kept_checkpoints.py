"""Checkpoints of a study on its disk: they go when their trial ends, or when those that wait take more than they may."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from visiontune.filesystem.checkpoint_files import states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.budget.held_states import HeldStates
from visiontune.tuning.ranking.ranking import ranked
from visiontune.tuning.records.records import TrialRecord

SAVE_S = 4.0
"""How long a driver that leaves waits for what its workers have trained; an interrupted one leaves within 12 s."""


class KeptCheckpoints:
    """How much they take by trial, as workers say; `max_mb` is what those of waiting trials may take together.

    `held` are states that other trials may go on from, which no limit counts.
    """

    def __init__(self, folder: StudyFolder, max_mb: int) -> None:
        self._folder, self._max_bytes = folder, max_mb * 1_000_000
        self.held = HeldStates(folder)
        self._size_bytes: dict[str | int, int] = {}
        self._alone: set[int] = set()  # with no checkpoint before the newest

    def found(self, number: int) -> None:
        """Of a trial that an earlier driver left: the files are counted, if there are any."""
        size_bytes = sum(one.path.stat().st_size for one in states_in(self._folder.checkpoint(number)))
        if size_bytes:
            self._size_bytes[number] = size_bytes

    def written(self, number: int, size_bytes: int) -> None:
        """A worker has said so."""
        self._size_bytes[number] = size_bytes
        self._alone.discard(number)

    def ask_for(self, trained: Mapping[str, int]) -> None:
        """Have workers write what they keep of these legs, by epoch, and wait until that is on the disk, SAVE_S at most."""
        deadline_s = time.monotonic() + SAVE_S
        if trained:
            self._folder.stopping.touch()
        while time.monotonic() < deadline_s and any(self._epoch(key) < epoch for key, epoch in trained.items()):
            time.sleep(0.05)
        self._folder.stopping.unlink(missing_ok=True)

    def ask_to_leave(self, key: str) -> None:
        """Have the worker of that leg write what it keeps, and end."""
        with suppress(OSError):  # there is no folder yet, so nothing is lost
            self._folder.leaving(key).touch()

    def _epoch(self, key: str) -> int:
        return max((one.epoch for one in states_in(self._folder.checkpoint(key))), default=0)

    def is_kept(self, number: int) -> bool:
        """Whether a trial goes on from where it was."""
        return number in self._size_bytes

    def is_there(self, key: str) -> bool:
        """Whether this machine sees one of a leg."""
        return bool(states_in(self._folder.checkpoint(key)))

    def drop(self, key: str | int) -> None:
        """That of a trial (by its number) or confirmation (by its key), there or not."""
        self._size_bytes.pop(key, None)
        shutil.rmtree(self._folder.checkpoint(key), ignore_errors=True)

    def keep_only(self, keys: Iterable[str]) -> None:
        """Those of trials (by folder name) and confirmations that may go on, and what is held; the others go."""
        kept = {*keys, *self.held.keys}
        for folder in self._folder.checkpoints.glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    @property
    def largest_bytes(self) -> int:
        """Of the checkpoints of one trial, as far as they are known."""
        return max(self._size_bytes.values(), default=0)

    def limit(self, waiting: Iterable[TrialRecord], objective: Objective) -> None:
        """Of waiting trials those before the newest go first where all take more than they may, then all of the worst of the lowest rung:
        promoted, they start over.
        """
        if sum(self._size_bytes.values()) <= self._max_bytes:  # the usual case, and this is asked at every rung
            return
        held = [trial for trial in waiting if self._size_bytes.get(trial.number, 0)]
        excess = sum(self._size_bytes[trial.number] for trial in held) - self._max_bytes
        worst = list(reversed(ranked(held, objective))) if excess > 0 else []
        for give_up in (self._drop_older, self.drop):
            for trial in worst:
                if excess <= 0:
                    return
                excess -= self._size_bytes[trial.number]
                give_up(trial.number)
                excess += self._size_bytes.get(trial.number, 0)

    def make_room(self, waiting: Iterable[TrialRecord], objective: Objective, has_room: Callable[[], bool]) -> int:
        """The disk is full: of waiting trials those before the newest go, then all of the worse half, the worst of the lowest rung first.

        Gives how many trials lost some.
        """
        worst = list(reversed(ranked([trial for trial in waiting if self._size_bytes.get(trial.number, 0)], objective)))
        lost: set[int] = set()
        for give_up, trials in ((self._drop_older, worst), (self.drop, worst[: len(worst) // 2])):
            for trial in trials:
                if has_room():
                    return len(lost)
                give_up(trial.number)
                lost.add(trial.number)
        return len(lost)

    def _drop_older(self, number: int) -> None:
        if number in self._alone:
            return
        self._alone.add(number)
        folder = self._folder.checkpoint(number)
        for one in states_in(folder)[1:]:
            one.path.unlink(missing_ok=True)
        if newest := states_in(folder):
            self._size_bytes[number] = newest[0].path.stat().st_size
