"""Entrants of overhead.py: each a whole process, timed, whose trials must have trained what they say."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import machine

PEERS = machine.ROOT / "benchmarks" / "peers"
VISIONTUNE, STOPPING = "visiontune", "visiontune, `stop: true`"
SCRIPTS = {"tutorial": ["tune_tutorial.py"], "tuned": ["tune_tutorial.py", "--tuned"], "optuna": ["plain_optuna.py"]}


@dataclass(frozen=True)
class Run:
    """One process from its start to its end; `epochs` are (params as JSON, epochs trained) of each trial."""

    entrant: str
    wall_s: float
    epochs: tuple[tuple[str, int], ...]
    first_epoch_s: float = 0.0
    busy_s: float = 0.0

    @property
    def num_epochs(self) -> int:
        """Epochs trained by all trials."""
        return sum(num for _, num in self.epochs)


@dataclass(frozen=True)
class Bench:
    """What all runs share. `folder` holds mlflow.db with its tables, the pictures for peers, and .data for visiontune."""

    folder: Path
    space: Path
    num_trials: int
    max_epochs: int
    cores: int

    def timed(self, command: list[str], out: Path) -> tuple[float, float, str]:
        """(when it started as seconds since 1970, wall seconds, stdout); exits with the command's stderr if it fails."""
        environment = machine.clean_env(PYTHONPATH=os.pathsep.join([str(PEERS), str(machine.ROOT / "platform")]))
        with (out / "stderr.log").open("w") as log:
            started, clock = time.time(), time.perf_counter()
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
            wall_s = time.perf_counter() - clock
        if done.returncode:
            sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{(out / 'stderr.log').read_text()[-3000:]}")
        return started, wall_s, done.stdout

    def new_folder(self, name: str) -> Path:
        """A folder of a run's own with a MLflow database that has its tables."""
        out = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        shutil.copy(self.folder / "mlflow.db", out / "mlflow.db")
        return out


def prepare(bench: Bench) -> Path:
    """Warm caches: the store, the same pictures as arrays for the peers, an MLflow database with its tables. Gives the store."""
    import numpy as np

    from visiontune.data.prepare import prepare as prepare_data
    from visiontune.data.store.store import Store
    from visiontune.spec.parse import load_study

    path = prepare_data(load_study(bench.space).data, bench.folder / ".data")
    store = Store.open(path)
    splits = {"train": store.train_idx, "val": store.val_idx}
    arrays: dict[str, Any] = {
        f"{name}_{kind}": content[index]
        for name, index in splits.items()
        for kind, content in (("x", store.images_NHWC), ("y", store.labels_N))
    }
    np.savez(bench.folder / "pictures.npz", mean=store.mean_C, std=store.std_C, **arrays)
    make_database(bench)
    return path


def make_database(bench: Bench) -> None:
    """Making MLflow's tables takes seconds, which nobody's search should be charged with."""
    make = f"from mlflow import MlflowClient; MlflowClient('sqlite:///{bench.folder}/mlflow.db').search_experiments()"
    subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, env=machine.clean_env())


def run_visiontune(bench: Bench, name: str) -> Run:
    """`visiontune search` as a user types it, without confirmations."""
    from visiontune import load_study

    out = bench.new_folder("visiontune")
    shutil.copytree(bench.folder / ".data", out / ".data")
    overrides = [f"budget.num_trials={bench.num_trials}", f"budget.max_epochs={bench.max_epochs}", "confirm.num_seeds=0"]
    overrides += [f"resources.max_concurrent_trials={bench.cores}", f"trial_scheduler.stop={str(name == STOPPING).lower()}"]
    command = [machine.VISIONTUNE, "search", str(bench.space), *overrides, "--plain", "--studies-dir", str(out)]
    started, wall_s, _ = bench.timed(command, out)
    study = load_study("digits", studies_dir=out)
    for trial in study.record.trials:
        if trial.kind in ("crashed", "infeasible"):
            sys.exit(f"{name}: trial {trial.number} {trial.kind}: {trial.reason}")
    trained = tuple((as_key(trial.params), trial.epoch) for trial in study.record.trials)
    refuse_unlogged(name, trained, out)
    events = [json.loads(row) for row in study.folder.outbox.read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    first_start = min(event["time_ms"] / 1e3 - event["metrics"]["epoch_s"] for event in epochs)
    last_end = max(event["time_ms"] / 1e3 for event in events if event["event"] == "end")
    first_epoch_s = min(event["time_ms"] for event in epochs) / 1e3 - started
    return Run(name, wall_s, trained, first_epoch_s, last_end - first_start)


def run_peer(bench: Bench, name: str, points: list[dict[str, Any]]) -> Run:
    """One of peers/*.py. A trial that fails there ends this process with its error."""
    out = bench.new_folder(name)
    (out / "points.json").write_text(json.dumps(points))
    script, *more = SCRIPTS[name]
    options: dict[str, Any] = {
        "--space": bench.space,
        "--pictures": bench.folder / "pictures.npz",
        "--points": out / "points.json",
        "--out": out,
    }
    options |= {"--max-epochs": bench.max_epochs, "--cores": bench.cores}
    command = [sys.executable, str(PEERS / script), *(str(part) for pair in options.items() for part in pair), *more]
    _, wall_s, stdout = bench.timed(command, out)
    trained = tuple((as_key(params), num) for params, num in json.loads(stdout.splitlines()[-1])["epochs"])
    if len(trained) != len(points):
        sys.exit(f"{name}: {len(points)} trials were asked for, but {len(trained)} ended")
    refuse_unlogged(name, trained, out)
    return Run(name, wall_s, trained)


def refuse_unlogged(name: str, trained: Iterable[tuple[str, int]], out: Path) -> None:
    """Exit unless MLflow has as many epochs of each trial as the entrant says that it trained."""
    with sqlite3.connect(out / "mlflow.db") as database:
        rows = database.execute("select count(*) from metrics where key = 'val_top1' group by run_uuid").fetchall()
    logged, said = sorted(num for (num,) in rows), sorted(num for _, num in trained if num)
    if logged != said:
        sys.exit(f"{name}: trials of {said} epochs were reported, but MLflow has {logged}")


def as_key(params: Any) -> str:
    """Params as text that is equal for equal params."""
    return json.dumps(dict(params), sort_keys=True)


def ideal_seconds(bench: Bench, store: Path, runs: Iterable[Run]) -> dict[str, list[float]]:
    """For every recipe that any run trained, seconds up to the end of each epoch, as far as any run went."""
    from visiontune.spec.declarations.domains import FixedParams
    from visiontune.spec.parse import load_study, make_recipe

    spec = load_study(bench.space, [f"budget.max_epochs={bench.max_epochs}"])
    furthest: dict[str, int] = {}
    for run in runs:
        for key, num in run.epochs:
            furthest[key] = max(num, furthest.get(key, 1))
    trials = [
        {"key": key, "epochs": num, "recipe": make_recipe(spec, spec.space.resolve(FixedParams(json.loads(key))), number).to_dict()}
        for number, (key, num) in enumerate(furthest.items())
    ]
    out = bench.new_folder("ideal")
    (out / "trials.json").write_text(json.dumps(trials))
    options = ["--store", str(store), "--trials", str(out / "trials.json"), "--cores", str(bench.cores)]
    return dict(json.loads(bench.timed([sys.executable, str(PEERS / "ideal.py"), *options], out)[2].splitlines()[-1]))


def ideal_s(run: Run, seconds: dict[str, list[float]], cores: int) -> float:
    """A perfect split of what the run trained; epochs beyond the measured ones cost their mean."""
    total_s = 0.0
    for key, num in run.epochs:
        ends = seconds[key]
        if num and ends:
            total_s += ends[num - 1] if num <= len(ends) else ends[-1] * num / len(ends)
    return total_s / cores
