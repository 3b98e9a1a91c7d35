"""Whether a search keeps to its hours and ends with a winner, also when it is killed on the way.

    .venv/bin/python benchmarks/budget.py                # 20 tries at 72 s each, half of them killed once: 25 minutes on 2 cores
    .venv/bin/python benchmarks/budget.py --tries 4

search_spaces/digits.yaml with `budget.hours=0.02` and more trials than fit. Each second try is killed (kill -9) at a moment drawn over the
hours, and the same command given again. Checked at the end of each: a winner that was trained in full, its confirmations, and the study as
kill.py checks it; and by how many seconds all commands of a try together were over the hours: negative where the plan left some, positive
by the import before the clock starts, Ray's way out, MLflow's last lines and, after a kill, what had not been written down yet (5 s).
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import machine
from common.result import Result, arguments, median_of, parse
from parts.killable_search import Search, problems_of


def try_once(search: Search, hours: float, kill_at_s: float | None) -> tuple[dict[str, float], list[str]]:
    """Figures and problems of one try."""
    from visiontune.tuning.study.read_study import read_study

    started = time.monotonic()
    if kill_at_s is not None:
        driver = search.start()
        try:
            driver.wait(kill_at_s)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
    code = search.finish()
    over_s = time.monotonic() - started - 3600 * hours
    study = read_study(search.study)
    problems = [f"the last command ended with {code}: {search.tail()}"] if code else []
    winner = study.best
    if winner is None or winner.state != "complete" or not search.study.winner.exists():
        problems.append(f"no winner that was trained in full: {winner}")
    problems += problems_of(search, len(study.trials))
    figures = {
        "trials": len(study.trials),
        "complete": sum(trial.state == "complete" for trial in study.trials),
        "confirmations": sum(not one.failure for one in study.confirmations),
        "over_s": over_s,
    }
    return figures, problems


def main() -> None:
    """Try, say."""
    parser = arguments(__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--hours", type=float, default=0.02)
    parser.add_argument("--trials", type=int, default=1000, help="more than fit; fewer end a search before its hours")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of kills, and of the searches")
    parser.add_argument("overrides", nargs="*", help="as for `visiontune search`")
    args = parse(
        parser, tries=1, hours=0.2, trials=1, overrides=["budget.max_epochs=1", "resources.max_concurrent_trials=1", "confirm.num_seeds=0"]
    )
    result = Result("budget", args, args.tries, f"tries of {args.hours:g} hours, every second one killed once")
    scratch, pick = Path(tempfile.mkdtemp(prefix="visiontune-budget-")), random.Random(args.seed)
    found: dict[str, list[dict[str, float]]] = {"not killed": [], "killed once": []}
    problems: list[str] = []
    for number in range(args.tries):
        limits = [f"budget.hours={args.hours}", f"budget.num_trials={args.trials}"]
        overrides = [*limits, f"sampler.seed={args.seed + number}", *args.overrides]
        search = Search(scratch / f"try-{number}", machine.DIGITS, overrides)
        kill_at_s = pick.uniform(0.0, 3600 * args.hours) if number % 2 else None
        try:
            figures, wrong = try_once(search, args.hours, kill_at_s)
        finally:
            search.end()
        found["not killed" if kill_at_s is None else "killed once"].append(figures)
        problems += wrong
        print(f"try {number}: {figures} " + ("; ".join(wrong) or "whole"), flush=True)
    shutil.rmtree(scratch, ignore_errors=True)
    report(result, found, problems)


def report(result: Result, found: dict[str, list[dict[str, float]]], problems: list[str]) -> None:
    """Medians, and what was wrong."""
    rows = {
        kind: {"tries": float(len(tries))} | {k: v for key in tries[0] for k, v in median_of(key, [one[key] for one in tries]).items()}
        for kind, tries in found.items()
        if tries
    }
    result.table("budgets", rows)
    result.target("problems", len(problems), 0, is_at_most=True, unit="")
    result.write()
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
