"""What a search costs beyond its training: visiontune against what a user would pick instead, on the same trials.

    .venv/bin/python benchmarks/overhead.py               # 4 to 8 minutes on 2 cores
    .venv/bin/python benchmarks/overhead.py --quick       # visiontune and the ideal alone, 1 minute
    .venv/bin/python benchmarks/overhead.py --repeat 3    # medians of three runs of each

Every entrant searches search_spaces/digits.yaml with 16 trials, the same 16 recipes to begin with (handed to the peers as
their first points), rungs 1, 3, 9, MLflow on SQLite, on the same cores; the whole process is timed, imports and the way out
included. Their ASHA differs, so that they train different numbers of epochs of those recipes: the ideal is what the epochs
that an entrant trained cost in visiontune's plain loop without Ray and MLflow (measured here, for each recipe, as many
processes as cores, right after visiontune's runs; a peer's epochs beyond those at their mean), divided by the cores; wall / ideal
compares entrants for the same training.

    visiontune         the default: ASHA that pauses and promotes
    stop: true         ASHA that stops, as in the peers; trains about as many epochs as they do, so the ratios are taken from it
    tutorial           Ray's tutorial: function trainable, OptunaSearch, ASHAScheduler, MLflowLoggerCallback
    tuned              the same with reuse_actors=True and max_concurrent_trials
    optuna             plain Optuna in two processes on one journal file, SuccessiveHalvingPruner, mlflow.log_metrics

A trial that fails, or whose epochs MLflow does not have, ends the benchmark with its error: it must not count as fast.
Favours to the peers: their MLflow database is made beforehand (so is visiontune's), their pictures are decoded, they write
no checkpoints, and Optuna's queue is filled by the parent process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from common import machine
from common.result import Result, arguments, median_of, parse
from parts.overhead_runs import STOPPING, VISIONTUNE, Bench, Run, ideal_s, ideal_seconds, prepare, run_peer, run_visiontune

TARGETS = {"tutorial": 5.0, "tuned": 2.0, "optuna": 1.0}
"""Peers, and how many times less wall time than they is wanted."""

OURS = (VISIONTUNE, STOPPING)
NAMES = {
    "tutorial": "Ray's tutorial (OptunaSearch, ASHAScheduler, MLflowLoggerCallback)",
    "tuned": "the same with `reuse_actors`, `max_concurrent_trials`",
    "optuna": "plain Optuna in two processes, `log_metrics`",
}
Measured = list[tuple[Run, float]]
"""Runs, each with its ideal in seconds."""

FIGURES: dict[str, Callable[[Run, float], float]] = {
    "wall_s": lambda run, ideal: run.wall_s,
    "epochs": lambda run, ideal: run.num_epochs,
    "s_per_epoch": lambda run, ideal: run.wall_s / run.num_epochs,
    "ideal_s": lambda run, ideal: ideal,
    "wall_per_ideal": lambda run, ideal: run.wall_s / ideal,
}


def report(result: Result, runs: Measured) -> None:
    """The table and the targets, of medians."""
    names = list(dict.fromkeys(run.entrant for run, _ in runs))
    medians = {name: {figure: statistics.median(_values(runs, name, figure)) for figure in FIGURES} for name in names}
    spread = {name: {k: v for figure in FIGURES for k, v in median_of(figure, _values(runs, name, figure)).items()} for name in names}
    result.table("entrants", {NAMES.get(name, name): row for name, row in spread.items()})
    for name in [name for name in OURS if name in names]:
        own = [(run, ideal) for run, ideal in runs if run.entrant == name]
        first_s = statistics.median(run.first_epoch_s for run, _ in own)
        share = statistics.median(100 * ideal / run.busy_s for run, ideal in own)
        result.target(f"{name}: command to the end of the first epoch", first_s, 15, is_at_most=True, unit=" s")
        result.target(f"{name}: ideal / time from the first trial's start to the last trial's end", share, 85, unit=" %")
    for name in [peer for peer in TARGETS if peer in names and STOPPING in names]:
        for figure, what in (("wall_per_ideal", "for the same training"), ("s_per_epoch", "per epoch")):
            ratio = medians[name][figure] / medians[STOPPING][figure]
            result.target(f"{NAMES[name]} / {STOPPING}, wall time {what}", ratio, TARGETS[name])


def _values(runs: Measured, name: str, figure: str) -> list[float]:
    return [FIGURES[figure](run, ideal) for run, ideal in runs if run.entrant == name]


def main() -> None:
    """Run the entrants in turn."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="visiontune and the ideal alone")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each entrant; medians are shown")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=tuple(TARGETS), help="these peers")
    parser.add_argument("--ours", nargs="+", choices=OURS, default=OURS, help="and these of visiontune's")
    parser.add_argument("--at-once", type=int, default=1, help="entrants side by side: quick, and each figure then wrong")
    args = parse(parser, trials=1, max_epochs=1, cores=1, at_once=2, only=["tuned", "optuna"], ours=[STOPPING])
    peers = [] if args.quick else args.only or [*TARGETS]
    what = f"runs of each of {len(peers) + len(args.ours)} entrants, {args.trials} trials each, {args.cores} cores"
    is_whole = len(peers) + len(args.ours) == len(TARGETS) + len(OURS) and args.at_once == 1
    result = Result("overhead", args, args.repeat, what, whole=is_whole)
    with tempfile.TemporaryDirectory(prefix="visiontune-overhead-", ignore_cleanup_errors=True) as folder:
        report(result, measure(Bench(Path(folder), machine.DIGITS, args.trials, args.max_epochs, args.cores), peers, args))
    result.write()


def measure(bench: Bench, peers: list[str], args: argparse.Namespace) -> Measured:
    """Every run with its ideal."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: bench.cores * args.at_once])  # theirs too
    store, runs = prepare(bench), Measured()
    with ThreadPoolExecutor(args.at_once) as pool:
        for _ in range(args.repeat):
            ours = list(pool.map(partial(run_visiontune, bench), args.ours))
            seconds = ideal_seconds(bench, store, ours)
            points = [json.loads(key) for key, _ in ours[-1].epochs]
            found = [*ours, *pool.map(partial(run_peer, bench, points=points), peers)]
            runs += [(run, ideal_s(run, seconds, bench.cores)) for run in found]
    return runs


if __name__ == "__main__":
    main()
