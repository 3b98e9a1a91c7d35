"""gpu.py's two sides: a recipe trained by visiontune, and the peers' loops over the same pictures with the same kernels to choose from."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from parts.gpu_pictures import at_hand, num_cores
from peers import gpu_loops
from visiontune.data.store.store import Store
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.training.arithmetic import PRECISIONS, Arithmetic
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.loop import train
from visiontune.training.setup import make_network

WEAK = {"policy": "fixed", "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "HorizontalFlip": {"probability": 0.5}}
Epochs = tuple[list[float], list[float]]
"""Seconds and share right of each."""


def recipe_of(args: argparse.Namespace, model: Mapping[str, Any], batch_size: int, epochs: int, **data: Any) -> TrialRecipe:
    """SGD with Nesterov's momentum, one cycle of the rate, crops and mirrors."""
    return load_recipe(
        {
            "data": data or {"source": "digits"},
            "model": {**model, **({"width_factor": 0.25} if args.smoke else {})},
            "regularization": {"l2": gpu_loops.L2},
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "lr": args.lr},
            "schedule": {"name": "one_cycle"},
            "training": {"batch_size": batch_size, "num_epochs": epochs, "precision": args.precision, "seed": 0},
            "augmentation": WEAK,
        }
    )


def ours(args: argparse.Namespace, recipe: TrialRecipe, store: Store) -> Epochs:
    """By visiontune."""
    found = [(one.metrics["epoch_s"], one.metrics["val_top1"]) for one in train(recipe, store, device=args.device)]
    return [seconds for seconds, _ in found], [top1 for _, top1 in found]


def steady_s(epochs: Epochs) -> float:
    """Seconds of an epoch, without the first one."""
    return statistics.median(epochs[0][1:])


def pictures_percent(args: argparse.Namespace, recipe: TrialRecipe, store: Store, epoch_s: float) -> float:
    """What goes of an epoch where pictures cost nothing; at a rate so small that steps over one batch lead nowhere."""
    changed = {"training": {"num_epochs": args.jpeg_epochs}, "optimizer": {"lr": 1e-6}}
    sections = recipe.to_dict()
    with at_hand():
        found = ours(args, load_recipe({**sections, **{key: {**sections[key], **value} for key, value in changed.items()}}), store)
    return 100 * max(0.0, 1 - steady_s(found) / epoch_s)


def compiled(recipe: TrialRecipe, mode: str = "default") -> TrialRecipe:
    """With use_compile."""
    sections = recipe.to_dict()
    return load_recipe({**sections, "training": {**sections["training"], "use_compile": True, "compile_mode": mode}})


def by_hand(args: argparse.Namespace, recipe: TrialRecipe, store: Store, *, use_compile: bool = False) -> Epochs:
    """The loop of the peers in the manner of airbench over the same pictures, with the same kernels to choose from."""
    arithmetic = Arithmetic.of(recipe.training, torch.device(args.device))
    device, is_halved = arithmetic.device, arithmetic.precision in PRECISIONS
    network = _network(recipe, store, device)
    network = gpu_loops.halved(network) if is_halved else network
    scale = [torch.tensor(values, device=device) for values in (store.mean_C, store.std_C)]
    dtype = torch.float16 if is_halved else torch.float32

    def resident(index_N: Any, *, is_training: bool) -> gpu_loops.Resident:
        images = torch.from_numpy(store.read(index_N, store.image_size)).to(device)
        labels = torch.from_numpy(store.labels_N[index_N]).to(device)
        return gpu_loops.Resident(images, labels, *scale, is_training=is_training, dtype=dtype)

    size, num_epochs = recipe.training["batch_size"], recipe.training["num_epochs"]
    train_set, val_set = resident(store.train_idx, is_training=True), resident(store.val_idx, is_training=False)
    batches, val = (lambda: train_set.batches(size)), (lambda: val_set.batches(size))
    given = {"lr": args.lr, "num_epochs": num_epochs, "batch_size": size, "use_compile": use_compile}
    with arithmetic.set_flags():
        found = list(gpu_loops.train(network, batches, len(store.train_idx) // size, val, **given))
    return [seconds for seconds, _ in found], [top1 for _, top1 in found]


def by_loader(args: argparse.Namespace, recipe: TrialRecipe, store: Store, folder: Path) -> Epochs:
    """The loop of the peers with autocast, over JPEGs that torch's DataLoader reads by a process on each core."""
    arithmetic, training = Arithmetic.of(recipe.training, torch.device(args.device)), recipe.training
    network, nums = _network(recipe, store, arithmetic.device), (len(store.train_idx), len(store.val_idx))
    size, num_workers = training["batch_size"], 0 if args.smoke else num_cores()
    batches, val, num_steps = gpu_loops.jpeg_batches(folder, args.jpeg_size, size, arithmetic.device, num_workers, nums)
    given = {"lr": args.lr, "num_epochs": training["num_epochs"], "batch_size": size, "autocast": PRECISIONS.get(arithmetic.precision)}
    with arithmetic.set_flags():
        found = list(gpu_loops.train(network, batches, num_steps, val, **given))
    return [seconds for seconds, _ in found], [top1 for _, top1 in found]


def _network(recipe: TrialRecipe, store: Store, device: torch.device) -> nn.Module:
    return make_network(recipe, store, fit_preprocessing(recipe.preprocessing, store), device).to(memory_format=torch.channels_last)


def to_goal(seconds: list[float], val_top1: list[float], goal: float = 0.94) -> float:
    """Of training until validation is there; 0 where it never is."""
    there = next((number for number, value in enumerate(val_top1, 1) if value >= goal), 0)
    return sum(seconds[:there])
