"""What class weights, balanced batches and oversampling add to macro recall when one class has a hundredth of another's pictures.

    .venv/bin/python benchmarks/imbalance.py                          # digits, 5 seeds: about 3 minutes on 2 cores
    .venv/bin/python benchmarks/imbalance.py --seeds 10
    .venv/bin/python benchmarks/imbalance.py --train cifar10_train.parquet --test cifar10_test.parquet --budget 2000000 --device cuda

Training pictures are thinned to a long tail, as Cui et al. 2019 do it: class sizes fall by the same factor from one class to the
next, from the smallest class of the whole set to a hundredth of it. Which class is rare changes with the seed; the test set keeps all
its classes. Every kind trains the same network on the same number of pictures (--budget): longer epochs are fewer epochs.
The figure is macro recall, the mean over classes of the share that is found, on the test set after the last epoch. Each remedy is
compared with plain training of the same seed, which has the same augmentation: differences are paired.

Focal loss is a row for comparison and no remedy: it weighs pictures by how hard they are, whatever their class.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.result import Result, arguments, mean_of, parse
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe

RATIO = 100
NETWORKS = {"digits": "lenet5", "parquet": "cnn"}
AUGMENTATION = {"policy": "fixed", "Affine": {"probability": 0.9, "magnitude": 0.3}}
PLAIN, AUGMENTED = "plain", "plain, augmented"
KINDS: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    PLAIN: ({}, PLAIN),
    "weights 1 / n": ({"balance": {"class_weights": "inverse_frequency"}}, PLAIN),
    "weights by effective number": ({"balance": {"class_weights": "effective_number", "class_beta": 0.99}}, PLAIN),
    "balanced batches": ({"balance": {"name": "balanced"}}, PLAIN),
    "focal loss": ({"loss": {"name": "focal", "focal_gamma": 2.0}}, PLAIN),
    AUGMENTED: ({"augmentation": AUGMENTATION}, AUGMENTED),
    "oversampled, augmented": ({"balance": {"name": "oversample", "strength": 1.0}, "augmentation": AUGMENTATION}, AUGMENTED),
}
"""Sections of a recipe, and the kind that it is compared with."""

REMEDIES = [kind for kind in KINDS if kind not in (PLAIN, AUGMENTED, "focal loss")]
FIGURES = ("macro_recall", "top1", "calibration_error")
Found = dict[str, dict[int, dict[str, float]]]
"""Figures by kind and seed."""


def thinned(store: Any, seed: int) -> Any:
    """The store with a long tail of training pictures; mean and deviation are those of what is left."""
    generator = np.random.default_rng([seed, 0])
    label_N = store.labels_N[store.train_idx]
    num_classes = len(store.class_names)
    largest = np.bincount(label_N, minlength=num_classes).min()
    size_K = np.round(largest * RATIO ** (-np.arange(num_classes) / (num_classes - 1))).astype(int)
    classes = generator.permutation(num_classes)
    parts = [
        generator.permutation(store.train_idx[label_N == k])[: max(1, size)]
        for k, size in zip(classes.tolist(), size_K.tolist(), strict=True)
    ]
    train_idx = np.sort(np.concatenate(parts))
    unit = store.images_NHWC[train_idx].astype(np.float32) / 255
    return replace(store, train_idx=train_idx, mean_C=unit.mean((0, 1, 2)), std_C=np.maximum(unit.std((0, 1, 2)), 1 / 255))


def recipe_of(kind: str, source: str, seed: int, budget: int, store: Any) -> TrialRecipe:
    """As many epochs as the budget has pictures for."""
    from visiontune.training.class_balance import build_order

    recipe = load_recipe(
        {
            "data": {"source": "digits"},
            "model": {"name": NETWORKS[source], "activation": "relu"},
            "optimizer": {"name": "adam", "lr": 0.002},
            "schedule": {"name": "cosine"},
            "training": {"batch_size": 50, "num_epochs": 1},
            **KINDS[kind][0],
        }
    )
    num = len(build_order(recipe.balance, store.labels_N[store.train_idx], len(store.class_names))(0, 1))
    return replace(recipe, training={**recipe.training, "num_epochs": max(1, round(budget / num)), "seed": seed})


def run(store_path: Path, source: str, budget: int, device: str, job: tuple[str, int]) -> tuple[str, int, dict[str, float]]:
    """Test figures of one kind at one seed."""
    import torch

    from visiontune.data.store.store import Store
    from visiontune.training.evaluate import evaluate
    from visiontune.training.loop import train

    torch.set_num_threads(1)
    kind, seed = job
    store = thinned(Store.open(store_path), seed)
    *_, last = train(recipe_of(kind, source, seed, budget, store), store, device=device)
    return kind, seed, evaluate(last.model, store, "test", preprocessing=last.preprocessing, arithmetic=last.arithmetic)


def report(result: Result, found: Found) -> None:
    """A row for each kind, and a target for each remedy."""
    rows: dict[str, dict[str, float]] = {}
    for kind, (_, peer) in KINDS.items():
        rows[kind] = {key: value for name in FIGURES for key, value in mean_of(name, [one[name] for one in found[kind].values()]).items()}
        if kind != peer:
            gains = [found[kind][seed]["macro_recall"] - found[peer][seed]["macro_recall"] for seed in found[kind]]
            rows[kind] |= {**mean_of("gain_in_macro_recall", gains), "seeds_better": sum(gain > 0 for gain in gains)}
    result.table("kind", rows)
    for kind in REMEDIES:
        means = [statistics.fmean(one["macro_recall"] for one in found[name].values()) for name in (kind, KINDS[kind][1])]
        result.target(f"macro recall, {kind} / {KINDS[kind][1]}", means[0] / means[1], 1.0)


def main() -> None:
    """Every kind at every seed, in processes of one thread."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=60_000, help="training pictures that each run sees")
    parser.add_argument("--train", type=Path, help="Parquet file in place of the digits")
    parser.add_argument("--test", type=Path, help="its test pictures")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parse(parser, seeds=1, budget=300, processes=1)
    result = Result(
        "imbalance_parquet" if args.train else "imbalance", args, args.seeds, f"seeds of each kind, {args.budget:,} pictures a run"
    )
    report(result, measure(args))
    result.write()


def measure(args: argparse.Namespace) -> Found:
    """Kinds in their order, seeds in theirs."""
    from visiontune.data.prepare import prepare

    data: dict[str, Any] = {"source": "digits", "val_fraction": 0.1, "test_fraction": 0.35}
    if args.train:
        data = {"source": "parquet", "train": str(args.train), "test": str(args.test) if args.test else None}
    jobs = [(kind, seed) for seed in range(args.seeds) for kind in KINDS]
    found: Found = {kind: {} for kind in KINDS}
    with tempfile.TemporaryDirectory() as cache:
        store = prepare(data, Path(cache))  # here: a large ingest forks, which a pool's processes may not
        with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
            for kind, seed, figures in pool.imap_unordered(partial(run, store, data["source"], args.budget, args.device), jobs):
                found[kind][seed] = figures
    return {kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}


if __name__ == "__main__":
    main()
