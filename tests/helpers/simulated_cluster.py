"""A cluster without Ray, on a made clock: machines that come, go, break and are slow, under a real search run and its placement."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from simulated_search import curve, report

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.placement import DETECTED_S, Node, Placement
from visiontune.tuning.search_run import SearchRun
from visiontune.tuning.study_storage import create_or_resume

NOTICED_S = 25.0
"""After which Ray knows that a killed node is gone; its workers are seen to die at once."""


@dataclass
class Machine:
    """`slots` workers with one CPU each. `loses`: the share of legs that lose their worker there. A leg starts after `start_s`."""

    name: str
    slots: int = 1
    loses: float = 0.0
    epoch_s: float = 10.0
    start_s: float = 5.0
    comes_s: float = 0.0
    goes_s: float = float("inf")


@dataclass
class _Work:
    leg: object
    machine: Machine
    epoch: int
    next_s: float
    breaks: bool


@dataclass
class Cluster:
    """Runs a search to its end. `kills(leg)`: whether a leg ends the worker that it is on, wherever that is."""

    machines: list[Machine]
    seed: int = 0
    kills: object = lambda leg: False
    limit: int | None = None
    can_grow: bool = False
    now_s: float = 0.0
    said: list[str] = field(default_factory=list)
    trained: Counter = field(default_factory=Counter)
    losses: Counter = field(default_factory=Counter)
    idle_slot_s: float = 0.0
    most_out: int = 0

    def run(self, spec, folder, most_s=500_000.0):
        """Gives the run and its storage."""
        folder.mkdir(parents=True, exist_ok=True)
        storage = create_or_resume(StudyFolder(folder), spec)
        run = SearchRun(spec, storage, StudyFolder(folder), lambda event: None)
        run.out.placement = Placement({"cpu": 1.0}, limit=self.limit, patience_s=DETECTED_S, clock=lambda: self.now_s)
        run.say = self.said.append
        self._pick, self._at_work, self._staged = random.Random(self.seed), {}, []
        while not (run.is_finished or run.fatal):
            assert self.now_s < most_s, (self.said[-5:], run.snapshot())
            self._look(run)
            self._hand_out(run)
            self._step(run)
        return run, storage

    def _look(self, run):
        known = [one for one in self.machines if one.comes_s <= self.now_s < one.goes_s + NOTICED_S]
        run.out.placement.see([Node(one.name, one.name, cpus=one.slots) for one in known], can_grow=self.can_grow)
        run.num_slots = run.out.placement.num_slots

    def _up(self):
        return [one for one in self.machines if one.comes_s <= self.now_s < one.goes_s]

    def _free(self):
        used = Counter(work.machine.name for work in self._at_work.values())
        return [one for one in self._up() if used[one.name] < one.slots]

    def _hand_out(self, run):
        while (leg := run.next_leg()) is not None:
            assert leg.key not in self._at_work and leg.key not in {one.key for one, _ in self._staged}, "a leg is out twice"
            self._staged.append((leg, run.out.placement.shunned(leg.key)))
        self.most_out = max(self.most_out, len(self._staged) + len(self._at_work))
        for leg, waits_for in list(self._staged):
            shunned = run.out.placement.shunned(leg.key) if run.out.placement.is_stranded(waits_for) else waits_for
            fits = [one for one in self._free() if one.name not in shunned]
            if leg.key not in run.out:
                self._staged.remove((leg, waits_for))
            elif fits:
                self._staged.remove((leg, waits_for))
                machine = self._pick.choice(fits)
                breaks = self._pick.random() < machine.loses or self.kills(leg)
                self._at_work[leg.key] = _Work(leg, machine, leg.known_epochs, self.now_s + machine.start_s, breaks)
                run.out.placed(leg.key, machine.name)

    def _step(self, run):
        """To the next thing that happens."""
        times = [work.next_s for work in self._at_work.values()]
        times += [at for one in self.machines for at in (one.comes_s, one.goes_s, one.goes_s + NOTICED_S) if self.now_s < at < float("inf")]
        times.append(self.now_s + 5.0)
        before, self.now_s = self.now_s, min(times)
        if self._staged:
            self.idle_slot_s += (self.now_s - before) * sum(not one.loses for one in self._free())
        for key, work in list(self._at_work.items()):
            if work.machine not in self._up():
                self._lose(run, key, "its node has died")
            elif work.next_s <= self.now_s and work.breaks:
                self._lose(run, key, "the worker process died")
            elif work.next_s <= self.now_s:
                self._epoch(run, key, work)

    def _lose(self, run, key, what):
        work = self._at_work.pop(key)
        self.losses[work.machine.name] += 1
        run.lost(key, what, node=work.machine.name)

    def _epoch(self, run, key, work):
        work.epoch += 1
        work.next_s = self.now_s + work.machine.epoch_s
        self.trained[key, work.epoch] += 1
        if key not in run.out or not run.report(key, report(work.leg, work.epoch, curve(work.leg.recipe, work.epoch))):
            del self._at_work[key]
