"""A cluster without Ray, on a made clock: machines that come, go, break, freeze and are slow, under a real search run and its placement.

Workers look their values up in a closed form and keep real files as checkpoints. The driver may be killed between any two facts that it
writes, to MLflow or to the study; the next one goes on from the same storage.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage

from parts.simulated_machine import Machine, answer
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.legs.placement import DETECTED_S, Node, Placement
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.study_storage import Storage

RESTART_S = 20.0
"""From the death of a driver to the next one."""


@dataclass
class _Work:
    leg: Leg
    machine: Machine
    epoch: int
    next_s: float
    breaks: bool
    said: int = 0


class DriverKilled(BaseException):
    """kill -9 of the driver."""


@dataclass
class Cluster:
    """Runs a search to its end. `kills(leg)`: whether a leg ends the worker that it is on, wherever that is.

    A leg waits for `queue_s` wherever there is room. Checkpoints are written every `save_every` epochs, and at rungs. `killed_at`: counts
    of facts at which the driver is killed; `wiped_s`: times at which every checkpoint is gone; `says_twice`: the share of reports that
    are delivered twice. `trained` counts epochs by key, `repeated` those that were trained again, `events` are MLflow's.
    """

    machines: list[Machine]
    seed: int = 0
    kills: Callable[[Leg], bool] = lambda leg: False
    limit: int | None = None
    can_grow: bool = False
    queue_s: float = 0.0
    save_every: int = 1
    killed_at: Sequence[int] = ()
    wiped_s: Sequence[float] = ()
    says_twice: float = 0.0
    now_s: float = 0.0
    said: list[str] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    trained: Counter[tuple[str, int]] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    num_kills: int = 0
    idle_slot_s: float = 0.0
    most_out: int = 0
    _facts: int = 0

    @property
    def repeated(self) -> int:
        """Epochs that were trained more than once."""
        return sum(self.trained.values()) - len(self.trained)

    def run(
        self, spec: StudySpec, path: Path, memory: tuple[BaseStorage, int] | None = None, most_s: float = 500_000.0
    ) -> tuple[SearchRun, Storage]:
        """Gives the last driver's run and its storage: a journal in the folder, or one in memory with its study's id."""
        path.mkdir(parents=True, exist_ok=True)
        folder, self._rungs = StudyFolder(path), {*spec.rungs}
        self._pick, self._late = random.Random(self.seed), list[_Work]()
        while True:
            self._at_work, self._staged = dict[str, _Work](), list[tuple[Leg, frozenset[str], float]]()
            try:
                storage = Storage(_Counted(memory[0], self._fact), memory[1]) if memory else create_or_resume(folder, spec)  # type: ignore[arg-type]
                run = SearchRun(spec, storage, folder, self._put)
                self._drive(run, folder, most_s)
                return run, storage
            except DriverKilled:
                self.num_kills += 1
                self.now_s += RESTART_S

    def _drive(self, run: SearchRun, folder: StudyFolder, most_s: float) -> None:
        self._folder = folder
        run.out.placement = Placement({"cpu": 1.0}, limit=self.limit, patience_s=DETECTED_S, clock=lambda: self.now_s)
        run.say = self.said.append
        while not (run.is_finished or run.fatal):
            assert self.now_s < most_s, (self.said[-5:], run.snapshot())
            self._look(run)
            self._hand_out(run)
            self._step(run)

    def _fact(self) -> None:
        """Before each that the driver writes."""
        self._facts += 1
        if self._facts in self.killed_at:
            raise DriverKilled

    def _put(self, event: Mapping[str, Any]) -> None:
        self._fact()
        self.events.append(event)

    def _look(self, run: SearchRun) -> None:
        known = [one for one in self.machines if one.comes_s <= self.now_s < one.known_s]
        run.out.placement.see([Node(one.name, one.name, cpus=one.slots) for one in known], can_grow=self.can_grow)
        run.num_slots = run.out.placement.num_slots

    def _free(self) -> list[Machine]:
        used = Counter(work.machine.name for work in self._at_work.values())
        return [one for one in self.machines if one.is_up(self.now_s) and used[one.name] < one.slots]

    def _hand_out(self, run: SearchRun) -> None:
        while (leg := run.next_leg()) is not None:
            assert leg.key not in self._at_work and leg.key not in {one.key for one, *_ in self._staged}, f"leg {leg.key} is out twice"
            self._staged.append((leg, run.out.placement.shunned(leg.key), self.now_s))
        self.most_out = max(self.most_out, len(self._staged) + len(self._at_work))
        for one in self.machines if self._staged else ():
            if one.boots_s is not None and one.comes_s == math.inf:
                one.comes_s = self.now_s + one.boots_s
        for staged in list(self._staged):
            leg, waits_for, since_s = staged
            shunned = run.out.placement.shunned(leg.key) if run.out.placement.is_stranded(waits_for) else waits_for
            fits = [one for one in self._free() if one.name not in shunned] if self.now_s >= since_s + self.queue_s else []
            if leg.key not in run.out:
                self._staged.remove(staged)
            elif fits:
                self._staged.remove(staged)
                machine = self._pick.choice(fits)
                breaks = self._pick.random() < machine.loses or self.kills(leg)
                self._at_work[leg.key] = _Work(leg, machine, self._saved(leg.key), self.now_s + machine.start_s, breaks)
                run.out.placed(leg.key, machine.name)

    def _step(self, run: SearchRun) -> None:
        """To the next thing that happens."""
        times = [work.next_s for work in self._at_work.values()] + [at for at in self.wiped_s if at > self.now_s] + [self.now_s + 5.0]
        times += [at for *_, since_s in self._staged if (at := since_s + self.queue_s) > self.now_s]
        for one in self.machines:
            soon = (one.comes_s, one.goes_s - one.notice_s, one.goes_s, one.lost_s, one.known_s, one.thaws_s)
            times += [at for at in soon if self.now_s < at < math.inf]
        before, self.now_s = self.now_s, max(min(times), self.now_s)
        if any(before >= since_s + self.queue_s for *_, since_s in self._staged):
            self.idle_slot_s += (self.now_s - before) * sum(not one.loses for one in self._free())
        if any(before < at <= self.now_s for at in self.wiped_s):
            for path in self._folder.checkpoints.glob("*/*"):
                path.unlink()
        for key, work in list(self._at_work.items()):
            if key in self._at_work:
                self._go_on(run, key, work, before)
        for work in [one for one in self._late if one.machine.thaws_s <= self.now_s]:
            self._late.remove(work)
            run.report(work.leg.key, answer(work.leg, work.epoch + 1))

    def _go_on(self, run: SearchRun, key: str, work: _Work, before_s: float) -> None:
        notice_s = work.machine.goes_s - work.machine.notice_s
        if work.machine.notice_s and before_s < notice_s <= self.now_s:
            self._save(key, work.epoch)
        if work.machine.lost_s <= self.now_s:
            self._late += [work] if work.machine.thaws_s else []
            self._lose(run, key, "its node has died")
        elif not work.machine.is_up(self.now_s):
            work.next_s = max(work.next_s, work.machine.thaws_s if work.machine.lost_s == math.inf else work.machine.lost_s)
        elif work.next_s <= self.now_s and work.breaks:
            self._lose(run, key, "the worker process died")
        elif work.next_s <= self.now_s:
            self._epoch(run, key, work)

    def _lose(self, run: SearchRun, key: str, what: str) -> None:
        work = self._at_work.pop(key)
        self.losses[work.machine.name] += 1
        run.lost(key, what, node=work.machine.name)

    def _epoch(self, run: SearchRun, key: str, work: _Work) -> None:
        """Trains the next epoch; but what the checkpoint has and the study lacks is said first, as a killed driver did not record it."""
        is_kept = work.said < work.epoch
        work.said += 1
        report = answer(work.leg, work.said)
        if not is_kept:
            work.epoch += 1
            work.next_s = self.now_s + work.machine.epoch_s
            if not work.leg.is_test:
                self.trained[key, work.epoch] += 1
            if work.epoch in self._rungs or work.epoch % self.save_every == 0:
                self._save(key, work.epoch)
        if work.said <= work.leg.known_epochs and not report.is_last:
            return
        goes_on = key in run.out and run.report(key, report)
        if goes_on and self._pick.random() < self.says_twice:
            goes_on = run.report(key, report)
        if not goes_on:
            del self._at_work[key]

    def _save(self, key: str, epoch: int) -> None:
        folder = self._folder.checkpoint(key)
        folder.mkdir(parents=True, exist_ok=True)
        old = [*folder.iterdir()]
        (folder / f"epoch-{epoch:04d}.ckpt").write_bytes(b"state")
        for path in old:
            if path.stem != f"epoch-{epoch:04d}":
                path.unlink()

    def _saved(self, key: str) -> int:
        return max((int(path.stem.rpartition("-")[2]) for path in self._folder.checkpoint(key).glob("*")), default=0)


class _Counted:
    """A storage whose writes are facts."""

    def __init__(self, storage: BaseStorage, fact: Callable[[], None]) -> None:
        self._storage, self._fact = storage, fact

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if not name.startswith(("set_", "create_")):
            return found

        def write(*args: Any, **more: Any) -> Any:
            self._fact()
            return found(*args, **more)

        return write
