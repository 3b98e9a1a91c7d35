"""Training on one GPU: epochs against loops written by hand, time spent waiting for pictures, augmentation on the device.

    make gpu                                       # the tests marked gpu, then this; at most 8 minutes
    .venv/bin/python benchmarks/gpu.py --cifar cifar10_train.parquet cifar10_test.parquet   # the time to 94 % too

Needs torch, torchvision and what visiontune's training imports; neither Ray nor MLflow nor Optuna, and no network. Without a GPU it says so
and ends well. Rows, each left out with its reason where its time is up or something is missing:

    resident    ResNet-18 on 50,000 made pictures of 32 px that stay on the device, cropped and mirrored there; per epoch, with validation,
                against a loop in the manner of cifar10-airbench: same network, batch, rate and number of epochs
    to 94 %     the same on CIFAR-10, where its files are given: seconds of training until validation is at 94 %
    JPEGs       ResNet-50 on JPEGs of 256 px at 224, pictures/s, against torchvision's ImageFolder and torch's DataLoader; and the share of
                an epoch in which the loop waited for pictures
    policies    pictures/s that each augmentation policy makes on the device
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.result import Result, arguments, parse
from parts.gpu_pictures import made_store, write_jpegs
from peers import gpu_loops
from visiontune.augmentation.policy import build_policy, on_device
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.spec.parse import load_recipe
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.training.input.epoch_order import batch_bounds, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.loop import train
from visiontune.training.setup import make_network

LIMIT_S = 8 * 60
WEAK = {"policy": "fixed", "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "HorizontalFlip": {"probability": 0.5}}
POLICIES: dict[str, dict[str, Any]] = {
    "crop and flip": WEAK,
    "trivialaugment": {"policy": "trivialaugment", "flip_probability": 0.5, "crop_magnitude": 0.5},
    "randaugment": {"policy": "randaugment", "flip_probability": 0.5, "crop_magnitude": 0.5},
    "augmix": {"policy": "augmix"},
}
BASE = {"data": {"source": "digits"}, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 3}}
Rows = dict[str, dict[str, float]]


def recipe_of(args: argparse.Namespace, model: Mapping[str, Any], batch_size: int, epochs: int, **data: Any) -> TrialRecipe:
    """SGD with Nesterov's momentum, one cycle of the rate, crops and mirrors."""
    return load_recipe(
        {
            "data": data or {"source": "digits"},
            "model": {**model, **({"width_factor": 0.25} if args.smoke else {})},
            "regularization": {"l2": 5e-4},
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": args.lr},
            "schedule": {"name": "one_cycle"},
            "training": {"batch_size": batch_size, "num_epochs": epochs, "precision": args.precision, "seed": 0},
            "augmentation": WEAK,
        }
    )


def ours(args: argparse.Namespace, recipe: TrialRecipe, store: Store) -> tuple[list[float], list[float], list[float]]:
    """Seconds, val_top1 and waiting share of each epoch."""
    found = [
        (one.metrics["epoch_s"], one.metrics["val_top1"], one.metrics["data_wait_share"])
        for one in train(recipe, store, device=args.device)
    ]
    seconds, val_top1, waiting = zip(*found, strict=True)
    return list(seconds), list(val_top1), list(waiting)


def by_hand(args: argparse.Namespace, recipe: TrialRecipe, store: Store) -> list[tuple[float, float]]:
    """Seconds and share right of each epoch of the loop of the peers, over the same pictures."""
    device, dtype = torch.device(args.device), {"bf16": torch.bfloat16, "fp32": torch.float32}[args.precision]
    preprocessing = fit_preprocessing(recipe.preprocessing, store)
    network = make_network(recipe, store, preprocessing).to(device, memory_format=torch.channels_last)
    scale = [torch.tensor(values, device=device) for values in (store.mean_C, store.std_C)]

    def resident(index_N: Any, *, is_training: bool) -> gpu_loops.Resident:
        images = torch.from_numpy(store.read(index_N, store.image_size)).to(device)
        labels = torch.from_numpy(store.labels_N[index_N]).to(device)
        return gpu_loops.Resident(images, labels, *scale, is_training=is_training, dtype=dtype)

    size, num = recipe.training["batch_size"], recipe.training["num_epochs"]
    train_set, val_set = resident(store.train_idx, is_training=True), resident(store.val_idx, is_training=False)
    batches, val = (lambda: train_set.batches(size)), (lambda: val_set.batches(512))
    return list(gpu_loops.train(network, batches, len(store.train_idx) // size, val, lr=args.lr, num_epochs=num, dtype=dtype))


def resident_rows(args: argparse.Namespace) -> Rows:
    """Medians of all epochs but the first, which warms up."""
    store = made_store(args.pictures, 32)
    recipe = recipe_of(args, {"name": "resnet18", "stem": "small"}, args.batch, args.epochs)
    seconds, _, waiting = ours(args, recipe, store)
    peer = [one for one, _ in by_hand(args, recipe, store)]
    epoch_s, peer_s = (statistics.median(one[1:]) for one in (seconds, peer))
    row = {"epoch_s": epoch_s, "waiting_percent": 100 * statistics.median(waiting[1:]), "first_epoch_s": seconds[0]}
    return {"visiontune": {**row, "times_as_long": epoch_s / peer_s}, "by hand": {"epoch_s": peer_s, "first_epoch_s": peer[0]}}


def cifar_rows(args: argparse.Namespace, folder: Path) -> Rows:
    """Seconds until validation is at the goal, 0 where it never is; and where it ended."""
    files = {"train": str(args.cifar[0].resolve()), "test": str(args.cifar[1].resolve())}
    recipe = recipe_of(args, {"name": "resnet18", "stem": "small"}, args.batch, args.cifar_epochs, source="parquet", **files)
    store = Store.open(prepare(recipe.data, folder / "stores"))
    seconds, val_top1, _ = ours(args, recipe, store)
    peer_s, peer_top1 = (list(one) for one in zip(*by_hand(args, recipe, store), strict=True))
    found = {"visiontune": (seconds, val_top1), "by hand": (peer_s, peer_top1)}
    return {name: {"to_94_percent_s": to_goal(*one), "all_s": sum(one[0]), "val_top1": one[1][-1]} for name, one in found.items()}


def to_goal(seconds: list[float], val_top1: list[float], goal: float = 0.94) -> float:
    """Of training until validation is there; 0 where it never is."""
    there = next((number for number, value in enumerate(val_top1, 1) if value >= goal), 0)
    return sum(seconds[:there])


def jpeg_rows(args: argparse.Namespace, folder: Path) -> Rows:
    """Pictures/s of epochs but the first, which starts workers and warms up; of validation too, which is in ours alone."""
    size, batch = args.jpeg_size, args.jpeg_batch
    write_jpegs(folder / "jpegs", args.jpegs, size * 8 // 7)
    data = {"source": "folder", "path": str(folder / "jpegs"), "image_size": size, "store": "encoded", "duplicates": "keep"}
    recipe = recipe_of(args, {"name": "resnet50"}, batch, 3, **data)
    store = Store.open(prepare(recipe.data, folder / "stores"))
    seconds, _, waiting = ours(args, recipe, store)
    device, dtype = torch.device(args.device), {"bf16": torch.bfloat16, "fp32": torch.float32}[args.precision]
    network = make_network(recipe, store, fit_preprocessing(recipe.preprocessing, store)).to(device, memory_format=torch.channels_last)
    batches, num_steps = gpu_loops.jpeg_batches(folder / "jpegs", size, batch, device, 0 if args.smoke else os.cpu_count() or 1)
    peer = [one for one, _ in gpu_loops.train(network, batches, num_steps, lambda: iter(()), lr=args.lr, num_epochs=3, dtype=dtype)]
    num = (len(store.train_idx) + len(store.val_idx), num_steps * batch)
    rates = [count / statistics.median(one[1:]) for count, one in zip(num, (seconds, peer), strict=True)]
    row = {"pictures_per_s": rates[0], "waiting_percent": 100 * statistics.median(waiting[1:]), "times_as_fast": rates[0] / rates[1]}
    return {"visiontune": row, "ImageFolder, DataLoader": {"pictures_per_s": rates[1]}}


def policy_rows(args: argparse.Namespace) -> Rows:
    """Pictures/s of each policy on pictures that lie on the device, the best of three passes."""
    store, device = made_store(args.pictures // 4, 32), torch.device(args.device)
    images_NHWC = torch.from_numpy(store.images_NHWC.copy()).to(device)
    return {name: {"pictures_per_s": rate_of(section, images_NHWC, args.batch)} for name, section in POLICIES.items()}


def rate_of(section: Mapping[str, Any], images_NHWC: torch.Tensor, batch_size: int) -> float:
    """0 where the policy has an op without a form for the device."""
    recipe = load_recipe({**BASE, "augmentation": section})
    policy = build_policy(recipe.augmentation, image_size=images_NHWC.shape[1], channels=3, num_epochs=3)
    there, lacking = on_device(policy) if policy is not None else (None, [])
    if there is None or lacking:
        return 0.0
    order_N, best_s = shuffled(len(images_NHWC), 0, 1), float("inf")
    for epoch in (1, 2, 3):
        started = time.perf_counter()
        for low, high in zip(bounds := batch_bounds(len(order_N), batch_size), bounds[1:], strict=False):
            rows = order_N[low:high]
            there(images_NHWC.index_select(0, torch.from_numpy(rows).to(images_NHWC.device)), seed=0, epoch=epoch, index_N=np.asarray(rows))
        if images_NHWC.is_cuda:
            torch.cuda.synchronize()
        best_s = min(best_s, time.perf_counter() - started)
    return len(order_N) / best_s


@contextmanager
def said(what: str, deadline_s: float, *, is_smoke: bool) -> Iterator[bool]:
    """Whether there is time for it; what goes wrong inside is told and leaves the rest alone, but in a smoke run."""
    has_time = time.monotonic() < deadline_s
    if not has_time:
        print(f"SKIPPED {what}: the {LIMIT_S // 60} minutes are over", flush=True)
    try:
        yield has_time
    except Exception as error:
        if is_smoke:
            raise
        print(f"SKIPPED {what}: {type(error).__name__}: {error}", flush=True)


def main() -> None:
    """Every part that there is time for."""
    parser = arguments(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    parser.add_argument("--cifar", type=Path, nargs=2, metavar=("TRAIN", "TEST"), help="CIFAR-10 as Parquet")
    parser.add_argument("--pictures", type=int, default=50_000, help="resident ones")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--lr", type=float, default=0.4)
    parser.add_argument("--epochs", type=int, default=6, help="of the resident pictures")
    parser.add_argument("--cifar-epochs", type=int, default=18)
    parser.add_argument("--jpegs", type=int, default=6000)
    parser.add_argument("--jpeg-batch", type=int, default=128)
    parser.add_argument("--jpeg-size", type=int, default=224)
    smoke = {"device": "cpu", "precision": "fp32", "pictures": 80, "batch": 16, "lr": 0.05, "epochs": 2}
    smoke |= {"jpegs": 20, "jpeg_batch": 4, "jpeg_size": 35}
    args = parse(parser, **smoke)
    if args.device == "cuda" and not torch.cuda.is_available():
        print("SKIPPED everything: torch sees no GPU here (--device cpu measures the processor)")
        return
    if args.smoke:
        torch.set_num_threads(1)
    deadline_s = time.monotonic() + LIMIT_S
    result = Result("gpu", args, 1, f"run, {torch.cuda.get_device_name() if args.device == 'cuda' else 'no GPU'}")
    with tempfile.TemporaryDirectory(prefix="visiontune-gpu-") as name:
        parts = {"resident": lambda: resident_rows(args), "policies": lambda: policy_rows(args)}
        parts |= {"JPEGs": lambda: jpeg_rows(args, Path(name))}
        parts |= {"to 94 %": lambda: cifar_rows(args, Path(name))} if args.cifar else {}
        for what, rows in parts.items():
            with said(what, deadline_s, is_smoke=args.smoke) as has_time:
                if has_time:
                    result.table(what, rows())
    result.write()


if __name__ == "__main__":
    main()
