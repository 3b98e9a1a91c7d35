"""What a search costs beyond its training: visiontune against what a user would pick instead, on the same trials.

    .venv/bin/python benchmarks/overhead.py               # 4 to 8 minutes on 2 cores
    .venv/bin/python benchmarks/overhead.py --quick       # visiontune and the ideal alone, 1 minute
    .venv/bin/python benchmarks/overhead.py --repeat 3    # medians of three runs of each

Every entrant searches search_spaces/digits.yaml with 16 trials, the same 16 recipes to begin with (handed to the peers as
their first points), rungs 1, 3, 9, MLflow on SQLite, on the same cores; the whole process is timed, imports and the way out
included. Their ASHA differs, so that they train different numbers of epochs of those recipes: `ideal s` is what the epochs
that an entrant trained cost in visiontune's plain loop without Ray and MLflow (measured here, for each recipe, as many
processes as cores, right after visiontune's runs; a peer's epochs beyond those at their mean), divided by the cores; `x ideal` is
wall time over it, which compares entrants for the same training.

    visiontune         the default: ASHA that pauses and promotes
    visiontune stop    ASHA that stops, as in the peers; trains about as many epochs as they do, so the ratios are taken from it
    tutorial           Ray's tutorial: function trainable, OptunaSearch, ASHAScheduler, MLflowLoggerCallback
    tuned              the same with reuse_actors=True and max_concurrent_trials
    optuna             plain Optuna in two processes on one journal file, SuccessiveHalvingPruner, mlflow.log_metrics

Favours to the peers: their MLflow database is made beforehand (so is visiontune's), their pictures are decoded, they write
no checkpoints, and Optuna's queue is filled by the parent process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import machine

PEERS = Path(__file__).with_name("peers")
OURS = ("visiontune", "visiontune stop")
TARGETS = {"tutorial": 5.0, "tuned": 2.0, "optuna": 1.0}
"""Peers, and how many times less wall time than they is wanted."""


@dataclass(frozen=True)
class Run:
    """One process from its start to its end; `epochs` are (params as JSON, epochs trained) of each trial."""

    entrant: str
    wall_s: float
    epochs: tuple[tuple[str, int], ...]
    num_metrics: int
    first_epoch_s: float = 0.0
    busy_s: float = 0.0
    ideal_s: float = 0.0

    @property
    def num_epochs(self) -> int:
        """Epochs trained by all trials."""
        return sum(num for _, num in self.epochs)


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    folder: Path
    space: Path
    num_trials: int
    max_epochs: int
    cores: int

    def timed(self, command: list[str], out: Path) -> tuple[float, float, str]:
        """(when it started as seconds since 1970, wall seconds, stdout); exits with the command's stderr if it fails."""
        cores = sorted(os.sched_getaffinity(0))[: self.cores]
        environment = machine.clean_env(PYTHONPATH=os.pathsep.join([str(PEERS), str(machine.ROOT / "platform")]))
        with (out / "stderr.log").open("w") as log:
            started, clock = time.time(), time.perf_counter()
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cores)
            )
            wall_s = time.perf_counter() - clock
        if done.returncode:
            sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{(out / 'stderr.log').read_text()[-3000:]}")
        return started, wall_s, done.stdout

    def new_folder(self, name: str) -> Path:
        """A folder of a run's own with a MLflow database that has its tables."""
        out = Path(tempfile.mkdtemp(prefix=f"{name.replace(' ', '-')}-", dir=self.folder))
        shutil.copy(self.folder / "mlflow.db", out / "mlflow.db")
        return out


def run_visiontune(bench: Bench, name: str) -> Run:
    """`visiontune search` as a user types it, without confirmations."""
    from visiontune.tuning.read_study import read_study

    out = bench.new_folder(name)
    shutil.copytree(bench.folder / ".data", out / ".data")
    overrides = [f"budget.num_trials={bench.num_trials}", f"budget.max_epochs={bench.max_epochs}", "confirm.num_seeds=0"]
    overrides += [f"resources.max_concurrent_trials={bench.cores}", f"trial_scheduler.stop={str(name.endswith('stop')).lower()}"]
    started, wall_s, _ = bench.timed(
        [machine.VISIONTUNE, "search", str(bench.space), *overrides, "--plain", "--studies-dir", str(out)], out
    )
    folder = next(path.parent for path in out.glob("*/driver.lock"))
    events = [json.loads(row) for row in (folder / "outbox.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    first_start = min(event["time_ms"] / 1e3 - event["metrics"]["epoch_s"] for event in epochs)
    last_end = max(event["time_ms"] / 1e3 for event in events if event["event"] == "end")
    trained = tuple((as_key(row.params), row.epoch) for row in read_study(folder).rows)
    first_epoch_s = min(event["time_ms"] for event in epochs) / 1e3 - started
    return Run(name, wall_s, trained, num_metrics(out), first_epoch_s, last_end - first_start)


def run_peer(bench: Bench, name: str, points: list[dict[str, Any]]) -> Run:
    """One of peers/*.py."""
    out = bench.new_folder(name)
    (out / "points.json").write_text(json.dumps(points))
    script = "plain_optuna.py" if name == "optuna" else "tune_tutorial.py"
    options = {"--space": bench.space, "--pictures": bench.folder / "pictures.npz", "--points": out / "points.json", "--out": out}
    command = [sys.executable, str(PEERS / script), *(str(part) for pair in options.items() for part in pair)]
    command += ["--max-epochs", str(bench.max_epochs), "--cores", str(bench.cores), *(["--tuned"] if name == "tuned" else [])]
    _, wall_s, stdout = bench.timed(command, out)
    trained = json.loads(stdout.splitlines()[-1])["epochs"]
    return Run(name, wall_s, tuple((as_key(params), num) for params, num in trained), num_metrics(out))


def num_metrics(out: Path) -> int:
    """Values of val_top1 in MLflow's database: that each entrant logged what it trained."""
    with sqlite3.connect(out / "mlflow.db") as database:
        return int(database.execute("select count(*) from metrics where key = 'val_top1'").fetchone()[0])


def as_key(params: Any) -> str:
    """Params as text that is equal for equal params."""
    return json.dumps(dict(params), sort_keys=True)


def prepare(bench: Bench) -> Path:
    """Warm caches: the store, the same pictures as arrays for the peers, an MLflow database with its tables. Gives the store."""
    import numpy as np

    from visiontune.data import prepare as data
    from visiontune.spec.parse import load_study

    path = data.prepare(load_study(bench.space).data, bench.folder / ".data")
    store = data.Store.open(path)
    splits = {"train": store.train_idx, "val": store.val_idx}
    arrays = {
        f"{name}_{kind}": content[index]
        for name, index in splits.items()
        for kind, content in (("x", store.images_NHWC), ("y", store.labels_N))
    }
    np.savez(bench.folder / "pictures.npz", mean=store.mean_C, std=store.std_C, **arrays)
    make = f"from mlflow import MlflowClient; MlflowClient('sqlite:///{bench.folder}/mlflow.db').search_experiments()"
    subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, env=machine.clean_env())
    return path


def ideal_seconds(bench: Bench, store: Path, runs: Iterable[Run]) -> dict[str, list[float]]:
    """For every recipe that any run trained, seconds up to the end of each epoch, as far as any run went."""
    from visiontune.spec.domains import FixedParams
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


def with_ideal(run: Run, seconds: dict[str, list[float]], cores: int) -> Run:
    """The run with the seconds of a perfect split of what it trained; epochs beyond the measured ones cost their mean."""
    total_s = 0.0
    for key, num in run.epochs:
        ends = seconds[key]
        if num and ends:
            total_s += ends[num - 1] if num <= len(ends) else ends[-1] * num / len(ends)
    return replace(run, ideal_s=total_s / cores)


def report(bench: Bench, runs: list[Run]) -> None:
    """The table and the ratios, of medians."""
    names = list(dict.fromkeys(run.entrant for run in runs))
    figures: dict[str, tuple[str, Callable[[Run], float]]] = {
        "wall s": (".1f", lambda run: run.wall_s),
        "epochs": ("g", lambda run: run.num_epochs),
        "in MLflow": ("g", lambda run: run.num_metrics),
        "s/epoch": (".2f", lambda run: run.wall_s / run.num_epochs),
        "ideal s": (".1f", lambda run: run.ideal_s),
        "x ideal": (".1f", lambda run: run.wall_s / run.ideal_s),
    }

    def median(name: str, figure: str) -> float:
        return statistics.median(figures[figure][1](run) for run in runs if run.entrant == name)

    what = f"runs of each of {len(names)} entrants, {bench.num_trials} trials each, {bench.cores} cores"
    print(machine.line(len(runs) // len(names), what))
    rows = [[name, *(format(median(name, figure), style) for figure, (style, _) in figures.items())] for name in names]
    print(machine.table(["entrant", *figures], rows))
    for name in OURS:
        own = [run for run in runs if run.entrant == name]
        first_s = statistics.median(run.first_epoch_s for run in own)
        share = statistics.median(100 * run.ideal_s / run.busy_s for run in own)
        print(machine.against(f"{name}: command to the end of the first epoch", first_s, 15, is_at_most=True, unit=" s"))
        print(machine.against(f"{name}: ideal / time from the first trial's start to the last trial's end", share, 85, unit=" %"))
    for name in [peer for peer in TARGETS if peer in names]:
        for figure, what in (("x ideal", "for the same training"), ("s/epoch", "per epoch")):
            ratio = median(name, figure) / median("visiontune stop", figure)
            print(machine.against(f"{name} / visiontune stop, wall time {what}", ratio, TARGETS[name]))
        print(f"RATIO {name} / visiontune, whole wall time: {median(name, 'wall s') / median('visiontune', 'wall s'):.2f}x")


def main() -> None:
    """Run the entrants in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="visiontune and the ideal alone")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each entrant; medians are shown")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=tuple(TARGETS), help="these peers")
    args = parser.parse_args()
    peers = [] if args.quick else args.only or [*TARGETS]
    with tempfile.TemporaryDirectory(prefix="visiontune-overhead-") as folder:
        bench = Bench(Path(folder), machine.DIGITS, args.trials, args.max_epochs, args.cores)
        store, runs = prepare(bench), list[Run]()
        for _ in range(args.repeat):
            ours = [run_visiontune(bench, name) for name in OURS]
            seconds = ideal_seconds(bench, store, ours)
            points = [json.loads(key) for key, _ in ours[-1].epochs]
            found = ours + [run_peer(bench, name, points) for name in peers]
            runs += [with_ideal(run, seconds, bench.cores) for run in found]
        report(bench, runs)


if __name__ == "__main__":
    main()
