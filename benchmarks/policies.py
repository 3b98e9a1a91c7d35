"""What searched augmentation policies add on CIFAR-10 to none, flip and crop, RandAugment's defaults and TrivialAugment.

    .venv/bin/python benchmarks/policies.py --train cifar10_train.parquet --test cifar10_test.parquet --pictures 5000 \\
        --searched studies/randaugment studies/augmentation studies/joint
    .venv/bin/python benchmarks/policies.py --train ... --test ... --width 64 --epochs 81 --seeds 5 --device cuda --searched winner.yaml
    .venv/bin/python benchmarks/policies.py --train ... --test ... --pictures 300 --epochs 1 --seeds 2    # a try, without a searched one

`--searched` are folders of studies, whose winners are taken, or recipes' files: of search_spaces/randaugment.yaml, augmentation.yaml
and joint.yaml, searched with `space.model.width=16` and the same pictures. All rows train BASE, the network and optimizer of those
files, and differ in their section `augmentation` alone, at equal epochs and on equal seeds, none of which a search saw. Where a
winner has another network or optimizer too, as joint.yaml's has, its whole recipe is a further row, at the same epochs.
The figure is top-1 on the test set after the last epoch; gains over flip and crop are paired by seed. The train loss is that of
what the policy shows, and of mixed labels where batches are mixed.
Cost: 2 s an epoch of 4,000 pictures on one core, so 27 epochs of 8 rows and 5 seeds take 20 minutes on 2 cores.
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

import machine

from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.parse import load_recipe
from visiontune.spec.sections import RECIPE
from visiontune.spec.space import fill
from visiontune.spec.trial_recipe import TrialRecipe

BASE = """
data: {{source: digits}}
model: {{name: cnn, width: {width}, depth: 3, num_layers: 2}}
regularization: {{l2: 5.0e-4}}
optimizer: {{name: sgd, momentum: 0.9, nesterov: true, lr: 0.05}}
schedule: {{name: cosine, warmup_share: 0.1}}
training: {{batch_size: 64, num_epochs: 1}}
"""
WEAK = {"flip_probability": 0.5, "crop_magnitude": 0.5}
PEER = "flip and crop"
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


def recipe_in(text: str) -> TrialRecipe:
    """Of a recipe's YAML."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return load_recipe(Path(file.name))


def winner_of(path: Path) -> TrialRecipe:
    """Of a study's folder, or the recipe in a file."""
    return load_recipe(path / "winner.yaml" if path.is_dir() else path)


def recipes_of(width: int, searched: Sequence[Path], epochs: int) -> dict[str, TrialRecipe]:
    """A recipe for each row; what a section leaves out has its default."""
    base = recipe_in(BASE.format(width=width))
    fields = RECIPE.fields["augmentation"].fields  # type: ignore[union-attr]
    recipes = {kind: replace(base, augmentation=fill(fields, values)) for kind, values in KINDS.items()}
    for path in searched:
        winner = winner_of(path)
        recipes[f"{path.stem}, searched"] = replace(base, augmentation=dict(winner.augmentation))
        if any(getattr(winner, name) != getattr(base, name) for name in ("model", "optimizer", "regularization", "loss")):
            recipes[f"{path.stem}, its whole recipe"] = winner
    return {kind: replace(one, training={**one.training, "num_epochs": epochs}) for kind, one in recipes.items()}


def run(data: dict[str, Any], cache: Path, device: str, job: tuple[str, int, TrialRecipe]) -> tuple[str, int, dict[str, float]]:
    """Test figures of one kind at one seed."""
    import torch

    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store
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
    """A row for each kind, and the verdicts on the searched ones."""
    print(machine.line(num_seeds, f"seeds of each kind, {epochs} epochs; mean ± standard deviation over the seeds"))
    rows = []
    for kind, by_seed in found.items():
        gains = [one["top1"] - found[PEER][number]["top1"] for number, one in by_seed.items()]
        against = ["-", "-"] if kind == PEER else [spread(gains, "+"), f"{sum(gain > 0 for gain in gains)} of {len(gains)}"]
        figures = [spread([one[name] for one in by_seed.values()]) for name in ("top1", "train_loss", "epoch_s")]
        rows.append([kind, *figures, *against])
    print(machine.table(["policy", "test top-1", "train loss", "seconds an epoch", f"gain over {PEER}", "seeds better"], rows))
    errors = {kind: 1 - statistics.fmean(one["top1"] for one in by_seed.values()) for kind, by_seed in found.items()}
    best = min(KINDS, key=errors.__getitem__)
    for kind in found.keys() - KINDS.keys():
        what = f"test error, {kind} / {best} (the best of the others)"
        print(machine.against(what, errors[kind] / errors[best], 1.0, is_at_most=True))


def spread(values: list[float], sign: str = "") -> str:
    """Mean and sample standard deviation."""
    return f"{statistics.fmean(values):{sign}.3f} ± {statistics.stdev(values) if len(values) > 1 else 0:.3f}"


def main() -> None:
    """Every kind at every seed, in processes of one thread."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--train", type=Path, required=True, help="CIFAR-10's training pictures as Parquet")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--searched", type=Path, nargs="*", default=[], help="folders of studies, or recipes' files")
    parser.add_argument("--width", type=int, default=16, help="of the network's first stage; the search spaces' own is 32")
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--pictures", type=int, help="a stratified subset of the training file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    data = {"source": "parquet", "train": str(args.train), "test": str(args.test), "max_pictures": args.pictures}
    recipes = recipes_of(args.width, args.searched, args.epochs)
    jobs = [(kind, number, recipe) for number in range(args.seeds) for kind, recipe in recipes.items()]
    found: dict[str, dict[int, dict[str, float]]] = {kind: {} for kind in recipes}
    with tempfile.TemporaryDirectory() as cache, multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for kind, number, figures in pool.imap_unordered(partial(run, data, Path(cache), args.device), jobs):
            found[kind][number] = figures
            print(f"  {kind}, seed {number}: {figures['top1']:.4f}", flush=True)
    show({kind: dict(sorted(by_seed.items())) for kind, by_seed in found.items()}, args.seeds, args.epochs)


if __name__ == "__main__":
    main()
