"""kill -9 at random moments, each followed by the same command: at the end the study is whole, and so is MLflow.

    .venv/bin/python benchmarks/kill.py                 # 20 kills of the driver, 6 to 10 minutes on 2 cores
    .venv/bin/python benchmarks/kill.py --worker        # workers are killed in mid-trial instead, 1 minute

A real search of search_spaces/digits.yaml: 12 trials, no confirmations, Ray and MLflow as always. The moment of a kill is
drawn uniformly over the time that a search needs when nobody kills it; a search that ends before its kill is not counted,
and the next one begins. Checked at the end of every study, read back through the storage and through MLflow's client:

    exactly the trials asked for, numbered without a gap, each complete, failed or waiting at a rung
    in MLflow one parent run and one run for each trial, none RUNNING, each with the study's epochs and values, none twice
    no process of a killed search is left

--worker: at the end each epoch of the killed worker's trial carries the time at which it was trained. Those up to the checkpoint
must be from before the kill, and all later ones from after it: it went on from the checkpoint, and lost at most the epoch
that was being trained, as checkpoint_every_s is 0 there. Exit code 1 when a check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import machine
from common.result import Result, arguments, parse
from parts.killable_search import PATIENCE_S, Search, problems_of, wait_for

Add = Callable[[str, Path, list[str]], Search]
"""A search of a file with overrides in a folder of this name."""

Found = tuple[list[str], dict[str, dict[str, float]]]
"""Problems, and a table."""


def kill_drivers(args: argparse.Namespace, add: Add) -> Found:
    """Searches that are killed until there were enough kills; every problem of every study."""
    pick, num_done, number, num_epochs = random.Random(args.seed), 0, 0, 0
    overrides = [f"budget.num_trials={args.trials}", f"budget.max_epochs={args.max_epochs}", "confirm.num_seeds=0"]
    found, within_s = ([], args.within) if args.within else leave_alone(args, add("calm", machine.DIGITS, overrides))
    while num_done < args.kills:
        number += 1
        search = add(f"search-{number}", machine.DIGITS, overrides)
        while num_done < args.kills and killed_at(search, pick.uniform(0.0, within_s)):
            num_done += 1
            print(f"kill {num_done}: study {number}, {search.num_epochs()} epochs known", flush=True)
        code = search.finish()
        problems = problems_of(search, args.trials) + ([f"the last call ended with {code}: {search.tail()}"] if code else [])
        print(f"  study {number}: {search.num_epochs()} epochs, " + ("whole" if not problems else "; ".join(problems)), flush=True)
        found += problems
        num_epochs += search.num_epochs()
    figures = {"kills": num_done, "studies": number, "epochs": num_epochs, "problems": len(found), "killed_within_s": within_s}
    return found, {"driver": figures}


def leave_alone(args: argparse.Namespace, search: Search) -> tuple[list[str], float]:
    """Problems of a search that nobody kills, and its seconds."""
    started = time.monotonic()
    if code := search.finish():
        sys.exit(f"a search that nobody killed ended with {code}: {search.tail()}")
    spent_s = time.monotonic() - started
    print(f"without a kill: {spent_s:.1f} s, {search.num_epochs()} epochs", flush=True)
    return problems_of(search, args.trials), spent_s


def killed_at(search: Search, moment_s: float) -> bool:
    """Whether the command still ran then."""
    driver = search.start()
    try:
        code = driver.wait(moment_s)
        print(f"  ended by itself with {code} before {moment_s:.1f} s", flush=True)
        return False
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
        return True


def long_space(num_epochs: int) -> str:
    """Trials of long epochs, none of which waits at a rung; JSON is YAML."""
    space = {
        "model": {"name": "cnn", "width": 32, "depth": 3, "kernel_size": 5},
        "optimizer": {"name": "adamw", "lr": {"float": [1e-4, 1e-2], "log": True}},
    }
    study = {
        "study": "long",
        "data": {"source": "digits", "image_size": 16, "val_fraction": 0.15, "test_fraction": 0.2},
        "budget": {"num_trials": 2, "min_epochs": num_epochs, "max_epochs": num_epochs},
        "trial_scheduler": {"name": "none"},
        "storage": {"checkpoint_every_s": 0},
        "confirm": {"num_seeds": 0},
    }
    return json.dumps({**study, "space": space}, indent=1)


def kill_workers(args: argparse.Namespace, add: Add, scratch: Path) -> Found:
    """Kill the workers after some epochs of their trials, let the search end, and look when each epoch was trained."""
    file = scratch / "long.yaml"
    file.write_text(long_space(args.long_epochs))
    search = add("long", file, [])
    driver = search.start()
    first = max(1, args.long_epochs // 3)
    number = wait_for(lambda: next((1 for event in search.events() if event.get("epoch") == first), None))
    workers = search.processes("ray::LegWorker")
    if number is None or not workers:
        driver.kill()
        return [f"no worker reached epoch {first}: {search.tail()}"], {}
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    killed_ms = time.time_ns() // 1_000_000
    from visiontune.filesystem.checkpoint_files import states_in

    checkpoints = search.study.checkpoints
    saved = {int(folder.name): found[0].epoch for folder in sorted(checkpoints.glob("[0-9]*")) if (found := states_in(folder))}
    reported = {at: max(event["epoch"] for event in search.events() if event.get("number") == at and "epoch" in event) for at in saved}
    print(f"killed {len(workers)} workers; checkpoints by trial: {saved}, reported by then: {reported}", flush=True)
    history = last_histories(checkpoints, driver)
    found = [f"the search ended with {driver.returncode}: {search.tail()}"] if driver.returncode else []
    rows: dict[str, dict[str, float]] = {}
    for at, epoch in saved.items():
        early = [e for e, ms in history.get(at, {}).items() if ms <= killed_ms]
        num_late = len(history.get(at, {})) - len(early)
        row = {"epochs_in_the_checkpoint": epoch, "trained_before_the_kill": len(early), "trained_after_it": num_late}
        rows[f"trial {at}"] = {**row, "trained_twice": max(0, epoch - len(early))}
        if early != list(range(1, epoch + 1)) or not num_late or reported[at] > epoch:
            found.append(f"trial {at} did not go on from its checkpoint of epoch {epoch}")
    return found + ([] if saved else ["there was no checkpoint"]) + problems_of(search, 2), rows


def last_histories(checkpoints: Path, driver: subprocess.Popen[bytes]) -> dict[int, dict[int, int]]:
    """{trial: {epoch: when it was trained, ms}} out of the last checkpoints before the study took them away."""
    from visiontune.training.checkpoint import load_newest

    found: dict[int, dict[int, int]] = {}
    deadline_s = time.monotonic() + PATIENCE_S
    while driver.poll() is None and time.monotonic() < deadline_s:
        for folder in list(checkpoints.glob("[0-9]*")):
            state = load_newest(folder)
            if state:
                found[int(folder.name)] = {past["epoch"]: past["time_ms"] for past in state["history"]}
        time.sleep(0.1)
    return found


def run(args: argparse.Namespace, is_worker: bool) -> list[str]:
    """One of the two tests, its table and its file; problems."""
    of = "searches whose workers are killed" if is_worker else "kills of the driver"
    result = Result("kill_worker" if is_worker else "kill", args, 1 if is_worker else args.kills, of)
    scratch, searches = Path(tempfile.mkdtemp(prefix="visiontune-kill-")), list[Search]()

    def add(name: str, file: Path, overrides: list[str]) -> Search:
        searches.append(Search(scratch / name, file, overrides))
        return searches[-1]

    try:
        problems, rows = kill_workers(args, add, scratch) if is_worker else kill_drivers(args, add)
    finally:
        for search in searches:
            search.end()
        if args.keep:
            print(f"studies are in {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
    result.table("killed", rows)
    result.target("problems", len(problems), 0, is_at_most=True, unit="")
    result.write()
    return problems


def main() -> None:
    """Kill, check, say."""
    parser = arguments(__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--long-epochs", type=int, default=12, help="of trials whose workers are killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--within", type=float, help="seconds after which no driver is killed; as long as a search needs that nobody kills")
    parser.add_argument("--worker", action="store_true", help="kill workers in mid-trial instead of drivers")
    parser.add_argument("--keep", action="store_true", help="leave the studies in their folder")
    args = parse(parser, kills=1, trials=1, max_epochs=1, long_epochs=3, seed=5, within=2.0)
    problems = [] if args.worker else run(args, is_worker=False)
    if args.worker or args.smoke:
        problems += run(args, is_worker=True)
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
