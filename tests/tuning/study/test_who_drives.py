"""Whether a search runs is told from outside: while its driver lives, after it was killed, and while it says nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from places import HELPERS
from sample_study import later
from simulated_search import drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.screens.driver_lines import driver_lines
from visiontune.results.tables.leaderboard import leaderboard
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.who_drives import Heartbeat, driver_of, holder_of


def test_trials_run_while_their_driver_lives_and_wait_once_it_is_killed(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "study")
    command = [sys.executable, str(HELPERS / "simulated_search.py"), str(folder.path), "30", "0.03"]
    with subprocess.Popen(command) as search:
        while not folder.events.exists() or folder.events.read_text().count("starts") < 3:
            assert search.poll() is None
            time.sleep(0.02)
        living = read_study(folder)
        search.kill()
    assert living.driver is not None and living.driver.pid == search.pid and living.num_interrupted == 0
    assert {trial.reason for trial in living.trials if trial.state == "running"} == {""}
    assert f"a search runs: process {search.pid} on " in driver_lines(living)[0]
    study = read_study(folder)
    begun = {trial.number for trial in study.trials if trial.state == "waiting" and trial.epoch not in study.rungs}
    assert study.driver is None and {trial.state for trial in study.trials} <= {"complete", "waiting", "failed"}
    assert begun <= {trial.number for trial in study.trials if trial.reason.startswith("interrupted")}
    assert 1 <= study.num_interrupted <= 2, "as many as it had workers"
    assert driver_lines(study)[0].startswith(f"no search runs: {study.num_interrupted} trial")


def test_what_a_driver_says_of_itself(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    with driver_lock(folder):
        Heartbeat(folder).beat(later(num_running=2, num_staged=3, num_nodes=1, num_gpus=4.0, waits_s=0.0))
        driver = holder_of(folder)
        assert driver is not None and (driver.pid, driver.num_staged, driver.num_gpus) == (os.getpid(), 3, 4.0)
        waits = {
            waits_s: len(driver_lines(cast(Any, SimpleNamespace(driver=replace(driver, waits_s=waits_s)))))
            for waits_s in (0.0, 0.3, 9.0, 10.0)
        }
        assert waits == {0.0: 1, 0.3: 1, 9.0: 1, 10.0: 2}, "no trial has had a machine for 0 s is not worth a line"
        folder.driver_state.write_text(json.dumps({"pid": os.getpid() + 1, "num_staged": 9}))  # an earlier driver's
        driver = holder_of(folder)
        assert driver is not None and driver.num_staged == 0
    assert holder_of(folder) is None


def test_what_waits_for_a_worker_is_not_shown_as_running(tmp_path: Path) -> None:
    """The heading counted it as running, the last line as waiting; a promoted trial on a worker was counted as waiting at its rung."""
    folder = StudyFolder(tmp_path / "study")
    _, storage, _ = drive(make_spec(folder.path, 9), folder.path)
    storage.set_attribute("finished", None)
    waiting = [trial.number for trial in read_study(folder).trials if trial.state == "waiting"]
    with driver_lock(folder):
        known = read_study(folder)
        Heartbeat(folder).beat(later(num_running=1, num_staged=2, running_trials=(waiting[0],), staged_trials=tuple(waiting[1:3])))
        study = read_study(folder)
    states = [study.trials[number].state for number in waiting]
    assert states[:3] == ["running", "waiting", "waiting"] and study.trials[waiting[1]].reason == "staged: no worker has it yet"
    assert f", 1 running, {len(waiting) - 1} waiting" in leaderboard(study).partition("\n")[0]
    assert driver_lines(study)[0].partition("; ")[2].startswith("1 running, 2 staged, on ")
    assert "running" not in {trial.state for trial in known.trials}, "of whom its driver has said nothing yet"


def test_a_lease_that_is_renewed_is_a_driver_elsewhere(tmp_path: Path) -> None:
    lease = {"pid": 7, "host": "node3", "since": "2026-11-29 02:00:00", "token": "a", "count": 3, "at_s": time.time()}
    driver = driver_of(StudyFolder(tmp_path), {"driver": lease})
    assert driver is not None and str(driver) == "process 7 on node3, since 2026-11-29 02:00:00"
    assert driver_of(StudyFolder(tmp_path), {"driver": {**lease, "at_s": time.time() - 600}}) is None
