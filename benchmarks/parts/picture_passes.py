"""Passes over pictures on one core, by visiontune's policies and by albumentations, and the processor's seconds that they take."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb
import cv2
import numpy as np
import torch

from visiontune.augmentation.apply_ops import Ops
from visiontune.augmentation.export.albumentations_files import pipeline
from visiontune.augmentation.policy import Policy, build_policy, on_device
from visiontune.training.input.preprocessing import Scaling

BATCH = 512
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
WEAK = {"PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "HorizontalFlip": {"probability": 0.5}}
STRONG = {
    "HorizontalFlip": {"probability": 0.5},
    "RandomResizedCrop": {"probability": 1.0, "magnitude": 0.5},
    "Affine": {"probability": 1.0, "magnitude": 0.5},
    "ColorJitter": {"probability": 1.0, "magnitude": 1.0},
    "CoarseDropout": {"probability": 1.0, "magnitude": 1.0},
}
Pass = Callable[[], None]


def use_one_core() -> None:
    """For this process, torch and OpenCV."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def photographs(num: int, size: int) -> np.ndarray:
    """Smooth and colourful, uint8 NHWC."""
    coarse_NHWC = np.random.default_rng(0).integers(0, 256, (num, 8, 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in coarse_NHWC])


def policy_of(ops: dict[str, Any], size: int, engine: str = "batched") -> Policy:
    """As a recipe's section gives it."""
    policy = build_policy({"policy": "fixed", **ops}, image_size=size, channels=3)
    assert policy is not None
    return replace(policy, ops=Ops(size, engine))


def compose_of(ops: dict[str, Any], size: int, *, use_normalize: bool) -> Any:
    """The same policy as `visiontune preview --export` gives it out: albumentations' Compose, whose draws are its own."""
    transforms = pipeline(policy_of(ops, size).steps, size).transforms
    return alb.Compose([*transforms, *([alb.Normalize(MEAN, STD)] if use_normalize else [])])


def ours(policy: Policy, images_NHWC: np.ndarray, *, use_normalize: bool) -> Pass:
    """In batches."""
    size, index_N = images_NHWC.shape[1], np.random.default_rng(1).permutation(len(images_NHWC))
    scale_WC = (1 / (255 * torch.tensor(STD))).repeat(size, 1)
    scaling, epochs = Scaling(scale_WC, (torch.tensor(MEAN) / torch.tensor(STD)).repeat(size, 1)), iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for low in range(0, len(index_N), BATCH):
            rows = index_N[low : low + BATCH]
            pictures_NHWC = policy(images_NHWC[rows], seed=0, epoch=epoch, index_N=rows)
            if use_normalize:
                scaling(torch.from_numpy(pictures_NHWC))

    return run


def theirs(compose: Any, images_NHWC: np.ndarray) -> Pass:
    """Picture by picture."""

    def run() -> None:
        for image in images_NHWC:
            compose(image=image)

    return run


def there(device: str, policy: Policy, images_NHWC: np.ndarray) -> Pass:
    """By the device engine in batches, over when the device is."""
    first, on_it, _ = on_device(policy)
    assert first is None and on_it is not None
    images, index_N = torch.from_numpy(images_NHWC).to(device), np.random.default_rng(1).permutation(len(images_NHWC))
    epochs = iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for low in range(0, len(index_N), BATCH):
            rows = index_N[low : low + BATCH]
            on_it(images[torch.from_numpy(rows).to(device)], seed=0, epoch=epoch, index_N=rows)
        if device != "cpu":
            torch.accelerator.synchronize()

    return run


def seconds(run: Pass) -> float:
    """Of one call: the processor's time, which another process on the same core does not add to."""
    start = time.process_time()
    run()
    return time.process_time() - start


def wall_seconds(run: Pass) -> float:
    """Of one call, by the clock."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
