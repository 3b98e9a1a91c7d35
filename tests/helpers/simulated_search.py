"""A search without Ray or torch: workers that answer at once with a closed-form curve, for tests and kill tests.

Run as a program it drives a study in a folder and may be killed at any time:
    python simulated_search.py FOLDER NUM_TRIALS DELAY_S
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from pathlib import Path

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.parse import load_study
from visiontune.tuning.records.leg import Report
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.open_storage import create_or_resume, mend_journal

SPACE = """
study: {name}
data: {{source: digits}}
budget: {{num_trials: {num_trials}, min_epochs: 1, max_epochs: 9, reduction_factor: 3}}
sampler: {{name: {sampler}, seed: 1}}
trial_scheduler: {{name: {scheduler}}}
confirm: {{num_seeds: {num_seeds}}}
space:
  model: {{name: {{choice: {{lenet5: {{width: {{int: [1, 4]}}}}, cnn: {{depth: {{int: [2, 3]}}}}}}}}}}
  optimizer: {{name: adamw, lr: {{float: [1e-4, 1.0], log: true}}}}
"""


def make_spec(folder, num_trials=30, sampler="tpe", scheduler="asha", num_seeds=0, overrides=()):
    path = folder.parent / f"{folder.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPACE.format(name=folder.name, num_trials=num_trials, sampler=sampler, scheduler=scheduler, num_seeds=num_seeds))
    return load_study(path, overrides)


def curve(recipe, epoch):
    """Best at lr = 0.01; diverges above 0.5; later epochs are better."""
    lr = recipe.optimizer["lr"]
    return math.nan if lr > 0.5 else 1.0 - abs(math.log10(lr) + 2) / 4 - 0.3 / epoch


def report(leg, epoch, value):
    metrics = {"val_top1": value, "val_loss": -value, "train_loss": 0.0, "lr": 0.0, "epoch_s": 0.0}
    if leg.is_test:
        return Report(0, {"test_top1": 0.5, "test_loss": 1.0}, time_ms=time.time_ns() // 1_000_000, is_last=True)
    time_ms = time.time_ns() // 1_000_000 if leg.is_confirmation else 1_700_000_000_000 + epoch
    is_last = epoch == leg.recipe.training["num_epochs"]
    return Report(epoch, metrics, time_ms=time_ms, checkpoint_bytes=1000, is_last=is_last)


def drive(spec, folder, *, num_slots=1, put=None, value=curve, delay_s=0.0, seed=0, answer=report, costs_of=None):
    """Run a session to its end with workers that report in random order; returns (session, storage, events)."""
    events, pick = [], random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    storage = create_or_resume(StudyFolder(folder), spec)
    session = SearchRun(spec, storage, StudyFolder(folder), put or events.append)
    session.num_slots = num_slots
    if costs_of is not None:
        session.refuse_by(costs_of)
    legs = {}
    while True:
        while (leg := session.next_leg()) is not None:
            legs[leg.key] = [leg, leg.known_epochs]
        if not legs:
            assert session.is_finished
            return session, storage, events
        key = pick.choice(sorted(legs))
        legs[key][1] += 1
        leg, epoch = legs[key]
        if delay_s:  # a sleep of no length gives the core away
            time.sleep(delay_s)
        if not session.report(key, answer(leg, epoch, value(leg.recipe, epoch))):
            del legs[key]


def main() -> None:
    folder, num_trials, delay_s = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    with driver_lock(StudyFolder(folder)), (folder / "events.jsonl").open("a") as file:
        mend_journal(StudyFolder(folder))

        def put(event):
            file.write(json.dumps(event) + "\n")
            file.flush()

        drive(make_spec(folder, num_trials), folder, num_slots=2, put=put, delay_s=delay_s)


if __name__ == "__main__":
    main()
