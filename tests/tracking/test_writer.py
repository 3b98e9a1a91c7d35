"""The writer as a process: killed in mid-send, left by its driver, started twice."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from places import HELPERS, PLATFORM
from sample_events import content

from visiontune.errors import SearchFailed, UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking import tracker, writer
from visiontune.tracking.outbox import num_unsent
from visiontune.tracking.writer_process import start_writer


def num_runs(studies_dir: Path) -> int:
    with sqlite3.connect(studies_dir / "mlflow.db") as database:
        return int(database.execute("select count(*) from runs").fetchone()[0])


def wait_until(condition: Any, timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.01)


@pytest.mark.heavy
def test_driver_and_writer_killed_in_mid_send_leave_no_doubles_and_no_gaps(client: Any, uri: str, studies_dir: Path) -> None:
    folder = studies_dir / "killed"
    before = num_runs(studies_dir)
    code = f"""
import os, signal, sys
sys.path[:0] = [{str(HELPERS)!r}, {str(PLATFORM)!r}]
from pathlib import Path
from sample_events import search
from visiontune.tracking.outbox import Outbox
from visiontune.tracking.writer_process import start_writer
from visiontune.filesystem.study_folder import StudyFolder
folder = StudyFolder(Path({str(folder)!r}))
writer = start_writer(folder, {uri!r})
outbox = Outbox(folder)
for event in search("killed", num_trials=20, num_epochs=2):
    outbox.put(event)
assert "mlflow" not in sys.modules
print(writer._process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    driver = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert driver.returncode == -signal.SIGKILL
    wait_until(lambda: num_runs(studies_dir) > before + 5)  # the writer outlives its driver
    os.kill(int(driver.stdout), signal.SIGKILL)
    wait_until(lambda: not _is_running(int(driver.stdout)))
    assert 5 < num_runs(studies_dir) - before < 21
    assert num_unsent(StudyFolder(folder), uri) > 0

    first, second = (start_writer(StudyFolder(folder), uri) for _ in range(2))  # one waits for the other
    assert first.drain(60) == 0
    for timeout_s in (0.0, 20.0):
        first.stop(timeout_s)
        second.stop(timeout_s)
    assert first._process.returncode == second._process.returncode == 0
    found = content(client, "killed")
    assert len(found) == 21
    assert all(row[1] == "FINISHED" for row in found.values())
    assert all([step for step, _, _ in found[str(n)][5]["val_top1"]] == [1, 2] for n in range(20))
    assert "Traceback" not in (folder / "writer.log").read_text()


def _is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_writer_that_died_does_not_hide_how_the_search_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(tracker, "start_writer", lambda folder: (started.append(start_writer(folder)), started[0])[1])
    monkeypatch.setattr(tracker, "DRAIN_S", 0.0)
    with pytest.raises(SearchFailed), tracker.tracker(StudyFolder(tmp_path / "study")) as put:
        started[0]._process.kill()
        started[0]._process.wait()
        put({"event": "study_end"})
        raise SearchFailed("the disk is full")
    assert "MLflow does not have 1 event yet" in capsys.readouterr().err


def test_a_writer_makes_no_folder_of_a_search_that_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was removed before the writer had come up, or while it waited for events."""
    folder = StudyFolder(tmp_path / "studies" / "study")
    monkeypatch.setenv("VISIONTUNE_WRITER_URI", f"sqlite:///{tmp_path}/studies/mlflow.db")
    monkeypatch.setattr(writer, "run", lambda *_, **__: shutil.rmtree(folder.path.parent))
    monkeypatch.setattr(writer, "_is_closed", lambda: False)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    folder.path.mkdir(parents=True)
    for _ in range(2):  # the second finds none
        writer.main(str(folder.path))
        assert not folder.path.parent.exists()


@pytest.mark.parametrize("uri", ["file:./mlruns", "./mlruns", "ftp://host"])
def test_a_place_that_mlflow_does_not_take_is_said_before_anything_starts(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI must be"):
        start_writer(StudyFolder(tmp_path / "study"), uri)
