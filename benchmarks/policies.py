"""What a searched augmentation policy adds on CIFAR-10 to none, flip and crop, RandAugment's defaults and TrivialAugment.

    .venv/bin/python benchmarks/policies.py --train cifar10_train.parquet --test cifar10_test.parquet --searched studies/augmentation
    .venv/bin/python benchmarks/policies.py --train ... --test ... --searched winner.yaml --epochs 27 --seeds 5 --device cuda
    .venv/bin/python benchmarks/policies.py --train ... --test ... --pictures 300 --epochs 1 --seeds 2    # a try, without a searched one

`--searched` is a study's folder, of which the winner is taken, or a recipe's file: what `visiontune search
search_spaces/augmentation.yaml` found, or randaugment.yaml, or joint.yaml. All rows train that recipe (without one: the network of
augmentation.yaml) and differ in their section `augmentation` alone, at equal epochs and on equal seeds, none of which the search
saw. A winner of joint.yaml brings a learning rate and a decay that suit its own policy: the other rows then have a handicap.
The figure is top-1 on the test set after the last epoch; gains over flip and crop are paired by seed. The train loss is that of
what the policy shows, and of mixed labels where batches are mixed.
Without --pictures it trains on all 45,000: for a GPU. Cost with --pictures 5000 --epochs 27 on 2 cores: not measured yet.
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

import machine

from visiontune.spec.parse import load_recipe
from visiontune.spec.recipe import TrialRecipe, keyed_seed
from visiontune.spec.space import fill
from visiontune.spec.study import RECIPE

BASE = """
data: {source: digits}
model: {name: cnn, width: 32, depth: 3, num_layers: 2}
regularization: {l2: 5.0e-4}
optimizer: {name: sgd, momentum: 0.9, nesterov: true, lr: 0.05}
schedule: {name: cosine, warmup_share: 0.1}
training: {batch_size: 64, num_epochs: 1}
"""
WEAK = {"flip_probability": 0.5, "crop_magnitude": 0.5}
PEER, SEARCHED = "flip and crop", "searched"
KINDS: dict[str, dict[str, Any]] = {
    "none": {"policy": "none"},
    PEER: {
        "policy": "fixed",
        "HorizontalFlip": {"probability": 0.5},
        "PadAndCrop": {"probability": 1.0, "magnitude": 0.5},
    },
    "RandAugment's defaults": {"policy": "randaugment", **WEAK},
    "TrivialAugment": {"policy": "trivialaugment", **WEAK},
}


def base_recipe(searched: Path | None) -> TrialRecipe:
    """The winner's recipe, or BASE."""
    if searched is not None:
        return load_recipe(searched / "winner.yaml" if searched.is_dir() else searched)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(BASE)
        file.flush()
        return load_recipe(Path(file.name))


def recipes_of(base: TrialRecipe, has_searched: bool, epochs: int) -> dict[str, TrialRecipe]:
    """A recipe for each kind; what a section leaves out has its default."""
    fields = RECIPE.fields["augmentation"].fields  # type: ignore[union-attr]
    sections = {kind: fill(fields, values) for kind, values in KINDS.items()}
    if has_searched:
        sections[SEARCHED] = dict(base.augmentation)
    training = {**base.training, "num_epochs": epochs}
    return {kind: replace(base, augmentation=section, training=training) for kind, section in sections.items()}


def run(data: dict[str, Any], cache: Path, device: str, job: tuple[str, int, TrialRecipe]) -> tuple[str, int, dict[str, float]]:
    """Test figures of one kind at one seed."""
    import torch

    from visiontune.data.store import Store, prepare
    from visiontune.training.evaluate import evaluate
    from visiontune.training.loop import train

    torch.set_num_threads(1)
    kind, number, recipe = job
    seeded = replace(recipe, training={**recipe.training, "seed": keyed_seed("benchmarks/policies", number)})
    store = Store.open(prepare(data, cache))
    *_, last = train(seeded, store, device=device)
    figures = evaluate(last.model, store, "test", preprocessing=last.preprocessing, device=device)
    return kind, number, {"top1": figures["top1"], "epoch_s": last.metrics["epoch_s"], "train_loss": last.metrics["train_loss"]}


def show(found: dict[str, dict[int, dict[str, float]]], num_seeds: int, epochs: int) -> None:
    """A row for each kind, and the verdict on the searched one."""
    print(machine.line(num_seeds, f"seeds of each kind, {epochs} epochs; mean ± standard deviation over the seeds"))
    rows = []
    for kind, by_seed in found.items():
        gains = [one["top1"] - found[PEER][number]["top1"] for number, one in by_seed.items()]
        against = ["-", "-"] if kind == PEER else [spread(gains, "+"), f"{sum(gain > 0 for gain in gains)} of {len(gains)}"]
        figures = [spread([one[name] for one in by_seed.values()]) for name in ("top1", "train_loss", "epoch_s")]
        rows.append([kind, *figures, *against])
    print(machine.table(["policy", "test top-1", "train loss", "seconds an epoch", f"gain over {PEER}", "seeds better"], rows))
    if SEARCHED in found:
        errors = {kind: 1 - statistics.fmean(one["top1"] for one in by_seed.values()) for kind, by_seed in found.items()}
        best = min(KINDS, key=errors.__getitem__)
        what = f"test error, {SEARCHED} / {best} (the best of the others)"
        print(machine.against(what, errors[SEARCHED] / errors[best], 1.0, is_at_most=True))


def spread(values: list[float], sign: str = "") -> str:
    """Mean and sample standard deviation."""
    return f"{statistics.fmean(values):{sign}.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def main() -> None:
    """Every kind at every seed, in processes of one thread."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="CIFAR-10's training pictures as Parquet")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--searched", type=Path, help="folder of a study, or a recipe's file")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=int, help="a stratified subset of the training file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    data = {"source": "parquet", "train": str(args.train), "test": str(args.test), "max_pictures": args.pictures}
    recipes = recipes_of(base_recipe(args.searched), args.searched is not None, args.epochs)
    jobs = [(kind, number, recipe) for number in range(args.seeds) for kind, recipe in recipes.items()]
    found: dict[str, dict[int, dict[str, float]]] = {kind: {} for kind in recipes}
    with tempfile.TemporaryDirectory() as cache, multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for kind, number, figures in pool.imap_unordered(partial(run, data, Path(cache), args.device), jobs):
            found[kind][number] = figures
            print(f"  {kind}, seed {number}: {figures['top1']:.4f}", flush=True)
    show({kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}, args.seeds, args.epochs)


if __name__ == "__main__":
    main()
