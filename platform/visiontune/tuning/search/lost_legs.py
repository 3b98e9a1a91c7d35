"""Legs that their workers did not end: who goes on with them, whose fault that was, and when there is no sense in going on."""

from __future__ import annotations

from typing import Protocol

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.budget.enough import fail_alike
from visiontune.tuning.budget.full_disk import FullDisk
from visiontune.tuning.legs.legs_out import LegsOut
from visiontune.tuning.legs.placement import Loss
from visiontune.tuning.legs.silent_workers import take_stacks
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.retraining.run_retrainings import Retrainings
from visiontune.tuning.search.trial_queue import TrialQueue
from visiontune.tuning.study.event_log import EventLog


class Run(Protocol):
    """A search run: once it is `fatal` why it can't go on, it stops."""

    fatal: str
    out: LegsOut

    @property
    def is_stopping(self) -> bool:
        """Whether its workers are to be let go."""

    def say(self, text: str) -> None:
        """To whoever looks on."""


class LostLegs:
    """Hands legs of a run back to its queue of trials or of retrainings."""

    def __init__(self, run: Run, folder: StudyFolder, queue: TrialQueue, again: Retrainings, disk: FullDisk, log: EventLog) -> None:
        self._run, self._folder, self._queue, self._again, self._disk, self._log = run, folder, queue, again, disk, log
        self._first_number = len(queue.trials.records)

    def lost(self, key: str, what: str, *, node: str = "", rank: int = 0, is_begun: bool = True, is_gone: bool = True) -> None:
        """The worker of a leg died or broke, on that node; `is_begun`: the leg was at work by then, so that it may be the reason.

        `rank`: which of its workers. `is_gone`: the worker is; else it is sound and only its leg has crashed.
        """
        stacks = take_stacks(self._folder, key)
        found = self._run.out.lost(key, node, rank=rank, is_begun=is_begun, is_hung=bool(stacks))
        if found is None or self._run.is_stopping:
            return
        if stacks:
            what = f"no step was made for too long; where it stood is in {stacks}"
        if self._run.out.placement.is_hopeless():
            where = found[1].where
            self._run.fatal = f"workers are lost or crash one after the other without a report, the last one{where}: {what}"
            return
        self._hand_back(*found, "hung" if stacks else "lost", "hung" if stacks else "lost its worker" if is_gone else "crashed", what)

    def met_full_disk(self, key: str, what: str) -> None:
        """That of the study; or of the worker's machine alone, which is then as one that loses its workers."""
        try:
            if len(self._run.out.placement.nodes) > 1 and self._disk.has_room():
                self.lost(key, what, is_begun=False, is_gone=False)
                return
            self._disk.met(what)
        except OSError as error:
            self._run.fatal = f"{what}; on the driver's machine: {error.strerror or error}"
            return
        if (found := self._run.out.left(key, "")) is not None and not self._run.is_stopping:
            self._hand_back(*found, "disk", "left its worker", what)

    def preempted(self, key: str, what: str, *, node: str = "") -> None:
        """The worker of a leg has left, as it was told to: the leg goes on elsewhere, and nobody is to blame."""
        found = self._run.out.left(key, node)
        if found is not None and not self._run.is_stopping:
            self._hand_back(*found, "preempted", "left its worker", what)

    def _hand_back(self, leg: Leg, loss: Loss, kind: str, end: str, what: str) -> None:
        """It is handed out again, unless it is given up."""
        number = self._again.trial_of(leg) if leg.is_confirmation else leg.number
        end = f"has {end}{loss.where}: {what}"
        self._log.write(kind, number, f"its retraining {end}" if leg.is_confirmation else end)
        self._run.say(f"{'the retraining of ' if leg.is_confirmation else ''}trial {number} {end}")
        if leg.is_confirmation:
            self._again.lost(leg, what, loss)
        else:
            self._queue.lost(leg.number, what, loss, node=self._run.out.placement.name(loss.node))
            self.stop_where_all_fail()

    def stop_where_all_fail(self) -> None:
        """Of the trials that this driver began: what was mended since an earlier call is not held against it."""
        records = self._queue.trials.records
        if what := fail_alike(records[number] for number in range(self._first_number, len(records))):
            self._run.fatal = what
