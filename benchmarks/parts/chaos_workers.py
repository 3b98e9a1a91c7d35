"""Faults of workers: killed, frozen, told to leave, and with a trial that hangs."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from parts.chaos_ground import LEAVES_S, Faults, Ground, Row, begin, blamed, end_of, get_on, lost_workers, not_said, now_ms
from parts.hanging_op import GATE
from parts.killable_search import wait_for

FROZEN_S = 10.0
PLUGIN = Path(__file__).with_name("hanging_op.py")
HANGS = {
    "plugins": [PLUGIN.name],
    "augmentation": {"policy": "fixed", "Hang": {}},
    "resources": {"hang_s": 5},
}
"""A limit that a start on a busy machine keeps too: until the first epoch of a leg it is ten times as long."""


def workers_killed(ground: Ground, times: int) -> Row:
    """kill -9 of every worker, once each of them has begun with a leg and an epoch was reported."""
    search = ground.search()
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        for pid in search.processes("ray::LegWorker"):
            os.kill(pid, signal.SIGKILL)
        faults.note()
    return faults.row(ground.num_trials, *end_of(search, driver))


def workers_frozen(ground: Ground, times: int) -> Row:
    """SIGSTOP of a worker for less than Ray takes it for dead, then SIGCONT."""
    search = ground.search()
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        pid = ground.draw.choice(search.processes("ray::LegWorker") or [driver.pid])
        os.kill(pid, signal.SIGSTOP)
        faults.note()
        time.sleep(FROZEN_S)
        os.kill(pid, signal.SIGCONT)
    return faults.row(ground.num_trials, *end_of(search, driver))


def workers_told(ground: Ground, times: int) -> Row:
    """SIGTERM to a worker in the middle of a leg, as a notice of preemption: it writes what it has trained, and is not lost."""
    search = ground.search()
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        caused_ms, pid = now_ms(), ground.draw.choice(search.processes("ray::LegWorker") or [driver.pid])
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: pid not in search.processes(), LEAVES_S)  # noqa: B023
        faults.note(caused_ms)
    ended = end_of(search, driver)
    return faults.row(ground.num_trials, *ended, *not_said(search, "told to leave", 1, "preempted"), *lost_workers(search))


def trials_hung(ground: Ground, times: int) -> Row:
    """The next batch that any worker loads is never there, as on a mount that is gone."""
    gate = ground.folder / "hang"
    search = ground.search(sections=HANGS, **{GATE: str(gate)})
    shutil.copy(PLUGIN, search.folder)
    driver, faults = begin(search), Faults(search)
    while faults.times < times and get_on(search, driver, 2):
        caused_ms = now_ms()
        gate.touch()
        wait_for(lambda: driver.poll() is not None or not not_said(search, "", faults.times + 1, "hung", 0.1))
        faults.note(caused_ms)
    ended, num_kept = end_of(search, driver), len([*search.study.hung.glob("*.txt")])
    kept = [] if num_kept >= faults.times else [f"of {faults.times} hangs {num_kept} have left stacks"]
    return faults.row(ground.num_trials, *ended, *kept, *not_said(search, "", faults.times, "hung"), *blamed(search))
