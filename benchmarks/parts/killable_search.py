"""A search that may be killed at any time, its processes, and everything that may then be wrong with its study and its runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from common import machine
from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder

PATIENCE_S = 300.0
GONE_S = 90.0  # Ray's own agents, when the store they report to died with the driver, wait a minute for it
MARK = "VISIONTUNE_KILL_TEST"


class Search:
    """One study in a folder of its own, and the command that is given again and again, with `words` and `env` of its own."""

    def __init__(self, folder: Path, file: Path, overrides: Sequence[str], words: Sequence[str] = (), **env: str) -> None:
        self.folder, self.mark, self.env = folder, uuid.uuid4().hex, env
        self.command = [machine.VISIONTUNE, "search", str(file), *overrides, "--plain", "--studies-dir", str(folder), *words]
        self._log = folder / "driver.log"
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def uri(self) -> str:
        """MLflow's."""
        return self.env.get("MLFLOW_TRACKING_URI", f"sqlite:///{StudiesFolder(self.folder).mlflow_database}")

    def start(self) -> subprocess.Popen[bytes]:
        """The command, once more."""
        with self._log.open("ab") as log:
            return subprocess.Popen(self.command, stdout=log, stderr=log, env=machine.clean_env(**{MARK: self.mark}, **self.env))

    def finish(self) -> int:
        """The command until it ends by itself; its exit code."""
        return self.start().wait(PATIENCE_S)

    @property
    def study(self) -> StudyFolder:
        """Its folder; there once the first driver has begun."""
        studies = StudiesFolder(self.folder)
        return studies.study(studies.names()[0])

    def num_epochs(self) -> int:
        """Epochs in the outbox so far."""
        return sum(event["event"] == "epoch" for event in self.events())

    def events(self) -> Iterator[dict[str, Any]]:
        """What the driver said so far."""
        there = StudiesFolder(self.folder).names() and self.study.outbox.exists()
        for row in self.study.outbox.read_text().splitlines() if there else ():
            with suppress(ValueError):  # a line that a kill left torn
                yield json.loads(row)

    def processes(self, title: str = "") -> list[int]:
        """This search's processes of any kind whose command line holds `title`."""
        return [pid for pid, command in marked(self.mark) if title in command]

    def end(self) -> None:
        """Nothing of it outlives the benchmark."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def said(self) -> str:
        """All that the drivers printed."""
        return self._log.read_text(errors="replace")

    def tail(self) -> str:
        """The end of it."""
        return self.said()[-2000:]


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """Processes that carry the mark in their environment, with their command lines."""
    needle = f"{MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if needle in (path / "environ").read_bytes().split(b"\0"):
                yield int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def age_s(pid: int) -> float:
    """Seconds since the process started."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def wait_for(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """What the condition gives once it gives something; None after the timeout."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(0.05)
    return None


def problems_of(search: Search, num_trials: int, url: str = "journal") -> list[str]:
    """Everything that is not as it should be at the end of a study."""
    from visiontune.tuning.study.read_study import read_study

    trials = read_study(search.study, url).trials
    found = []
    if [trial.number for trial in trials] != list(range(num_trials)):
        found.append(f"{num_trials} trials were asked for, but there are {[trial.number for trial in trials]}")
    if alive := [trial.number for trial in trials if trial.state not in ("complete", "waiting", "failed")]:
        found.append(f"trials {alive} did not end")
    if gaps := [trial.number for trial in trials if list(trial.values) != list(range(1, trial.epoch + 1))]:
        found.append(f"trials {gaps} miss an epoch")
    if not wait_for(lambda: not search.processes(), GONE_S):
        left = [f"{command.strip()[:80]} ({age_s(pid):.0f} s old)" for pid, command in marked(search.mark)]
        found.append(f"processes are left {GONE_S:g} s after the end: {', '.join(left)}")
    return found + problems_in_mlflow(search, {trial.number: dict(trial.values) for trial in trials})


def problems_in_mlflow(search: Search, values: dict[int, dict[int, float]]) -> list[str]:
    """What MLflow has, against the study's values by trial and epoch."""
    from mlflow import MlflowClient

    studies = StudiesFolder(search.folder)
    with locked(studies.mlflow_lock):  # a writer on a busy machine may still be making the tables
        client = MlflowClient(search.uri)
    experiment = client.get_experiment_by_name(search.study.name)
    if experiment is None:
        return ["MLflow has no such experiment"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    found = [f"MLflow's run {run.info.run_name} is {run.info.status}" for run in runs if run.info.status == "RUNNING"]
    num_parents = sum("mlflow.parentRunId" not in run.data.tags for run in runs)
    children = [run for run in runs if run.data.tags["visiontune.kind"] == "trial"]
    if num_parents != 1:
        found.append(f"MLflow has {num_parents} parent runs")
    numbers = sorted(int(run.data.tags["visiontune.number"]) for run in children)
    if numbers != sorted(values):
        found.append(f"MLflow has runs for the trials {numbers}")
    for run in children:
        number = int(run.data.tags["visiontune.number"])
        history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_top1")]
        if sorted(history) != sorted(values.get(number, {}).items()):
            found.append(f"MLflow's val_top1 of trial {number} is {sorted(history)}, the study's {values.get(number)}")
    return found
