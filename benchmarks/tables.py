"""How much compute a search saves beside the stock pair and others, on learning curves that were recorded.

    .venv/bin/python benchmarks/tables.py --tables DIR              # 16 seeds on every .npz of the folder, 15 minutes on 2 cores
    .venv/bin/python benchmarks/tables.py --tables DIR --seeds 32

visiontune's own SearchRun, TrialQueue, samplers and trial schedulers, with four workers that look their epochs up; rungs 1, 3, 9, 27, an
epoch being 1/27 of a run's own length. Every recorded run is used once in a search: a proposal takes the nearest one that is left. Where
none is left the search is over, and keeps what it has. Compute is in seconds where a table records them (the mean epoch of the table being
one unit), in epochs elsewhere.
The figure of a search is the score of the model with the best validation value so far: the share of the table's runs that end no
better on the test (on validation, where a table has no test). A row's ratio is the compute after which the stock pair's mean over seeds
has what it ends with, divided by the compute after which the row's mean has that. Where it never has it, all that is known is that the
row got no further with all of the compute: counted as 0.5, and `tables_never` says on how many. Intervals: 2.5 and 97.5 % of 200
bootstraps over the seeds.

    stock pair                  Ray's own OptunaSearch and ASHAScheduler objects, driven as Tune drives them
    stock pair, start recipes   given the start recipes that the default has: the defaults, as points_to_evaluate
    random, Ray's ASHA          the same scheduler, recipes drawn at random
    plain Optuna                ask and tell, TPE as it comes; without pruning, and with Optuna's HyperbandPruner
    one epoch for all           as many random recipes as trials, one epoch each, then the best in full, best first
    random, promotes            visiontune's rungs, recipes drawn at random after trial 0
    default                     what `visiontune search` does
    oracle                      random recipes, and a trial scheduler that knows each curve after one epoch, and at each unit had trained
                                but the one that is best by then: the bound of scheduling without knowledge

Where tables hold the same recipes, one is left out in turn, and the others, known in full, give up to four start recipes by greedy rank
regret, to the default and to the stock pair.
Without --tables small tables are made, so that the script can be tried; their figures mean nothing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from common.result import Result, arguments, parse
from parts.recorded_tables import NUM_POINTS, Table, load_table, start_recipes
from parts.rehearsed_tables import BY_BUDGET, DEFAULT, KINDS, ORACLE, STARTED, STOCK, Case, search_table

UNITS_PER_TRIAL = 3.33
"""Of successive halving by thirds over 1, 3, 9, 27: what a trial costs on average."""

NUM_BOOTSTRAPS = 200
NEVER = 0.5
ROUNDING = 1e-9
NUM_START = 4

Scores = dict[str, dict[tuple[str, int], np.ndarray]]
"""{table: {(kind, trials' worth): score after each unit of compute, by seed}}"""


@dataclass(frozen=True)
class Job:
    """One search for a process of the pool, of a table in that folder."""

    folder: Path
    table: str
    kind: str
    seed: int
    num_trials: int
    start: Sequence[Mapping[str, Any]] = ()

    @property
    def num_units(self) -> int:
        """What so many trials cost."""
        return round(UNITS_PER_TRIAL * self.num_trials)


@cache
def table_of(path: Path) -> Table:
    """One of those that `main` found good."""
    found = load_table(path)
    assert found is not None
    return found


def one(job: Job) -> tuple[Job, list[float]]:
    """The score after each unit of compute."""
    table = table_of(job.folder / f"{job.table}.npz")
    return job, search_table(Case(table, job.seed, job.num_trials, job.start), job.kind, job.num_units)


def ratio(stock_SU: np.ndarray, ours_SU: np.ndarray) -> float:
    """Compute of the stock pair until its mean has what it ends with, per compute of ours until it has that; NEVER where it never has."""
    if is_never(stock_SU, ours_SU):
        return NEVER
    stock_U, ours_U = stock_SU.mean(0), ours_SU.mean(0)
    goal = stock_U[-1] - ROUNDING
    return float((np.argmax(stock_U >= goal) + 1) / (np.argmax(ours_U >= goal) + 1))


def is_never(stock_SU: np.ndarray, ours_SU: np.ndarray) -> bool:
    """Whether ours does not get to what the stock pair ends with."""
    return bool(ours_SU.mean(0).max() < stock_SU.mean(0)[-1] - ROUNDING)


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
    args.budgets.sort()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.tables or made_tables(Path(scratch))
        tables = [table for path in sorted(folder.glob("*.npz")) if (table := load_table(path)) is not None]
        if not tables:
            parser.error(f"{folder} holds no table with curves to search on")
        timed = [table.name for table in tables if table.is_timed]
        print(f"compute in measured seconds: {', '.join(timed) or 'no table'}; in epochs: all others", flush=True)
        of = f"seeds of each kind on {len(tables)} tables, compute in measured seconds on {len(timed)} of them and in epochs on the others"
        result = Result("tables", args, args.seeds, of, whole=args.tables is not None)
        report(result, measure(args, folder, tables), args.budgets)
        result.write()


def jobs_of(args: argparse.Namespace, folder: Path, tables: Sequence[Table]) -> Iterator[Job]:
    """Of every table, kind and seed: one search with the largest budget, whose beginning is a smaller one's; where not, one for each."""
    for table in tables:
        start = start_recipes(table, tables, NUM_START)
        kinds = {**dict.fromkeys((*KINDS, ORACLE), ()), **(dict.fromkeys(STARTED, start) if start else {})}
        for kind, recipes in kinds.items():
            for budget in args.budgets if kind in BY_BUDGET else args.budgets[-1:]:
                yield from (Job(folder, table.name, kind, seed, budget, recipes) for seed in range(args.seeds))


def measure(args: argparse.Namespace, folder: Path, tables: Sequence[Table]) -> Scores:
    """Every search."""
    found: dict[str, dict[tuple[str, int], list[list[float]]]] = {table.name: {} for table in tables}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for job, scores in pool.imap(one, jobs_of(args, folder, tables), chunksize=4):
            found[job.table].setdefault((job.kind, job.num_trials), []).append(scores)
    return {table: {key: np.array(runs) for key, runs in kinds.items()} for table, kinds in found.items()}


def at_budget(of_table: Mapping[tuple[str, int], np.ndarray], kind: str, budget: int) -> np.ndarray:
    """Scores by seed and unit, of the search with this budget or the beginning of that with a larger one."""
    known = min(known for one, known in of_table if one == kind and known >= budget)
    return of_table[kind, known][:, : round(UNITS_PER_TRIAL * budget)]


def compare(found: Scores, kinds: Sequence[str], budgets: Sequence[int]) -> dict[str, dict[str, float]]:
    """The geometric means over the tables, with intervals, and on how many of them a kind never has what the stock pair has."""
    rows: dict[str, dict[str, float]] = {}
    for kind, budget in itertools.product(kinds, budgets):
        pairs = [(at_budget(one, STOCK, budget), at_budget(one, kind, budget)) for one in found.values()]
        ratios = [with_interval(*pair) for pair in pairs]
        drawn = [geometric(list(at_once)) for at_once in zip(*(draws for _, draws in ratios), strict=True)]
        row, name = rows.setdefault(kind, {}), f"stock_compute_per_ours_at_{budget}_trials"
        row[name] = geometric([value for value, _ in ratios])
        row[f"{name}_min"], row[f"{name}_max"] = (float(q) for q in np.quantile(drawn, (0.025, 0.975)))
        row[f"tables_never_at_{budget}_trials"] = sum(is_never(*pair) for pair in pairs)
    return rows


def report(result: Result, found: Scores, budgets: Sequence[int]) -> None:
    """All kinds on all tables, those with recipes from other tables on what has any, and the default on each table."""
    result.table("recorded tables", compare(found, [*(kind for kind in KINDS if kind != STOCK), ORACLE], budgets))
    started = {table: one for table, one in found.items() if any(kind in STARTED for kind, _ in one)}
    if started:
        name = f"start recipes from other tables, {len(started)} tables"
        result.table(name, compare(started, [DEFAULT, *STARTED], budgets))
    single = {
        table: {f"at_{budget}_trials": ratio(at_budget(one, STOCK, budget), at_budget(one, DEFAULT, budget)) for budget in budgets}
        for table, one in found.items()
    }
    result.table("default by table", single)


def made_tables(folder: Path) -> Path:
    """Two of the same 40 recipes, curves that rise to what their learning rate allows; one has seconds."""
    lr_N = 10 ** np.linspace(-4, 0, 40)
    cost_s_NP = np.linspace(1, 2, 40)[:, None] * np.arange(1, NUM_POINTS + 1)
    for name, peak, more in (("made_1", -2, {}), ("made_2", -1.5, {"cost_s": cost_s_NP})):
        val_NP = (1 - np.abs(np.log10(lr_N) - peak) / 4)[:, None] * (1 - 0.5 / np.arange(1, NUM_POINTS + 1))
        np.savez(folder / f"{name}.npz", p_lr=lr_N, val=val_NP, meta=json.dumps({"first_epoch": "acc_1"}), **more)
    return folder


if __name__ == "__main__":
    main()
