"""A small study as records, made by hand: what the results floor is tested on."""

from __future__ import annotations

import math
from dataclasses import replace

from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.records.snapshot import Snapshot

RECIPE = {
    "data": {"source": "digits", "seed": 0},
    "model": {
        "name": "cnn",
        "width": 64,
        "depth": 3,
        "kernel_size": 3,
        "activation": "prelu",
        "slope": 0.25,
        "init": "he_normal",
        "dropout": 0.0,
    },
    "regularization": {"l1": 0.0, "l2": 1e-4},
    "optimizer": {"name": "sgd", "momentum": 0.95, "nesterov": False, "weight_decay": 0.0, "lr": 0.1},
    "schedule": {"name": "cosine", "warmup_epochs": 1, "final_fraction": 0.0},
    "augmentation": {"policy": "fixed", "Affine": {"probability": 0.5, "magnitude": 0.3}},
    "training": {"batch_size": 64, "num_epochs": 9, "seed": 5},
}


def row(number: int, state: str, values: dict[int, float], params: dict[str, object], kind: str = "", reason: str = "") -> TrialRecord:
    """One trial whose last epoch is the last of `values`."""
    epoch = max(values, default=0)
    return TrialRecord(number, state, values.get(epoch), epoch, reason, kind, params, RECIPE, f"{number:016x}", values)


TRIALS = (
    row(0, "complete", {1: 0.5, 3: 0.8, 9: 0.9}, {"optimizer.lr": 0.1, "model.name": "cnn", "model.cnn.width": 64}),
    row(1, "pruned", {1: 0.99}, {"optimizer.lr": 0.2, "model.name": "lenet5"}, reason="not promoted at epoch 1"),
    row(2, "complete", {1: 0.4, 3: 0.7, 9: 0.95}, {"optimizer.lr": 0.01, "model.name": "cnn", "model.cnn.width": 32}),
    row(3, "failed", {1: 0.3, 2: math.nan}, {"optimizer.lr": 9.0, "model.name": "lenet5"}, "diverged", "loss is NaN at epoch 2"),
    row(4, "pruned", {1: 0.6, 3: 0.75}, {"optimizer.lr": 0.05, "model.name": "lenet5"}),
    row(5, "failed", {}, {"optimizer.lr": 0.3, "model.name": "lenet5"}, "infeasible", "out of memory"),
)
RECORD = StudyRecord("digits", Objective("val_top1", "max"), (1, 3, 9), 6, TRIALS, TRIALS[2])
SNAPSHOT = Snapshot(6, 6, 1, 2, 0, 0, 1, 0, TRIALS[0], 42.4, 75.0, 12.2, "searching")


def later(**changes: object) -> Snapshot:
    """SNAPSHOT with something else."""
    return replace(SNAPSHOT, **changes)  # type: ignore[arg-type]
