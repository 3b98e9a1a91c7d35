"""Made pictures for a GPU: a store in memory that can be learned, and a folder of JPEGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from visiontune.data.store.store import Store

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
    val_idx, test_idx, train_idx = (np.sort(one) for one in np.split(order, [part, 2 * part]))
    unit = images_NHWC[train_idx[:4096]] / 255
    return Store(
        path=Path("made"),
        digest=f"made {num} {size}",
        class_names=tuple(f"class {k}" for k in range(NUM_CLASSES)),
        images_NHWC=images_NHWC,
        labels_N=labels_N,
        train_idx=train_idx,
        val_idx=val_idx,
        test_idx=test_idx,
        mean_C=unit.mean((0, 1, 2)).astype(np.float32),
        std_C=unit.std((0, 1, 2)).astype(np.float32),
    )


def write_jpegs(folder: Path, num: int, size: int) -> None:
    """FOLDER/class/number.jpg, of smooth shapes and grain, at quality 90."""
    from torchvision.io import encode_jpeg

    generator = torch.Generator().manual_seed(0)
    for number in range(num):
        coarse = torch.rand((1, 3, 6, 6), generator=generator) * 200
        picture = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")[0]
        picture = (picture + 12 * torch.randn(picture.shape, generator=generator)).clamp(0, 255).to(torch.uint8)
        path = folder / f"class{number % min(NUM_CLASSES, num // 10)}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(picture, quality=90).numpy().tobytes())
