"""The main job for real, on Ray and with MLflow: killed, hurt, interrupted, and whole in the end."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from visiontune.filesystem.file_lock import locked
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import lines_until
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.read_study import read_study

pytestmark = pytest.mark.ray
PATIENCE_S = 400  # on a machine that is busy with other things

STUDY = """
study: survivor
data: {source: digits, image_size: 8}
budget: {num_trials: 10, min_epochs: 1, max_epochs: 9, reduction_factor: 3}
resources: {gpus_per_trial: 0, max_concurrent_trials: 2}
confirm: {num_seeds: 1}
space:
  model: {name: lenet5, activation: {choice: [relu, elu]}}
  optimizer: {name: adamw, lr: {float: [1e-4, 1e-1], log: true}}
"""


class Search:
    """One call of `visiontune search` in a process group of its own."""

    def __init__(self, folder, file):
        self.folder = StudyFolder(folder / "survivor")
        command = [sys.executable, "-m", "visiontune", "search", str(file), "--studies-dir", str(folder)]
        environment = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI")}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)

    def epochs(self):
        """Those whose line is whole: the driver may be writing the next."""
        return [line.event for line in lines_until(self.folder) if line.event["event"] == "epoch"]

    def wait_for_epochs(self, num, timeout_s=PATIENCE_S):
        """Until `num` more epochs are reported."""
        start, deadline = len(self.epochs()), time.monotonic() + timeout_s
        while len(self.epochs()) < start + num:
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_event(self, kind, what, timeout_s=PATIENCE_S):
        """Until the event log has one of that kind that says so."""
        deadline = time.monotonic() + timeout_s
        while not any(one.kind == kind and what in one.text for one in read_events(self.folder.events)):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, list(map(str, read_events(self.folder.events)))
            time.sleep(0.02)

    def workers(self, name="LegWorker"):
        """Processes of Ray's workers under this driver."""
        parents, titles = {}, {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    titles[int(entry.name)] = (entry / "cmdline").read_bytes()
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (OSError, IndexError):
                    continue
        return [
            pid
            for pid, title in titles.items()
            if title.startswith(f"ray::{name}".encode()) and self.process.pid in ancestors(pid, parents)
        ]


def ancestors(pid, parents):
    found = set()
    while pid in parents and pid not in found:
        found.add(pid)
        pid = parents[pid]
    return found


def test_a_search_survives_kills_a_lost_worker_and_an_interrupt(tmp_path):
    file = tmp_path / "survivor.yaml"
    file.write_text(STUDY)
    folder = tmp_path / "studies"

    search = Search(folder, file)
    search.wait_for_epochs(3)
    search.process.send_signal(signal.SIGKILL)
    search.process.wait()

    search = Search(folder, file)
    search.wait_for_epochs(2)
    os.kill(search.workers()[0], signal.SIGKILL)
    search.wait_for_epochs(2)
    os.kill(search.workers()[0], signal.SIGTERM)  # a notice of preemption
    search.wait_for_event("preempted", "it was told to leave")
    search.wait_for_epochs(2)
    search.process.send_signal(signal.SIGTERM)
    output, _ = search.process.communicate(timeout=PATIENCE_S)
    assert search.process.returncode == 1
    assert "visiontune" in output.strip().splitlines()[-1]
    assert "search" in output.strip().splitlines()[-1]

    search = Search(folder, file)
    output, _ = search.process.communicate(timeout=PATIENCE_S)
    assert search.process.returncode == 0, output
    assert "winner" in output

    view = read_study(StudyFolder(folder / "survivor"))
    assert [row.number for row in view.trials] == list(range(10))
    assert {row.state for row in view.trials} <= {"complete", "waiting"}
    assert view.best.epoch == 9
    assert len(view.confirmations) == 1
    waiting = {f"{row.number:05d}" for row in view.trials if row.state == "waiting"}
    assert {one.name for one in (folder / "survivor" / "checkpoints").iterdir()} == waiting
    reported = Counter((event["number"], event["epoch"]) for event in search.epochs())
    assert sum(reported.values()) - len(reported) <= 4, "an epoch that was reported is trained again only around a kill"

    again = Search(folder, file)
    output, _ = again.process.communicate(timeout=PATIENCE_S)
    assert again.process.returncode == 0
    assert "finished" in output
    check_mlflow(folder, view)


def test_a_trial_on_two_workers_goes_on_when_either_is_killed(tmp_path):
    file = tmp_path / "pairs.yaml"
    changes = {"num_trials: 10": "num_trials: 1", "max_concurrent_trials: 2": "workers_per_trial: 2", "num_seeds: 1": "num_seeds: 0"}
    file.write_text(re.sub("|".join(changes), lambda found: changes[found[0]], STUDY))
    search = Search(tmp_path / "studies", file)
    search.wait_for_epochs(2)
    for name in ("RankWorker", "LegWorker"):
        (victim,) = search.workers(name)
        os.kill(victim, signal.SIGKILL)
        search.wait_for_epochs(2)
    output, _ = search.process.communicate(timeout=PATIENCE_S)
    assert search.process.returncode == 0, output
    view = read_study(StudyFolder(tmp_path / "studies" / "survivor"))
    assert {row.state for row in view.trials} <= {"complete", "waiting"} and view.best.epoch == 9


def check_mlflow(folder, view):
    """One run for each trial, with its metrics, params and end, under one parent."""
    from mlflow import MlflowClient

    with locked(folder / "mlflow.lock"):  # the writer may still be making the tables
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=1000)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags["visiontune.kind"] == "trial"]
    assert all(run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id for run in runs if run is not parents[0])
    numbers = Counter(run.data.tags["visiontune.number"] for run in children)
    assert len(parents) == 1
    assert numbers == Counter(str(row.number) for row in view.trials)
    for run in children:
        row = view.trials[int(run.data.tags["visiontune.number"])]
        assert (run.info.status, run.data.tags["visiontune.state"]) == ("FINISHED", row.state)
        assert float(run.data.params["optimizer.lr"]) == row.recipe["optimizer"]["lr"]
        history = client.get_metric_history(run.info.run_id, "val_top1")
        assert {(point.step, point.value) for point in history} == set(row.values.items())
