"""Training on one GPU: epochs against loops written by hand, the share that pictures cost, augmentation on the device.

    make gpu                                       # the tests marked gpu, then this; at most 8 minutes
    .venv/bin/python benchmarks/gpu.py --cifar cifar10_train.parquet cifar10_test.parquet   # the time to 94 % too

Needs torch, torchvision and what visiontune's training imports; neither Ray nor MLflow nor Optuna, and no network. Without a GPU it says so
and ends well. Rows, each left out with its reason where its time is up or something is missing; figures are written after each table:

    resident    ResNet-18 on 50,000 made pictures of 32 px that stay on the device, cropped and mirrored there; per epoch, with validation,
                against a loop in the manner of cifar10-airbench: same network, batch, rate and number of epochs, but weights in fp16; both
                also compiled
    to 94 %     the same on CIFAR-10, where its files are given: seconds of training until validation is at 94 %
    small batches   ResNet-18 of a quarter of the width in batches of 32, which wait for launches: seconds of an epoch as it is, compiled,
                and with CUDA graphs (compile_mode: reduce-overhead), each against the row above it
    JPEGs       ResNet-50 on JPEGs of 256 px at 224, decoded in every epoch, pictures/s, against torchvision's ImageFolder and torch's
                DataLoader, with autocast
    policies    pictures/s that each augmentation policy makes on the device, from bytes to float32

`pictures_percent` is the share of an epoch that goes where the same steps are made over one batch that is kept: what a GPU waits for
pictures, and what it spends on making them. Seconds are medians of all epochs but the first, which loads kernels, tries cuDNN's out and
compiles; each epoch ends with a figure of its validation, so that the device has done its work.

On an H100 or A100 with 16 cores some 6 minutes are expected, nearly half of them for compiling (from published figures; not run yet).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from common.result import Result, arguments, parse
from parts.gpu_pictures import made_store, streamed, write_jpegs
from parts.gpu_runs import WEAK, Epochs, by_hand, by_loader, compiled, ours, pictures_percent, recipe_of, steady_s, to_goal
from visiontune.augmentation.policy import build_policy
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.training.gpu import release_all
from visiontune.training.input.epoch_order import batch_bounds, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures

LIMIT_S = 8 * 60
SMALL = {"name": "resnet18", "stem": "small", "width_factor": 0.25}
RESNET18, RESNET50 = {"name": "resnet18", "stem": "small"}, {"name": "resnet50"}
POLICIES: dict[str, dict[str, Any]] = {
    "crop and flip": WEAK,
    "trivialaugment": {"policy": "trivialaugment", "flip_probability": 0.5, "crop_magnitude": 0.5},
    "randaugment": {"policy": "randaugment", "flip_probability": 0.5, "crop_magnitude": 0.5},
    "augmix": {"policy": "augmix"},
    "three_augment": {"policy": "three_augment"},
    "soft_trivialaugment": {"policy": "soft_trivialaugment"},
    "blur, gamma and erasing": {"policy": "fixed", **{name: {"probability": 0.5} for name in ("GaussianBlur", "RandomGamma", "Erasing")}},
}
BASE = {"data": {"source": "digits"}, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 3}}
PEERS: dict[str, tuple[str, dict[str, str]]] = {
    "resident": ("epoch_s", {"visiontune": "by hand", "visiontune, compiled": "by hand, compiled"}),
    "small batches": ("epoch_s", {"visiontune, compiled": "visiontune", "visiontune, CUDA graphs": "visiontune, compiled"}),
    "JPEGs": ("pictures_per_s", {"visiontune": "ImageFolder, DataLoader"}),
}
"""The column that is compared, and who with whom."""
Row = dict[str, float]


def resident_rows(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Each loop as it is and compiled."""
    store = made_store(args.pictures, 32)
    recipe = recipe_of(args, RESNET18, args.batch, args.epochs)

    def row(epochs: Epochs) -> Row:
        return {"epoch_s": steady_s(epochs), "first_epoch_s": epochs[0][0]}

    def with_pictures(recipe: TrialRecipe) -> Row:
        found = row(ours(args, recipe, store))
        return {**found, "pictures_percent": pictures_percent(args, recipe, store, found["epoch_s"])}

    yield "visiontune", lambda: with_pictures(recipe)
    yield "by hand", lambda: row(by_hand(args, recipe, store))
    if not args.smoke:
        yield "visiontune, compiled", lambda: row(ours(args, compiled(recipe), store))
        torch._dynamo.reset()  # graphs of another network's same lines count towards torch's limit
        yield "by hand, compiled", lambda: row(by_hand(args, recipe, store, use_compile=True))


def small_rows(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Row]]]:
    """One recipe as it is, compiled and replayed; a smoke run has no GPU to replay on."""
    store, recipe = made_store(args.small_pictures, 32), recipe_of(args, SMALL, args.small_batch, args.epochs)
    recipes = {"visiontune": recipe}
    if not args.smoke:
        recipes |= {"visiontune, compiled": compiled(recipe), "visiontune, CUDA graphs": compiled(recipe, "reduce-overhead")}
    for name, one in recipes.items():
        yield name, partial(small_row, args, one, store)


def small_row(args: argparse.Namespace, recipe: TrialRecipe, store: Store) -> Row:
    """`val_top1` is there to show that the rows train alike."""
    found = ours(args, recipe, store)
    return {"epoch_s": steady_s(found), "first_epoch_s": found[0][0], "val_top1": found[1][-1]}


def cifar_rows(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Seconds until validation is at the goal, 0 where it never is; and where it ended."""
    files = {"train": str(args.cifar[0].resolve()), "test": str(args.cifar[1].resolve())}
    recipe = recipe_of(args, RESNET18, args.batch, args.cifar_epochs, source="parquet", **files)
    store = Store.open(prepare(recipe.data, folder / "stores"))

    def row(seconds: list[float], top1: list[float]) -> Row:
        return {"to_94_percent_s": to_goal(seconds, top1), "all_s": sum(seconds), "val_top1": top1[-1]}

    yield "visiontune", lambda: row(*ours(args, recipe, store))
    yield "by hand", lambda: row(*by_hand(args, recipe, store))


def jpeg_rows(args: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Callable[[], Row]]]:
    """Pictures/s of training and validation together, of which both loops have as many.

    So few would stay on the device as bytes, and be decoded once: they are streamed, as those of a large set are.
    """
    size, batch = args.jpeg_size, args.jpeg_batch
    write_jpegs(folder / "jpegs", args.jpegs, size * 8 // 7)
    data = {"source": "folder", "path": str(folder / "jpegs"), "image_size": size, "store": "encoded", "duplicates": "keep"}
    recipe = recipe_of(args, RESNET50, batch, args.jpeg_epochs, **data)
    store = Store.open(prepare(recipe.data, folder / "stores"))
    nums = len(store.train_idx), len(store.val_idx)

    def visiontune() -> Row:
        with streamed():
            epoch_s = steady_s(ours(args, recipe, store))
            return {"pictures_per_s": sum(nums) / epoch_s, "pictures_percent": pictures_percent(args, recipe, store, epoch_s)}

    def usual() -> Row:
        return {"pictures_per_s": sum(nums) / steady_s(by_loader(args, recipe, store, folder / "jpegs"))}

    yield "visiontune", visiontune
    yield "ImageFolder, DataLoader", usual


def policy_rows(args: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The best of three passes over all training pictures, in such chunks as training has."""
    store = made_store(args.pictures, 32)
    for name, section in POLICIES.items():
        yield name, partial(policy_row, args, section, store)


def policy_row(args: argparse.Namespace, section: Mapping[str, Any], store: Store) -> Row:
    """Raises ValueError where the policy has an op without a form for the GPU."""
    recipe, device = load_recipe({**BASE, "augmentation": section}), torch.device(args.device)
    policy = build_policy(recipe.augmentation, image_size=store.image_size, channels=3, num_epochs=3)
    preprocessing = fit_preprocessing(recipe.preprocessing, store)
    pictures = open_pictures(store, store.train_idx, device, preprocessing=preprocessing, policy=policy, num_workers=0)
    if device.type == "cuda" and pictures.resident is None:
        raise ValueError("not all of its ops have a form for a GPU")
    best_s = float("inf")
    for epoch in (1, 2, 3):
        started = time.perf_counter()
        for _ in pictures.batches(shuffled(len(pictures), 0, epoch), batch_bounds(len(pictures), args.batch), epoch):
            pass
        if device.type == "cuda":
            torch.cuda.synchronize()
        best_s = min(best_s, time.perf_counter() - started)
    return {"pictures_per_s": len(pictures) / best_s}


def table_of(what: str, rows: Iterator[tuple[str, Callable[[], Row]]], deadline_s: float, *, is_smoke: bool) -> dict[str, Row]:
    """Those rows that there is time for; what goes wrong in one is told and leaves the others alone, but in a smoke run."""
    found: dict[str, Row] = {}
    with _told(what, is_smoke=is_smoke):
        for name, row in rows:
            if time.monotonic() > deadline_s:
                print(f"SKIPPED {what}, {name}: the {LIMIT_S // 60} minutes are over", flush=True)
                continue
            with _told(f"{what}, {name}", is_smoke=is_smoke):
                found[name] = row()
            if torch.cuda.is_available():
                release_all()
    return found


@contextmanager
def _told(what: str, *, is_smoke: bool) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_smoke:
            raise
        print(f"SKIPPED {what}: {type(error).__name__}: {error}", flush=True)


def against(rows: dict[str, Row], peers: Mapping[str, str], column: str) -> dict[str, Row]:
    """With each row's figure by its peer's, where both are there."""
    return {
        name: {**row, "times_the_peers": row[column] / rows[peers[name]][column]} if peers.get(name) in rows else row
        for name, row in rows.items()
    }


def main() -> None:
    """Every part that there is time for."""
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"), help="auto: bf16 where the GPU has units for it")
    parser.add_argument("--cifar", type=Path, nargs=2, metavar=("TRAIN", "TEST"), help="CIFAR-10 as Parquet")
    parser.add_argument("--pictures", type=int, default=50_000, help="resident ones")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--lr", type=float, default=0.4)
    parser.add_argument("--epochs", type=int, default=6, help="of the resident pictures")
    parser.add_argument("--cifar-epochs", type=int, default=18)
    parser.add_argument("--small-pictures", type=int, default=8000, help="for small batches")
    parser.add_argument("--small-batch", type=int, default=32)
    parser.add_argument("--jpegs", type=int, default=6000)
    parser.add_argument("--jpeg-epochs", type=int, default=3, help="and of what is measured over one batch")
    parser.add_argument("--jpeg-batch", type=int, default=128)
    parser.add_argument("--jpeg-size", type=int, default=224)
    smoke = {"device": "cpu", "precision": "fp32", "pictures": 80, "batch": 16, "lr": 0.05, "epochs": 2}
    smoke |= {"small_pictures": 80, "small_batch": 16, "jpegs": 20, "jpeg_epochs": 2, "jpeg_batch": 8, "jpeg_size": 35}
    args = parse(parser, **smoke)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("SKIPPED everything: torch sees no GPU here (--device cpu measures the processor)")
        return
    if args.smoke:
        torch.set_num_threads(1)
    deadline_s = time.monotonic() + LIMIT_S
    result = Result("gpu", args, 1, f"run, {torch.cuda.get_device_name() if args.device == 'cuda' else 'no GPU'}")
    with tempfile.TemporaryDirectory(prefix="visiontune-gpu-") as name:
        tables = {
            "resident": resident_rows(args),
            "small batches": small_rows(args),
            "policies": policy_rows(args),
            "JPEGs": jpeg_rows(args, Path(name)),
        }
        tables |= {"to 94 %": cifar_rows(args, Path(name))} if args.cifar else {}
        for what, rows in tables.items():
            found = table_of(what, rows, deadline_s, is_smoke=args.smoke)
            column, peers = PEERS.get(what, ("", {}))
            if found:
                result.table(what, against(found, peers, column))
                result.write()


if __name__ == "__main__":
    main()
