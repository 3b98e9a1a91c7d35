"""What augmentation policies add on CIFAR-10: searched ones, those with a paper's strength, softer ones, and torchvision's own classes.

    .venv/bin/python benchmarks/policies.py --train cifar10_train.parquet --test cifar10_test.parquet --pictures 5000 \\
        --searched studies/randaugment studies/augmentation studies/joint
    .venv/bin/python benchmarks/policies.py --train ... --test ... --width 64 --epochs 81 --seeds 5 --device cuda --searched winner.yaml

`--searched` are folders of studies, whose winners are taken, or recipes' files: of search_spaces/randaugment.yaml, augmentation.yaml
and joint.yaml, searched with `space.model.width=16` and the same pictures. All rows train BASE, the network and optimizer of those
files, and differ in their section `augmentation` alone, at equal epochs and on equal seeds, none of which a search saw. Where a
winner has another network or optimizer too, as joint.yaml's has, its whole recipe is a further row, at the same epochs.
The figure is top-1 on the test set after the last epoch; gains over flip and crop are paired by seed. The train loss is that of
what the policy shows, and of mixed labels where batches are mixed. --smoke makes its pictures, and its searched recipe, itself.
torchvision's RandAugment and TrivialAugmentWide are the baselines: the same training with their own code for each picture.
Cost: 2 s an epoch of 4,000 pictures on one core, 3 to 5 with torchvision's classes, so 27 epochs of 10 rows and 5 seeds take 35 minutes
on 2 cores. Without --searched the figures are kept apart, in a temporary folder, unless --out says where.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from common import machine
from common.result import Result, arguments, mean_of, parse
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe

WEAK_OPS = {"HorizontalFlip": {"probability": 0.5}, "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}}
WEAK = {"flip_probability": 0.5, "crop_magnitude": 0.5}
PEER = "flip and crop"
PLUGIN = Path(__file__).parent / "parts" / "torchvision_policies.py"
KINDS: dict[str, dict[str, Any]] = {
    "none": {"policy": "none"},
    PEER: {"policy": "fixed", **WEAK_OPS},
    "torchvision's RandAugment": {"policy": "fixed", **WEAK_OPS, "TorchvisionRandAugment": {}},
    "torchvision's TrivialAugmentWide": {"policy": "fixed", **WEAK_OPS, "TorchvisionTrivialAugment": {}},
    "RandAugment's defaults": {"policy": "randaugment", **WEAK},
    "TrivialAugment": {"policy": "trivialaugment", **WEAK},
    "softer RandAugment": {"policy": "soft_randaugment", **WEAK},
    "softer TrivialAugment": {"policy": "soft_trivialaugment", **WEAK},
}
Found = dict[str, dict[int, dict[str, float]]]
"""Figures by kind and seed."""


def base(width: int, augmentation: dict[str, Any]) -> TrialRecipe:
    """The network and optimizer of the search spaces; what a section leaves out has its default."""
    return load_recipe(
        {
            "plugins": [str(PLUGIN)],
            "data": {"source": "digits"},
            "model": {"name": "cnn", "width": width, "depth": 3, "num_layers": 2},
            "regularization": {"l2": 5.0e-4},
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": 0.05},
            "schedule": {"name": "cosine", "warmup_share": 0.1},
            "training": {"batch_size": 64, "num_epochs": 1},
            "augmentation": augmentation,
        }
    )


def winner_of(path: Path) -> TrialRecipe:
    """Of a study's folder, or the recipe in a file."""
    return load_recipe(StudyFolder(path).winner if path.is_dir() else path)


def recipes_of(width: int, searched: Sequence[Path], epochs: int) -> dict[str, TrialRecipe]:
    """A recipe for each row."""
    recipes = {kind: base(width, augmentation) for kind, augmentation in KINDS.items()}
    plain = recipes["none"]
    for path in searched:
        winner = winner_of(path)
        recipes[f"{path.stem}, searched"] = replace(plain, augmentation=dict(winner.augmentation))
        if any(getattr(winner, name) != getattr(plain, name) for name in ("model", "optimizer", "regularization", "loss")):
            recipes[f"{path.stem}, its whole recipe"] = winner
    return {kind: replace(one, training={**one.training, "num_epochs": epochs}) for kind, one in recipes.items()}


def run(store_path: Path, device: str, job: tuple[str, int, TrialRecipe]) -> tuple[str, int, dict[str, float]]:
    """Test figures of one kind at one seed."""
    import torch

    from visiontune.data.store.store import Store
    from visiontune.training.evaluate import evaluate
    from visiontune.training.loop import train

    torch.set_num_threads(1)
    base(1, KINDS["none"])  # loads the plugin in this process
    kind, number, recipe = job
    seeded = replace(recipe, training={**recipe.training, "seed": keyed_seed("benchmarks/policies", number)})
    store = Store.open(store_path)
    *_, last = train(seeded, store, device=device)
    figures = evaluate(last.model, store, "test", preprocessing=last.preprocessing, arithmetic=last.arithmetic)
    return kind, number, {"top1": figures["top1"], "epoch_s": last.metrics["epoch_s"], "train_loss": last.metrics["train_loss"]}


def report(result: Result, found: Found) -> None:
    """A row for each kind, and the targets of the searched ones."""
    rows: dict[str, dict[str, float]] = {}
    for kind, by_seed in found.items():
        rows[kind] = {}
        for column, name in (("test_top1", "top1"), ("train_loss", "train_loss"), ("epoch_s", "epoch_s")):
            rows[kind] |= mean_of(column, [one[name] for one in by_seed.values()])
        if kind != PEER:
            gains = [one["top1"] - found[PEER][number]["top1"] for number, one in by_seed.items()]
            rows[kind] |= {**mean_of("gain_over_flip_and_crop", gains), "seeds_better": sum(gain > 0 for gain in gains)}
    result.table("policy", rows)
    errors = {kind: 1 - statistics.fmean(one["top1"] for one in by_seed.values()) for kind, by_seed in found.items()}
    best = min(KINDS, key=errors.__getitem__)
    for kind in [kind for kind in found if kind not in KINDS]:
        result.target(f"test error, {kind} / {best} (the best of the others)", errors[kind] / errors[best], 1.0, is_at_most=True)


def make_inputs(folder: Path) -> dict[str, Any]:
    """For a smoke run: training and test pictures, and a recipe as a search would leave it."""
    from parts.picture_files import write
    from visiontune import sample
    from visiontune.spec.yaml.yaml_writer import dump_recipe

    dump_recipe(sample(machine.ROOT / "search_spaces" / "joint.yaml", n=1)[0], folder / "joint.yaml")
    files = {name: write(folder, 100, 32, seed).parquet for seed, name in enumerate(("train", "test"))}
    return {**files, "searched": [folder / "joint.yaml"]}


def main() -> None:
    """Every kind at every seed, in processes of one thread."""
    parser = arguments(__doc__)
    parser.add_argument("--train", type=Path, help="CIFAR-10's training pictures as Parquet")
    parser.add_argument("--test", type=Path)
    parser.add_argument("--searched", type=Path, nargs="*", default=[], help="folders of studies, or recipes' files")
    parser.add_argument("--width", type=int, default=16, help="of the network's first stage; the search spaces' own is 32")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pictures", type=int, help="a stratified subset of the training file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parse(parser, epochs=1, seeds=1, width=2, processes=1)
    if not args.smoke and not (args.train and args.test):
        parser.error("--train and --test are needed")
    with tempfile.TemporaryDirectory() as folder:
        if args.smoke:
            vars(args).update(make_inputs(Path(folder)))
        result = Result("policies", args, args.seeds, f"seeds of each policy, {args.epochs} epochs", whole=bool(args.searched))
        report(result, measure(args, Path(folder) / "cache"))
    result.write()


def measure(args: argparse.Namespace, cache: Path) -> Found:
    """Kinds in their order, seeds in theirs."""
    from visiontune.data.prepare import prepare

    recipes = recipes_of(args.width, args.searched, args.epochs)
    data = {"source": "parquet", "train": str(args.train), "test": str(args.test), "max_pictures": args.pictures}
    jobs = [(kind, number, recipe) for number in range(args.seeds) for kind, recipe in recipes.items()]
    store = prepare(data, cache)  # here: a large ingest forks, which a pool's processes may not
    found: Found = {kind: {} for kind in recipes}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for kind, number, figures in pool.imap_unordered(partial(run, store, args.device), jobs):
            found[kind][number] = figures
            print(f"  {kind}, seed {number}: {figures['top1']:.4f}", flush=True)
    return {kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}


if __name__ == "__main__":
    main()
