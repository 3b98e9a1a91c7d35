"""Small made pictures that can be learned, for whatever must train a few steps without anybody's data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from visiontune.data.split import IntArray
from visiontune.data.store.store import Store
from visiontune.spec.declarations.image_size import ImageSize, sides


def make_store(num: int = 90, size: ImageSize = 16, channels: int = 1, num_classes: int = 3, seed: int = 0) -> Store:
    """Each class has its own bright rows under noise; 60 % train, 20 % val, 20 % test."""
    height, _ = sides(size)
    random = np.random.default_rng(seed)
    labels_N = np.arange(num, dtype=np.int64) % num_classes
    made_NHWC = random.integers(0, 160, (num, *sides(size), channels))
    for label in range(num_classes):
        made_NHWC[labels_N == label, label * height // num_classes : (label + 1) * height // num_classes] += 90
    images_NHWC = made_NHWC.astype(np.uint8)
    index = random.permutation(num)
    return in_memory(images_NHWC, labels_N, np.split(index, [num * 6 // 10, num * 8 // 10]), "made")


def in_memory(images_NHWC: NDArray[np.uint8], labels_N: IntArray, splits: Sequence[IntArray], digest: str) -> Store:
    """A store without a file, of pictures that become read-only; `splits` are train, val and test, whose mean it has of 4,096 at most."""
    train_idx, val_idx, test_idx = (np.sort(part) for part in splits)
    unit = images_NHWC[train_idx[:4096]] / 255
    images_NHWC.flags.writeable = False
    return Store(
        path=Path("made"),
        digest=digest,
        class_names=tuple(f"class{k}" for k in range(int(labels_N.max()) + 1)),
        images_NHWC=images_NHWC,
        labels_N=labels_N,
        train_idx=train_idx,
        val_idx=val_idx,
        test_idx=test_idx,
        mean_C=unit.mean((0, 1, 2)).astype(np.float32),
        std_C=unit.std((0, 1, 2)).astype(np.float32),
    )
