"""Made pictures for a GPU: a store in memory that can be learned, a folder of JPEGs, and batches that cost nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from visiontune.data.store.store import Store
from visiontune.training.checks.made_store import in_memory
from visiontune.training.input import open_pictures as opening
from visiontune.training.input.batches import Pictures
from visiontune.training.input.epoch_order import IntArray

NUM_CLASSES = 10
VAL_SHARE = 0.1


def made_store(num: int, size: int) -> Store:
    """Smooth colours by class under noise; a tenth each for val and test."""
    random = np.random.default_rng(0)
    labels_N = np.arange(num, dtype=np.int64) % NUM_CLASSES
    shapes_K = random.integers(0, 160, (NUM_CLASSES, 4, 4, 3), dtype=np.uint8)
    smooth_KHWC = shapes_K.repeat(size // 4, 1).repeat(size // 4, 2)
    images_NHWC = smooth_KHWC[labels_N] + random.integers(0, 96, (num, size, size, 3), dtype=np.uint8)
    order, part = random.permutation(num), int(num * VAL_SHARE)
    val, test, train = np.split(order, [part, 2 * part])
    return in_memory(images_NHWC, labels_N, (train, val, test), f"made {num} {size}")


def write_jpegs(folder: Path, num: int, size: int) -> None:
    """FOLDER/class/number.jpg, of smooth shapes and grain, at quality 90; by threads, as torch lets go of Python's lock."""
    from torchvision.io import encode_jpeg

    def write(number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        coarse = torch.rand((1, 3, 6, 6), generator=generator) * 200
        picture = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[0]
        picture = (picture + 12 * torch.randn(picture.shape, generator=generator)).clamp(0, 255).to(torch.uint8)
        path = folder / f"class{number % num_classes}" / f"{number}.jpg"
        path.write_bytes(encode_jpeg(picture, quality=90).numpy().tobytes())

    num_classes = min(NUM_CLASSES, num // 10)
    for label in range(num_classes):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(num_cores()) as threads:
        list(threads.map(write, range(num)))


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def streamed() -> Iterator[None]:
    """Nothing stays on the device while the block runs, as of a set that is too large for it."""
    kept, opening._RESIDENT_BYTES = opening._RESIDENT_BYTES, {}
    try:
        yield
    finally:
        opening._RESIDENT_BYTES = kept


@contextmanager
def at_hand() -> Iterator[None]:
    """Batches cost nothing while the block runs: a split hands out its first one of each size again and again."""
    made, kept = Pictures.batches, {}

    def batches(self: Pictures, order_N: IntArray, bounds: Sequence[int], epoch: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        for low, high in pairwise(bounds):
            key = (id(self), high - low)
            if key not in kept:
                kept[key] = next(iter(made(self, order_N[low:high], [0, high - low], epoch)))
            yield kept[key]

    Pictures.batches = batches  # type: ignore[method-assign]
    try:
        yield
    finally:
        Pictures.batches = made  # type: ignore[method-assign]
