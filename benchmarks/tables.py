"""How much compute a search saves beside the stock pair, on learning curves that others recorded.

    .venv/bin/python benchmarks/tables.py --tables DIR              # 16 seeds on every .npz of the folder, 5 minutes on 2 cores
    .venv/bin/python benchmarks/tables.py --tables DIR --seeds 32

visiontune's own SearchRun, TrialQueue, samplers and trial schedulers, with four workers that look their epochs up; rungs 1, 3, 9, 27, an
epoch being 1/27 of a run's own length. Every recorded run is used once in a search: a proposal takes the nearest one that is left. Where
none is left the search is over, and keeps what it has.
The figure of a search is the score of the model with the best validation value so far: the share of the table's runs that end no
better on the test (on validation, where a table has no test). A row's ratio is the compute after which the stock pair's mean over seeds
has what it ends with, divided by the compute after which the row's mean has that; 0.5 where it never has ("at most": the row then got no
further with all of the compute). Intervals: 2.5 and 97.5 % of 200 bootstraps over the seeds.

    stock pair         Ray's own OptunaSearch and ASHAScheduler objects, driven as Tune drives them
    random, Ray's ASHA the same scheduler, recipes drawn at random
    random, promotes   visiontune's rungs, recipes drawn at random after trial 0
    default            what `visiontune search` does

Without --tables a small table is made, so that the script can be tried; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from common.result import Result, arguments, parse
from parts.recorded_tables import NUM_POINTS, load_table
from parts.rehearsed_tables import KINDS, STOCK, search_table

UNITS_PER_TRIAL = 3.33
"""Of successive halving by thirds over 1, 3, 9, 27: what a trial costs on average."""

NUM_BOOTSTRAPS = 200
NEVER = 0.5


def one(num_units: int, job: tuple[Path, str, int]) -> tuple[str, str, list[float]]:
    """A job of the pool: table, kind, and the score after each unit of compute."""
    path, kind, seed = job
    table = load_table(path)
    assert table is not None
    return path.stem, kind, search_table(table, kind, num_units, seed)


def ratio(stock_SU: np.ndarray, ours_SU: np.ndarray) -> float:
    """Compute of the stock pair until its mean has what it ends with, per compute of ours until it has that; NEVER where it never has."""
    stock_U, ours_U = stock_SU.mean(0), ours_SU.mean(0)
    goal = stock_U[-1] - 1e-9
    reached = np.flatnonzero(ours_U >= goal)
    return float((np.argmax(stock_U >= goal) + 1) / (reached[0] + 1)) if len(reached) else NEVER


def with_interval(stock_SU: np.ndarray, ours_SU: np.ndarray) -> tuple[float, list[float]]:
    """The ratio, and that of each bootstrap over the seeds."""
    draws = np.random.default_rng(0).integers(0, len(stock_SU), (2, NUM_BOOTSTRAPS, len(stock_SU)))
    return ratio(stock_SU, ours_SU), [ratio(stock_SU[a], ours_SU[b]) for a, b in zip(*draws, strict=True)]


def geometric(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def main() -> None:
    """Search every table in every way, print."""
    parser = arguments(__doc__)
    parser.add_argument("--tables", type=Path, help="folder of .npz files")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--budgets", type=int, nargs="+", default=[30, 60, 120, 200], help="in trials' worth")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parse(parser, seeds=2, budgets=[5, 10], processes=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.tables or made_table(Path(scratch))
        paths = [path for path in sorted(folder.glob("*.npz")) if load_table(path) is not None]
        if not paths:
            parser.error(f"{folder} holds no table with curves to search on")
        result = Result("tables", args, args.seeds, f"seeds of each kind on {len(paths)} tables", whole=args.tables is not None)
        report(result, measure(args, paths), sorted(args.budgets))
        result.write()


def measure(args: argparse.Namespace, paths: list[Path]) -> dict[str, dict[str, np.ndarray]]:
    """{table: {kind: scores by seed and unit}}."""
    num_units = round(UNITS_PER_TRIAL * max(args.budgets))
    jobs = [(path, kind, seed) for path in paths for kind in KINDS for seed in range(args.seeds)]
    found: dict[str, dict[str, list[list[float]]]] = {path.stem: {kind: [] for kind in KINDS} for path in paths}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for table, kind, scores in pool.imap(partial(one, num_units), jobs, chunksize=2):
            found[table][kind].append(scores)
    return {table: {kind: np.array(runs) for kind, runs in kinds.items()} for table, kinds in found.items()}


def report(result: Result, found: dict[str, dict[str, np.ndarray]], budgets: list[int]) -> None:
    """The geometric means over the tables, with intervals, and each table's ratios."""
    means: dict[str, dict[str, float]] = {kind: {} for kind in KINDS if kind != STOCK}
    single: dict[str, dict[str, float]] = {table: {} for table in found}
    for budget in budgets:
        num_units = round(UNITS_PER_TRIAL * budget)
        for kind, row in means.items():
            ratios = {t: with_interval(k[STOCK][:, :num_units], k[kind][:, :num_units]) for t, k in found.items()}
            name = f"stock_compute_per_ours_at_{budget}_trials"
            drawn = [geometric(list(at_once)) for at_once in zip(*(draws for _, draws in ratios.values()), strict=True)]
            row[name] = geometric([value for value, _ in ratios.values()])
            row[f"{name}_min"], row[f"{name}_max"] = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
            if kind == "default":
                for table, (value, _) in ratios.items():
                    single[table][f"at_{budget}_trials"] = value
    result.table("recorded tables", means)
    result.table("default by table", single)


def made_table(folder: Path) -> Path:
    """40 curves that rise to what their learning rate allows."""
    lr_N = 10 ** np.linspace(-4, 0, 40)
    final_N = 1 - np.abs(np.log10(lr_N) + 2) / 4
    val_NP = final_N[:, None] * (1 - 0.5 / np.arange(1, NUM_POINTS + 1))
    np.savez(folder / "made.npz", p_lr=lr_N, val=val_NP, meta=json.dumps({"first_epoch": "acc_1"}))
    return folder


if __name__ == "__main__":
    main()
