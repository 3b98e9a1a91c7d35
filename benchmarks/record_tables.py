"""Learning curves of visiontune's own: one space, nine small data sets, the same random recipes on each, val, test and seconds by epoch.

    .venv/bin/python benchmarks/record_tables.py --to DIR --cifar cifar10_train.parquet             # 40 recipes: 12 minutes on one core
    .venv/bin/python benchmarks/record_tables.py --to DIR --cifar cifar10_train.parquet --recipes 400 --processes 2

Scikit-learn's digits and subsets of CIFAR-10 by class, size, colour, blur and noise (without --cifar digits alone), 1,500 pictures of 12 or
16 px each; LeNet-5 and a small CNN, 20 params with their branches, 27 epochs. Each curve is a file, written whole or not at all, so the
script may be ended at any moment: the same command goes on, also with more recipes. DIR/own_NAME.npz are tables of the recipes that all
data sets have, in the form that tables.py reads (`tables.py --tables DIR`).

What it gives are the tables; the figures that it prints are of these. `rank correlation` is Spearman's, of the value after a 27th of the
epochs with the final one: what a first rung knows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from common.result import Result, arguments, parse
from parts.recorded_family import DATA_SETS, SPACE, DataSet, Family, cifar10, digits, in_turn, record_curve, write_pictures, write_tables
from visiontune.filesystem.atomic_write import write_whole


def one(family: Family, job: tuple[int, DataSet]) -> tuple[int, DataSet]:
    """A job of the pool."""
    record_curve(family, *job)
    return job


def main() -> None:
    """Make the pictures, record what is not recorded yet, write the tables after every recipe."""
    parser = arguments(__doc__)
    parser.add_argument("--to", type=Path, help="folder of the tables; goes on with what it has")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10's training pictures as a Parquet file")
    parser.add_argument("--recipes", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--pictures", type=int, default=1500, help="of each data set")
    parser.add_argument("--processes", type=int, default=1)
    args = parse(parser, recipes=2, epochs=3, pictures=200)
    if args.to is None and not args.smoke:
        parser.error("--to DIR is needed: a folder outside this repository")
    if args.cifar and not args.cifar.is_file():
        parser.error(f"--cifar: no file {args.cifar}")
    with tempfile.TemporaryDirectory() as scratch:
        family = family_of(args, args.to or Path(scratch))
        num_known = write_tables(family, args.recipes)
        print(f"{len(family.data_sets)} data sets, {num_known} of {args.recipes} recipes recorded", flush=True)
        result = Result("record_tables", args, args.recipes, f"recipes on {len(family.data_sets)} data sets", whole=False)
        record(args, family)
        report(result, family)
        result.write()


def family_of(args: argparse.Namespace, folder: Path) -> Family:
    """The family with its pictures on disk. Ends the script where the folder holds curves of another one."""
    data_sets = tuple(one for one in DATA_SETS if args.cifar or not one.is_cifar)
    family = Family(folder, data_sets, args.pictures, args.epochs)
    content = json.dumps({"pictures": args.pictures, "epochs": args.epochs, "space": SPACE}, indent=1)
    note = folder / "family.json"
    if note.exists() and note.read_text() != content:
        raise SystemExit(f"{note} is of another space, number of pictures or of epochs: record into another folder, or remove this one")
    write_whole(note, content)
    known = {False: digits(), True: cifar10(args.cifar) if args.cifar else None}
    for data_set in data_sets:
        pictures_and_labels = known[data_set.is_cifar]
        assert pictures_and_labels is not None
        write_pictures(family, data_set, *pictures_and_labels)
    return family


def record(args: argparse.Namespace, family: Family) -> None:
    """Curves in turn; tables whenever all data sets have another recipe."""
    jobs = list(in_turn(family, args.recipes))
    work = partial(one, family)
    pool = multiprocessing.get_context("spawn").Pool(args.processes) if args.processes > 1 else None
    try:
        for number, data_set in pool.imap(work, jobs) if pool else map(work, jobs):
            if data_set == family.data_sets[-1]:
                print(f"recipe {number + 1} of {args.recipes}", flush=True)
                write_tables(family, args.recipes)
    except KeyboardInterrupt:
        raise SystemExit("interrupted; what is recorded is kept, and the same command goes on") from None
    finally:
        if pool:
            pool.terminate()
    write_tables(family, args.recipes)


def report(result: Result, family: Family) -> None:
    """What the tables are like."""
    from scipy.stats import spearmanr

    rows = {}
    for data_set in family.data_sets:
        with np.load(family.table(data_set), allow_pickle=False) as table:
            val_NE, test_NE, cost_s_NE = (table[name] for name in ("val", "test", "cost_s"))
        is_whole_N = np.isfinite(val_NE[:, -1])
        first_N, last_N = (val_NE[is_whole_N, epoch] for epoch in (max(1, round(family.num_epochs / 27)) - 1, -1))
        correlation = spearmanr(first_N, last_N).statistic if len(np.unique(first_N)) > 1 < len(np.unique(last_N)) else 0.0
        rows[data_set.name] = {
            "recipes": len(val_NE),
            "diverged": int((~is_whole_N).sum()),
            "best_val_top1": float(np.nanmax(val_NE[:, -1])),
            "best_test_top1": float(np.nanmax(test_NE[:, -1])),
            "median_test_top1": float(np.nanmedian(test_NE[:, -1])),
            "median_s": float(np.nanmedian(cost_s_NE[:, -1])),
            "rank_correlation": float(correlation),
        }
    result.table("data set", rows)


if __name__ == "__main__":
    main()
