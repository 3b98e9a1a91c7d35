"""A shipped search from its command to its test figure: how long it takes and what it finds.

    .venv/bin/python benchmarks/search.py                                        # search_spaces/digits.yaml, half a minute on 2 cores
    .venv/bin/python benchmarks/search.py search_spaces/cifar10_subset.yaml data.train=cifar10_train.parquet data.test=cifar10_test.parquet

The command as a user types it, in a new folder, and then once more, which only says that the study is finished. One search is one draw:
what it says about single choices is a hint. The test figure is that of the winner trained again on fresh seeds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine
from common.result import Result, arguments, mean_of, parse
from visiontune import load_study
from visiontune.results.study import Study


def seconds(command: list[str]) -> float:
    """One whole process; ends the benchmark if it fails."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=machine.clean_env())
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return time.perf_counter() - started


def row_of(study: Study) -> dict[str, float]:
    """How far trials got, and what the winner is worth."""
    trials, tested = study.record.trials, [one for one in study.record.confirmations if one.is_tested]
    passed = {f"past_epoch_{rung}": sum(trial.epoch > rung for trial in trials) for rung in study.record.rungs[:-1]}
    counts = {"trials": len(trials), **passed, "failed": sum(trial.state == "failed" for trial in trials)}
    best = {study.record.objective.metric: study.best.value} if study.best and study.best.value is not None else {}
    return {**counts, **best, **(mean_of("test_top1", [one.test_top1 for one in tested]) if tested else {}), "seeds_tested": len(tested)}


def main() -> None:
    """Search, search again, read the study."""
    parser = arguments(__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=machine.DIGITS, help="search-space file")
    parser.add_argument("overrides", nargs="*", help="as for `visiontune search`")
    args = parse(
        parser, overrides=["budget.num_trials=1", "budget.max_epochs=1", "confirm.num_seeds=1", "resources.max_concurrent_trials=1"]
    )
    result = Result(f"search_{args.file.stem}", args, 1, "search")
    # MLflow's writer outlives a search on a busy machine, and writes here until it has sent all.
    with tempfile.TemporaryDirectory(prefix="visiontune-search-", ignore_cleanup_errors=True) as folder:
        command = [machine.VISIONTUNE, "search", str(args.file), *args.overrides, "--plain", "--studies-dir", folder]
        wall_s, again_s = seconds(command), seconds(command)
        study = load_study(next(Path(folder).glob("*/driver.lock")).parent)
    result.table("study", {study.name: {"wall_s": wall_s, "same_command_again_s": again_s, **row_of(study)}})
    result.write()


if __name__ == "__main__":
    main()
