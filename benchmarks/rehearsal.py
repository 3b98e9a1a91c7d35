"""Which proposals and which rungs find the best model soonest: rehearsed on recorded learning curves, many seeds.

    .venv/bin/python benchmarks/rehearsal.py                 # the first call records 288 curves: 3 to 6 minutes on 2 cores
    .venv/bin/python benchmarks/rehearsal.py --seeds 40      # curves are kept in a file under the temporary folder
    .venv/bin/python benchmarks/rehearsal.py --record-only

Recorded is every point of a grid (LeNet-5 and CNN, two widths each; SGD and AdamW; nine learning rates; two schedules; two batch
sizes), each trained for 27 epochs on 400 digits. The rehearsal then runs visiontune's own SearchRun, TrialQueue, samplers and
trial schedulers with four workers that look their epochs up, one unit of compute each; rungs 1, 3, 9, 27. Every proposal has a
curve of its own, except that a learning rate, which the samplers see as a continuous range, takes the nearest of the nine levels
(half a decade apart). The figure is the test accuracy of the model with the best validation accuracy so far; `by TPE` is the
share of proposals that a model made; trial 0 is the tables' defaults, the others were random or of a Sobol sequence.

The peer is the stock pair: Ray's own OptunaSearch and ASHAScheduler objects, driven as Tune drives them.
One table of curves, one kind of data: rehearse on your own before you rely on it.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path

from common.result import Result, arguments, parse
from parts.recorded_curves import Curves, Grid, record
from parts.rehearsed_search import rehearse, rehearse_stock

GRID = Grid(
    models={"lenet5": {"width": {"choice": [1, 2]}}, "cnn": {"width": {"choice": [8, 16]}, "depth": 2}},
    levels=tuple(round(10 ** (-4 + k / 2), 8) for k in range(9)),
    schedules=("cosine", "constant"),
    batch_sizes=(32, 128),
    num_epochs=27,
)
SMALL_GRID = Grid({"lenet5": {}, "cnn": {"width": 2, "depth": 2}}, (1e-3, 1e-1), ("cosine", "constant"), (64, 128), num_epochs=3)

KINDS = {
    "random, no stopping": ("random", "{name: none}"),
    "random, ASHA stops": ("random", "{name: asha, stop: true}"),
    "random, ASHA promotes": ("random", "{name: asha}"),
    "TPE, no stopping": ("tpe", "{name: none}"),
    "TPE, ASHA stops": ("tpe", "{name: asha, stop: true}"),
    "TPE, ASHA promotes (default)": ("tpe", "{name: asha}"),
}
"""Sampler and trial scheduler."""

STOCK = "stock pair: OptunaSearch + Ray's ASHA"
History = list[float]


def one(grid: Grid, curves: Curves, num_units: int, job: tuple[str, int]) -> tuple[str, tuple[History, float]]:
    """A job of the pool."""
    import logging

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    kind, seed = job
    if kind == STOCK:
        return kind, rehearse_stock(grid, curves, num_units, seed)
    sampler, rule = KINDS[kind]
    return kind, rehearse(grid, curves, num_units, seed, sampler=sampler, rule=rule)


def mean_with_error(name: str, values: list[float]) -> dict[str, float]:
    """The mean, and its standard error where there are several."""
    error = {f"{name}_se": statistics.stdev(values) / math.sqrt(len(values))} if len(values) > 1 else {}
    return {name: statistics.fmean(values), **error}


def first_reaching(histories: list[History], value: float) -> int | None:
    """Units after which the mean over seeds is at least `value`."""
    means = (statistics.fmean(at) for at in zip(*histories, strict=True))
    return next((units for units, mean in enumerate(means, 1) if mean >= value), None)


def main() -> None:
    """Record once, rehearse every kind with every seed, print."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 400, 800], help="epochs of all trials together")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()), help="folder of the recorded curves")
    parser.add_argument("--record-only", action="store_true")
    args = parse(parser, seeds=1, budgets=[10, 20], processes=1)
    with tempfile.TemporaryDirectory() as scratch:
        grid, cache = (SMALL_GRID, Path(scratch)) if args.smoke else (GRID, args.cache)
        curves = record(grid, cache, args.processes)
    if not args.record_only:
        result = Result("rehearsal", args, args.seeds, "seeds of each kind; se is the standard error of the mean")
        report(result, grid, curves, *measure(args, grid, curves), sorted(args.budgets))
        result.write()


def measure(args: argparse.Namespace, grid: Grid, curves: Curves) -> tuple[dict[str, list[History]], dict[str, float]]:
    """Histories of each kind, and its share of proposals by a model."""
    jobs = [(kind, seed) for seed in range(args.seeds) for kind in (*KINDS, STOCK)]
    found: dict[str, list[tuple[History, float]]] = {kind: [] for kind in (*KINDS, STOCK)}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for kind, outcome in pool.imap_unordered(partial(one, grid, curves, max(args.budgets)), jobs):
            found[kind].append(outcome)
    histories = {kind: [history for history, _ in outcomes] for kind, outcomes in found.items()}
    return histories, {kind: statistics.fmean(share for _, share in outcomes) for kind, outcomes in found.items()}


def report(
    result: Result, grid: Grid, curves: Curves, found: dict[str, list[History]], shares: dict[str, float], budgets: list[int]
) -> None:
    """The curves themselves, the table, and the compute that reaches what the stock pair ends with."""
    finals = sorted(points[-1][1] for points in curves.values() if len(points) == grid.num_epochs)
    quartiles = {f"test_top1_quartile_{k}": finals[round(k / 4 * (len(finals) - 1))] for k in range(5)}
    result.table("recorded curves", {"all": {"curves": len(curves), "diverged": len(curves) - len(finals), **quartiles}})
    goal = statistics.fmean(history[-1] for history in found[STOCK])
    stock_units = first_reaching(found[STOCK], goal)
    rows: dict[str, dict[str, float]] = {}
    for kind, histories in found.items():
        rows[kind] = {}
        for budget in budgets:
            rows[kind] |= mean_with_error(f"test_top1_after_{budget}_epochs", [history[budget - 1] for history in histories])
        rows[kind]["by_tpe_percent"] = 100 * shares[kind]
        units = first_reaching(histories, goal)
        if units is not None and stock_units is not None:
            rows[kind]["compute_per_stock_pair"] = units / stock_units
    result.table("proposals + rungs", rows)


if __name__ == "__main__":
    main()
