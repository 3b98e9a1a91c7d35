"""Pictures on their way to a network, on one core: visiontune's store and loader against what a user would pick instead.

    .venv/bin/python benchmarks/loader.py                                # made pictures, 3 minutes
    .venv/bin/python benchmarks/loader.py --cifar cifar10_train.parquet  # the training epochs on CIFAR-10

Everyone crops with a margin of an eighth (out of 500 x 375 files as RandomResizedCrop does), mirrors by chance, normalises, and hands
over shuffled batches of 256 float32 pictures and labels, in one process (workers would share the core) with warm files:

    visiontune       the store that `ingest` makes of the Parquet file, and the loader that training uses
    albumentations   torch's DataLoader over files (PNG at 32 and 64 px, JPEG of 256 px for 224), OpenCV, the same ops
    torchvision v2   torch's DataLoader over the same files, torchvision.io and transforms.v2
    Hugging Face     torch's DataLoader over `datasets` on the same Parquet file, albumentations; no row where it is not installed

Seconds are the processor's. Both sides of a ratio take turns, and the median of the rounds' ratios counts. Then: random batches
out of the store (>= 300,000 pictures/s at 32 px), and the share of an epoch's time in which a small network waited for
pictures (< 5 %), both as they are and augmented.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.result import Result, arguments, median_of, parse
from parts.picture_files import Files, write
from parts.picture_passes import WEAK, Pass, seconds, use_one_core
from peers import picture_loaders
from visiontune.augmentation.policy import build_policy
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.spec.parse import load_recipe
from visiontune.training.input.epoch_order import batch_bounds, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.loop import train

BATCH = 256
PHOTO = (375, 500)
"""Height and width of ImageNet's usual file, for crops out of whole pictures at 224 px."""
CROP = {"crop_scale_min": 0.08, "crop_scale_max": 1.0, "crop_ratio_min": 3 / 4, "crop_ratio_max": 4 / 3}
SHARES = {32: 1, 64: 2, 224: 8}
"""Training sizes, and into how many parts their cost divides the number of pictures."""

NUM_TRAINED = 20_000
AUGMENTATIONS = {"as they are": {"policy": "none"}, "cropped, mirrored": {"policy": "fixed", **WEAK}}


def ours(files: Files, folder: Path, kind: str) -> Pass:
    """Epoch after epoch as training takes them."""
    data = {
        "source": "parquet",
        "train": str(files.parquet),
        "image_size": files.size,
        "duplicates": "keep",
        "store": kind,
        "frame": "crop",
    }
    store = Store.open(prepare(data, folder / "stores"))
    cropped = {"crop": "random_resized", **CROP, "HorizontalFlip": {"probability": 0.5}}
    ops: dict[str, Any] = cropped if picture_loaders.is_resized_crop(files) else WEAK
    split = open_pictures(
        store,
        np.arange(len(store.labels_N)),
        torch.device("cpu"),
        preprocessing=fit_preprocessing({"name": "standardize", "colour": "stored"}, store),
        policy=build_policy({"policy": "fixed", **ops}, image_size=files.size, channels=3),
        num_workers=0,
    )
    epochs = iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for _ in split.batches(shuffled(len(split), 0, epoch), batch_bounds(len(split), BATCH), epoch):
            pass

    return run


def compare(folder: Path, size: int, num: int, rounds: int, shape: tuple[int, int] | None = None) -> dict[str, dict[str, float]]:
    """A row for each entrant at this size; times are those of the first one, visiontune's."""
    files = write(folder, num, size, shape=shape)
    what = f"{size} px" if shape is None else f"{size} px out of {shape[1]} x {shape[0]}"
    kinds = ("raw", "encoded") if size > 64 else ("raw",)
    entrants: dict[str, Pass | None] = {f"visiontune, {kind} store": ours(files, folder, kind) for kind in kinds}
    entrants["albumentations"] = picture_loaders.albumentations(files, BATCH)
    entrants["torchvision v2"] = picture_loaders.torchvision(files, BATCH)
    entrants["Hugging Face"] = picture_loaders.hugging_face(files, BATCH, folder)
    runs = {name: run for name, run in entrants.items() if run is not None}
    for run in runs.values():
        run()
    found = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    first, *others = runs
    rates = {name: {"pictures_per_s": num / min(one[name] for one in found)} for name in runs}
    ratios = {name: median_of("times_as_long", [one[name] / one[first] for one in found]) for name in others}
    return {f"{what}, {name}": {**row, **ratios.get(name, {})} for name, row in rates.items()}


def gather_rate(store: Store, rounds: int) -> float:
    """Pictures/s of shuffled batches out of the store, best round."""
    order_N = shuffled(len(store.labels_N), 0, 1)

    def run() -> None:
        for low in range(0, len(order_N), BATCH):
            store.read(order_N[low : low + BATCH], store.image_size)

    run()
    return len(order_N) / min(seconds(run) for _ in range(rounds))


def waits(args: argparse.Namespace, folder: Path, result: Result) -> None:
    """How long a small network waits for pictures, as they are and augmented; then how fast the same store gives them out."""
    path = args.cifar.resolve() if args.cifar else write(folder, args.trained, 32).parquet
    whose, rows = "CIFAR-10" if args.cifar else "made pictures", {}
    for what, augmentation in AUGMENTATIONS.items():
        recipe = load_recipe(
            {
                "data": {"source": "parquet", "train": str(path), "max_pictures": args.trained, "duplicates": "keep"},
                "model": {"name": "cnn", "width": 16, "depth": 3},
                "optimizer": {"name": "sgd", "lr": 0.05},
                "augmentation": augmentation,
                "training": {"batch_size": 128, "num_epochs": 2, "seed": 0},
            }
        )
        store = Store.open(prepare(recipe.data, folder / "stores"))
        *_, last = train(recipe, store)
        share = 100 * last.metrics["data_wait_share"]
        rows[f"{whose} {what}"] = {"pictures": len(store.train_idx), "epoch_s": last.metrics["epoch_s"], "waiting_percent": share}
    result.table("epoch", rows)
    for what, row in rows.items():
        result.target(f"waiting for {what}, of an epoch", row["waiting_percent"], 5, is_at_most=True, unit=" %")
    result.target("gather from the store at 32 px", gather_rate(store, args.rounds), 300_000, unit=" pictures/s")


def main() -> None:
    """Every figure, then the targets."""
    parser = arguments(__doc__)
    parser.add_argument("--cifar", type=Path, help="CIFAR-10's training file as Parquet, for the training epochs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=4096, help="at 32 px; fewer of the larger ones")
    parser.add_argument("--trained", type=int, default=NUM_TRAINED, help="pictures of a training epoch")
    args = parse(parser, rounds=1, pictures=256, trained=400)
    result = Result("loader", args, args.rounds, "rounds on one core")
    use_one_core()
    with tempfile.TemporaryDirectory(prefix="visiontune-loader-") as name:
        rows: dict[str, dict[str, float]] = {}
        for size, share in SHARES.items():
            rows |= compare(Path(name), size, args.pictures // share, args.rounds)
        rows |= compare(Path(name), 224, args.pictures // SHARES[224], args.rounds, PHOTO)
        result.table("crop, flip, normalise, batch", rows)
        waits(args, Path(name), result)
    result.write()


if __name__ == "__main__":
    main()
