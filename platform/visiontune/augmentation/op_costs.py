"""What ops cost on this machine, in one thread, on synthetic pictures."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from visiontune.augmentation.apply_ops import Ops, Pictures, has_magnitude
from visiontune.augmentation.engines.batched import BATCHED
from visiontune.augmentation.policy import suits
from visiontune.spec.declarations.image_size import ImageSize, sides

MAGNITUDE = 0.5
_BATCH_BYTES, _MOST, _FEWEST = 2 << 20, 256, 4
_LONG_ENOUGH_S = 0.03
_ROUNDS = 3


@dataclass(frozen=True)
class Cost:
    """Microseconds a picture; `engine` is batched or albumentations."""

    name: str
    us: float
    engine: str


def costs_of(names: Iterable[str], image_size: ImageSize, channels: int = 3) -> Iterator[Cost]:
    """The best of three rounds for each op at magnitude 0.5, applied to every picture of a batch as a policy does it."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        ops, images_NHWC = Ops(image_size), _pictures(image_size, channels)
        for name in names:
            if suits(name, channels):
                yield Cost(name, 1e6 * _seconds(ops, name, images_NHWC), "batched" if name in BATCHED else "albumentations")
    finally:
        cv2.setNumThreads(before)


def _seconds(ops: Ops, name: str, images_NHWC: Pictures) -> float:
    """Seconds for one picture."""
    num = len(images_NHWC) if name in BATCHED else _FEWEST
    rows_K = index_N = np.arange(num)
    magnitude = MAGNITUDE if has_magnitude(name) else 1.0
    pictures_NHWC = images_NHWC[:num].copy()
    ops.apply(name, magnitude, pictures_NHWC, rows_K, index_N, "warm")
    rounds = []
    for number in range(_ROUNDS):
        spent, calls = 0.0, 0
        while spent < _LONG_ENOUGH_S:
            pictures_NHWC = images_NHWC[:num].copy()
            start = time.perf_counter()
            ops.apply(name, magnitude, pictures_NHWC, rows_K, index_N, number, calls)
            spent, calls = spent + time.perf_counter() - start, calls + 1
        rounds.append(spent / calls / num)
    return min(rounds)


def _pictures(image_size: ImageSize, channels: int) -> Pictures:
    height, width = sides(image_size)
    num = min(_MOST, max(_FEWEST, _BATCH_BYTES // (height * width * channels)))
    coarse_NHWC = np.random.default_rng(0).integers(0, 256, (num, 4, 4, channels), dtype=np.uint8)
    images = [cv2.resize(one, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels) for one in coarse_NHWC]
    return np.stack(images).astype(np.uint8)
