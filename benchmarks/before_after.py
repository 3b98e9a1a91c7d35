"""What a search finds beside that of an earlier commit: the same file and seeds, each winner trained again on fresh seeds and tested.

    git worktree add ../before COMMIT
    .venv/bin/python benchmarks/before_after.py --before ../before lectures
    .venv/bin/python benchmarks/before_after.py --before ../before joint data.train=cifar10_train.parquet data.test=cifar10_test.parquet

The file is the earlier commit's, from its search_spaces/, and both run in this environment.
Searches of both take turns by seed. With `--studies DIR` what has ended is kept, and the same command goes on. test_top1 is the mean over
the winner's fresh seeds, averaged over the searches; `difference` is paired by seed, with the standard error of its mean. Epochs are those
of trials and of retrainings. Seconds are left out, as the two take turns for hours on machines that do other things.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import machine
from common.result import Result, arguments, mean_of, parse
from visiontune import load_study
from visiontune.results.study import Study

STARTED_S = int(time.time())
SHORT = ["budget.max_epochs=1", "budget.min_epochs=1", "confirm.num_seeds=1", "resources.max_concurrent_trials=1"]


def search(checkout: Path, file: Path, overrides: Sequence[str], folder: Path) -> Study:
    """One search by a checkout's own code, or what an earlier call left of it. Ends the script where it fails."""
    command = [machine.VISIONTUNE, "search", str(file), *overrides, "--plain", "--studies-dir", str(folder)]
    environment = machine.clean_env(PYTHONPATH=str(checkout / "platform"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return load_study(next(folder.glob("*/driver.lock")).parent)


def kept_as(space: str, checkout: Path, overrides: Sequence[str]) -> str:
    """A folder's name for a search. Another one for each run where the checkout has changes that no commit names."""
    commit, _, changed = machine.commit(checkout).partition(", ")
    said = hashlib.sha256(" ".join(overrides).encode()).hexdigest()[:8]
    return f"{space}-{commit}-{said}{f'-{STARTED_S}' if changed else ''}"


def figures_of(study: Study) -> dict[str, float]:
    """What its winner is worth on the test, and what the search trained for it."""
    record = study.record
    tested = [one.test_top1 for one in record.confirmations if one.is_tested]
    if not all(map(math.isfinite, tested or [math.nan])):
        sys.exit(f"{study.name} has no test_top1: its winner was not tested, or its pictures have several classes")
    raced = [one for candidate in record.candidates for one in candidate.confirmations] or record.confirmations
    trained, whole = sum(trial.epoch for trial in record.trials), sum(trial.epoch == record.rungs[-1] for trial in record.trials)
    retrained = len(raced) * record.rungs[-1]
    return {"test_top1": statistics.fmean(tested), "epochs": trained, "epochs_retrained": retrained, "whole_trials": whole}


def rows_of(found: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means over the searches, and the paired difference of the winners' test values."""
    rows: dict[str, dict[str, float]] = {}
    for name, searches in found.items():
        rows[name] = {"searches": float(len(searches))} | mean_of("test_top1", [one["test_top1"] for one in searches])
        rows[name] |= {key: statistics.fmean(one[key] for one in searches) for key in ("epochs", "epochs_retrained", "whole_trials")}
    before, today = ([one["test_top1"] for one in found[name]] for name in ("before", "today"))
    differences = [later - earlier for earlier, later in zip(before, today, strict=True)]
    error = {"test_top1_se": statistics.stdev(differences) / math.sqrt(len(differences))} if len(differences) > 1 else {}
    return rows | {"difference": {"test_top1": statistics.fmean(differences), **error}}


def main() -> None:
    """Search in turns, then compare."""
    parser = arguments(__doc__)
    parser.add_argument("--before", type=Path, default=machine.ROOT, help="checkout of the earlier commit")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--studies", type=Path, help="folder that keeps the searches, so that the same command goes on")
    parser.add_argument("space", nargs="?", default="digits", help="name of a file in search_spaces/")
    parser.add_argument("overrides", nargs="*", default=[], help="as for `visiontune search`")
    args = parse(parser, seeds=1, trials=1, overrides=SHORT)
    with tempfile.TemporaryDirectory(prefix="visiontune-before-after-", ignore_cleanup_errors=True) as scratch:
        compare(args, (args.studies or Path(scratch)).resolve())


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Both of a seed, then the next seed."""
    before, file = args.before.resolve(), args.before.resolve() / "search_spaces" / f"{args.space}.yaml"
    result = Result(f"before_after_{args.space}", args, args.seeds, f"searches of each, before: commit {machine.commit(before)}")
    found: dict[str, list[dict[str, float]]] = {"before": [], "today": []}
    for seed in range(args.seeds):
        for name, checkout in (("before", before), ("today", machine.ROOT)):
            overrides = [f"budget.num_trials={args.trials}", *args.overrides, f"sampler.seed={seed}"]
            study = search(checkout, file, overrides, folder / kept_as(args.space, checkout, overrides))
            found[name].append(figures_of(study))
            print(f"seed {seed}, {name}: {found[name][-1]}", flush=True)
    result.table(args.space, rows_of(found))
    result.write()


if __name__ == "__main__":
    main()
