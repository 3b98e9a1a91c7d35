"""kill -9 at random moments, each followed by the same command: at the end the study is whole, and so is MLflow.

    .venv/bin/python benchmarks/kill.py                 # 20 kills of the driver, 6 to 10 minutes on 2 cores
    .venv/bin/python benchmarks/kill.py --kills 3       # a short form
    .venv/bin/python benchmarks/kill.py --worker        # a worker is killed in mid-trial instead, 1 minute

A real search of search_spaces/digits.yaml: 12 trials, no confirmations, Ray and MLflow as always. The moment of a kill is
drawn uniformly over the time that a search needs when nobody kills it; a search that ends before its kill is not counted,
and the next one begins. Checked at the end of every study, read back through the storage and through MLflow's client:

    exactly the trials asked for, numbered without a gap, none running or waiting
    in MLflow one parent run and one run for each trial, none RUNNING, each with the study's epochs and values, none twice
    no process of a killed search is left

--worker: at the end each epoch of the killed worker's trial carries the time at which it was trained. Those up to the checkpoint
must be from before the kill, and all later ones from after it: it went on from the checkpoint, and lost at most the epoch
that was being trained. Exit code 1 when a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine

NUM_TRIALS = 12
PATIENCE_S = 300.0
GONE_S = 90.0  # Ray's own agents, when the store they report to died with the driver, wait a minute for it
MARK = "VISIONTUNE_KILL_TEST"

LONG = """
study: long
data: {source: digits, image_size: 16, val_fraction: 0.15, test_fraction: 0.2}
budget: {num_trials: 2, min_epochs: 12, max_epochs: 12}
trial_scheduler: {name: none}
confirm: {num_seeds: 0}
space:
  model: {name: cnn, width: 32, depth: 3, kernel_size: 5}
  optimizer: {name: adamw, lr: {float: [1e-4, 1e-2], log: true}}
"""


SEARCHES: list[Search] = []
"""All that were started, so that nothing of them outlives the benchmark."""


class Search:
    """One study in a folder of its own, and the command that is given again and again."""

    def __init__(self, folder: Path, file: Path, overrides: list[str]) -> None:
        self.folder, self.mark = folder, uuid.uuid4().hex
        self._command = [machine.VISIONTUNE, "search", str(file), *overrides, "--plain", "--studies-dir", str(folder)]
        self._log = folder / "driver.log"
        SEARCHES.append(self)

    def start(self) -> subprocess.Popen[bytes]:
        """The command, once more."""
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command, stdout=log, stderr=log, env=machine.clean_env(**{MARK: self.mark}))

    def finish(self) -> int:
        """The command until it ends by itself; its exit code."""
        return self.start().wait(PATIENCE_S)

    @property
    def study(self) -> Path:
        """Its folder."""
        return next(path.parent for path in self.folder.glob("*/driver.lock"))

    def num_epochs(self) -> int:
        """Epochs in the outbox so far."""
        return sum(event["event"] == "epoch" for event in self.events())

    def events(self) -> Iterator[dict[str, Any]]:
        """What the driver said so far."""
        path = next(self.folder.glob("*/outbox.jsonl"), None)
        for row in path.read_text().splitlines() if path else ():
            try:
                yield json.loads(row)
            except ValueError:  # a line that a kill left torn
                continue

    def processes(self, title: str = "") -> list[int]:
        """This search's processes of any kind whose command line holds `title`."""
        return [pid for pid, command in marked(self.mark) if title in command]

    def tail(self) -> str:
        """The end of what the drivers printed."""
        return self._log.read_text(errors="replace")[-2000:]


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """Processes that carry the mark in their environment, with their command lines."""
    needle = f"{MARK}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (path / "environ").read_bytes().split(b"\0"):
                yield int(path.name), (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


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


def problems_of(search: Search, num_trials: int) -> list[str]:
    """Everything that is not as it should be at the end of a study."""
    from visiontune.tuning.read_study import read_study

    rows = read_study(search.study).rows
    found = []
    if [row.number for row in rows] != list(range(num_trials)):
        found.append(f"{num_trials} trials were asked for, but there are {[row.number for row in rows]}")
    if alive := [row.number for row in rows if row.state not in ("complete", "pruned", "failed")]:
        found.append(f"trials {alive} did not end")
    if gaps := [row.number for row in rows if list(row.values) != list(range(1, row.epoch + 1))]:
        found.append(f"trials {gaps} miss an epoch")
    if not wait_for(lambda: not search.processes(), GONE_S):
        left = [f"{command.strip()[:80]} ({age_s(pid):.0f} s old)" for pid, command in marked(search.mark)]
        found.append(f"processes are left {GONE_S:g} s after the end: {', '.join(left)}")
    return found + problems_in_mlflow(search, {row.number: dict(row.values) for row in rows})


def problems_in_mlflow(search: Search, values: dict[int, dict[int, float]]) -> list[str]:
    """What MLflow has, against the study's values by trial and epoch."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{search.folder}/mlflow.db")
    experiment = client.get_experiment_by_name(search.study.name)
    if experiment is None:
        return ["MLflow has no such experiment"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    found = [f"MLflow's run {run.info.run_name} is {run.info.status}" for run in runs if run.info.status == "RUNNING"]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    if len(runs) - len(children) != 1:
        found.append(f"MLflow has {len(runs) - len(children)} parent runs")
    numbers = sorted(int(run.data.tags["visiontune.number"]) for run in children)
    if numbers != sorted(values):
        found.append(f"MLflow has runs for the trials {numbers}")
    for run in children:
        number = int(run.data.tags["visiontune.number"])
        history = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_top1")]
        if sorted(history) != sorted(values.get(number, {}).items()):
            found.append(f"MLflow's val_top1 of trial {number} is {sorted(history)}, the study's {values.get(number)}")
    return found


def kill_drivers(num_kills: int, seed: int, scratch: Path) -> list[str]:
    """Searches that are killed until there were enough kills; every problem of every study."""
    pick, found, done, number = random.Random(seed), [], 0, 0
    calm = new_search(scratch, "calm")
    started = time.monotonic()
    if code := calm.finish():
        return [f"a search that nobody killed ended with {code}: {calm.tail()}"]
    calm_s = time.monotonic() - started
    found += problems_of(calm, NUM_TRIALS)
    print(f"without a kill: {calm_s:.1f} s, {calm.num_epochs()} epochs", flush=True)
    while done < num_kills:
        number += 1
        search = new_search(scratch, f"search-{number}")
        while done < num_kills:
            moment_s = pick.uniform(0.0, calm_s)
            driver = search.start()
            try:
                code = driver.wait(moment_s)
                print(f"  study {number}: ended by itself with {code} before {moment_s:.1f} s", flush=True)
                break
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait()
                done += 1
                print(f"kill {done}: study {number}, after {moment_s:.1f} s, {search.num_epochs()} epochs known", flush=True)
        code = search.finish()
        problems = problems_of(search, NUM_TRIALS) + ([f"the last call ended with {code}: {search.tail()}"] if code else [])
        print(f"  study {number}: {search.num_epochs()} epochs, " + ("whole" if not problems else "; ".join(problems)), flush=True)
        found += problems
    return found


def new_search(scratch: Path, name: str) -> Search:
    """The digits in a fresh folder."""
    folder = scratch / name
    folder.mkdir()
    return Search(folder, machine.DIGITS, [f"budget.num_trials={NUM_TRIALS}", "confirm.num_seeds=0"])


def kill_worker(scratch: Path) -> list[str]:
    """Kill a worker after a few epochs of its trial, let the search end, and look when each epoch was trained."""
    file = scratch / "long.yaml"
    file.write_text(LONG)
    search = Search(scratch / "long", file, [])
    search.folder.mkdir()
    driver = search.start()
    number = wait_for(lambda: next((event["number"] for event in search.events() if event.get("epoch") == 4), None))
    workers = search.processes("ray::LegWorker")
    if number is None or not workers:
        driver.kill()
        return [f"no worker reached epoch 4: {search.tail()}"]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    killed_ms = time.time_ns() // 1_000_000
    checkpoints = search.study / "checkpoints"
    saved = {int(path.parent.name): int(path.stem.split("-")[1]) for path in sorted(checkpoints.glob("*/epoch-*.ckpt"))}
    reported = {
        at: max(event["epoch"] for event in search.events() if event.get("number") == at and event["event"] == "epoch") for at in saved
    }
    print(f"killed {len(workers)} workers; checkpoints by trial: {saved}, reported by then: {reported}")
    history = last_histories(checkpoints, driver)
    found = [f"the search ended with {driver.returncode}: {search.tail()}"] if driver.returncode else []
    for at, epoch in saved.items():
        times = history.get(at, {})
        early, late = [e for e, ms in times.items() if ms <= killed_ms], [e for e, ms in times.items() if ms > killed_ms]
        print(f"trial {at}: epochs {early} were trained before the kill, {late} after it; {max(0, epoch - len(early))} repeated")
        if early != list(range(1, epoch + 1)) or not late or reported[at] > epoch:
            found.append(f"trial {at} did not go on from its checkpoint of epoch {epoch}")
    return found + ([] if saved else ["there was no checkpoint"]) + problems_of(search, 2)


def last_histories(checkpoints: Path, driver: subprocess.Popen[bytes]) -> dict[int, dict[int, int]]:
    """{trial: {epoch: when it was trained, ms}} out of the last checkpoints before the study took them away."""
    from visiontune.training.checkpoint import load_newest

    found: dict[int, dict[int, int]] = {}
    deadline_s = time.monotonic() + PATIENCE_S
    while driver.poll() is None and time.monotonic() < deadline_s:
        for folder in list(checkpoints.glob("[0-9]*")):
            state = load_newest(folder)
            if state:
                found[int(folder.name)] = {past["epoch"]: past["time_ms"] for past in state["history"]}
        time.sleep(0.1)
    return found


def main() -> None:
    """Kill, check, say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--worker", action="store_true", help="kill workers in mid-trial instead of drivers")
    parser.add_argument("--keep", action="store_true", help="leave the studies in their folder")
    args = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="visiontune-kill-"))
    try:
        found = kill_worker(scratch) if args.worker else kill_drivers(args.kills, args.seed, scratch)
    finally:
        for search in SEARCHES:
            for pid in search.processes():
                os.kill(pid, signal.SIGKILL)
        if args.keep:
            print(f"studies are in {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    print(machine.line(1 if args.worker else args.kills, "kills"))
    print("VERDICT: " + ("everything is whole" if not found else f"{len(found)} problems\n" + "\n".join(found)))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
