"""How much compute a search saves beside the stock pair and others, on learning curves that were recorded.

    .venv/bin/python benchmarks/tables.py --tables DIR --syne-tune PYTHON    # 16 seeds on every .npz of the folder, 20 minutes on 2 cores
    .venv/bin/python benchmarks/tables.py --tables OWN --syne-tune PYTHON --name tables_own     # what record_tables.py recorded

visiontune's own SearchRun, TrialQueue, samplers and trial schedulers, with four workers that look their epochs up; rungs 1, 3, 9, 27, an
epoch being 1/27 of a run's own length. Every recorded run is used once in a search: a proposal takes the nearest one that is left. Where
none is left no trial begins any more, and those that were begun go on. Compute is in seconds where a table records them (the mean epoch of
the table being one unit), in epochs elsewhere.
The figure of a search is the score of the model with the best validation value so far: the share of the table's runs that end no
better on the test (on validation, where a table has no test). A row's ratio is the compute after which the stock pair's mean over seeds
has what it ends with, divided by the compute after which the row's mean has that. Where it never has it, all that is known is that the
row got no further with all of the compute: counted as 0.5, and `tables_never` says on how many. Intervals: 2.5 and 97.5 % of 200
bootstraps over the seeds, by table and of the geometric means.

    stock pair                  Ray's own OptunaSearch and ASHAScheduler objects, driven as Tune drives them
    stock pair, start recipes   given the start recipes that the default has: the defaults, as points_to_evaluate
    random, Ray's ASHA          the same scheduler, recipes drawn at random
    plain Optuna                ask and tell, TPE as it comes; without pruning, and with Optuna's HyperbandPruner
    Syne Tune ASHA              its own scheduler object driven as its Tuner drives it, in an environment of its own whose interpreter
                                --syne-tune names; also with start recipes; and CQR, conformal quantile regression with ASHA (Salinas et al.
                                2023), which takes longer than all else: on --slow-seeds seeds, with budgets up to 60 trials' worth
    one epoch for all           as many random recipes as trials, one epoch each, then the best in full, best first
    random, promotes            visiontune's rungs, recipes drawn at random after trial 0
    default                     what `visiontune search` does
    oracle                      random recipes, and a trial scheduler that knows each curve after one epoch, and at each unit had trained
                                but the one that is best by then: the bound of scheduling without knowledge

Where tables hold the same recipes, one is left out in turn, and the others, known in full, give up to four start recipes by greedy rank
regret, to the default and to the stock pair: each such group of tables has figures of its own.
Without --tables small tables are made, so that the script can be tried; their figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
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
from parts.compute_ratios import UNITS_PER_TRIAL, Scores, by_table, compare
from parts.recorded_tables import NUM_POINTS, Table, groups_of, load_table, start_recipes
from parts.rehearsed_tables import BY_BUDGET, DEFAULT, KINDS, ORACLE, SLOW, STARTED, STOCK, SYNE_TUNE, Case, search_table
from parts.syne_tune_search import OtherProcess
from visiontune.errors import UserError

NUM_START = 4
SLOW_BUDGET = 60
"""The largest of a slow kind, in trials' worth."""


@dataclass(frozen=True)
class Job:
    """One search for a process of the pool, of a table in that folder."""

    folder: Path
    table: str
    kind: str
    seed: int
    num_trials: int
    start: Sequence[Mapping[str, Any]] = ()
    syne_tune: Path | None = None

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
    return job, search_table(Case(table, job.seed, job.num_trials, job.start, job.syne_tune), job.kind, job.num_units)


def main() -> None:
    """Search every table in every way, print."""
    parser = arguments(__doc__)
    parser.add_argument("--tables", type=Path, help="folder of .npz files")
    parser.add_argument("--syne-tune", type=Path, metavar="PYTHON", help="interpreter of an environment with syne-tune and huggingface_hub")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--slow-seeds", type=int, default=4, help="of the kinds that take longer than all others")
    parser.add_argument("--budgets", type=int, nargs="+", default=[30, 60, 120, 200], help="in trials' worth")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--name", default="tables", help="of the figures' file: tables, or tables_ and a word")
    args = parse(parser, seeds=2, slow_seeds=1, budgets=[5, 10], processes=1)
    args.budgets.sort()
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.tables or made_tables(Path(scratch))
        tables = [table for path in sorted(folder.glob("*.npz")) if (table := load_table(path)) is not None]
        if not tables:
            parser.error(f"{folder} holds no table with curves to search on")
        try:
            peer = about_syne_tune(args.syne_tune)
        except UserError as error:
            parser.error(f"--syne-tune: {error}")
        timed = [table.name for table in tables if table.is_timed]
        print(f"{peer}\ncompute in measured seconds: {', '.join(timed) or 'no table'}; in epochs: all others", flush=True)
        of = f"seeds of each kind on {len(tables)} tables, compute in measured seconds on {len(timed)} of them and in epochs on the others"
        result = Result(args.name, args, args.seeds, f"{of}; {peer}", whole=args.tables is not None and args.syne_tune is not None)
        report(result, measure(args, folder, tables), groups_of(tables), args.budgets)
        result.write()


def about_syne_tune(python: Path | None) -> str:
    """Its version, or that it is left out. Raises UserError where the interpreter lacks it."""
    if python is None:
        return "Syne Tune left out, as --syne-tune names no interpreter"
    process = OtherProcess(python)
    try:
        if lacks := (found := process.ask("version")).get("lacks"):
            raise UserError(f"{python} lacks {' and '.join(lacks)}: {python} -m pip install syne-tune huggingface_hub")
        return f"Syne Tune {found['version']}"
    finally:
        process.close()


def jobs_of(args: argparse.Namespace, folder: Path, tables: Sequence[Table]) -> Iterator[Job]:
    """Of every table, kind and seed: one search with the largest budget, whose beginning is a smaller one's; where not, one for each."""
    for table in tables:
        start = start_recipes(table, tables, NUM_START)
        alone = (*KINDS, *(SYNE_TUNE if args.syne_tune else ()), ORACLE)
        kinds = {**dict.fromkeys(alone, ()), **(dict.fromkeys(STARTED, start) if start else {})}
        for kind, recipes in kinds.items():
            for budget in budgets_of(kind, args.budgets):
                num_seeds = min(args.seeds, args.slow_seeds) if kind in SLOW else args.seeds
                yield from (Job(folder, table.name, kind, seed, budget, recipes, args.syne_tune) for seed in range(num_seeds))


def budgets_of(kind: str, budgets: Sequence[int]) -> Sequence[int]:
    """Those that are searched, of budgets in order."""
    if kind in SLOW:
        return [budget for budget in budgets if budget <= SLOW_BUDGET][-1:] or budgets[:1]
    return budgets if kind in BY_BUDGET else budgets[-1:]


def measure(args: argparse.Namespace, folder: Path, tables: Sequence[Table]) -> Scores:
    """Every search."""
    found: dict[str, dict[tuple[str, int], list[list[float]]]] = {table.name: {} for table in tables}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for job, scores in pool.imap(one, jobs_of(args, folder, tables)):
            found[job.table].setdefault((job.kind, job.num_trials), []).append(scores)
    return {table: {key: np.array(runs) for key, runs in kinds.items()} for table, kinds in found.items()}


def report(result: Result, found: Scores, groups: Mapping[str, Sequence[Table]], budgets: Sequence[int]) -> None:
    """All kinds on all tables, the default on each; then each group that holds the same recipes, with recipes from its other tables."""
    searched = {kind for of_table in found.values() for kind, _ in of_table}
    kinds = [kind for kind in (*KINDS, *SYNE_TUNE, ORACLE) if kind != STOCK and kind in searched]
    result.table("recorded tables", compare(found, kinds, budgets))
    result.table("default by table", by_table(found, DEFAULT, budgets))
    for name, tables in groups.items():
        of_group = {table.name: found[table.name] for table in tables}
        result.table(f"{name}: start recipes from the other tables, {len(tables)} tables", compare(of_group, [DEFAULT, *STARTED], budgets))
        for kind in STARTED:
            result.table(f"{name}: {kind}, by table", by_table(of_group, kind, budgets))


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
