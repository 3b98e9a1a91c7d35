"""3-Augment (Touvron et al. 2022, DeiT III): grey, solarized or blurred, one of the three for each picture; then jittered colours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.policy_steps import Step, flip_and_crop

KINDS = ("ToGray", "Solarize", "GaussianBlur")
JITTERS = ("Brightness", "Contrast", "Saturation")
THRESHOLD = 128
DEVIATIONS = (0.1, 2.0)
"""Pixels, at any size of picture; the authors' radius in Pillow, which is a deviation."""


@dataclass(frozen=True)
class ThreeAugment:
    """One of KINDS, all equally likely; then JITTERS in random order, by factors within `colour_jitter` of 1."""

    channels: int
    colour_jitter: float

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        which_N = ops.integers(len(KINDS), index_N, seed, epoch, "three")
        low, high = DEVIATIONS
        deviation_N = low + (high - low) * ops.uniforms(index_N, seed, epoch, "deviation")
        for number, name in enumerate(KINDS):
            rows = np.flatnonzero(which_N == number)
            strength_K = deviation_N[rows] if name == "GaussianBlur" else np.full(len(rows), THRESHOLD / 255)
            ops.apply_exact(name, strength_K, pictures_NHWC, rows, "nearest")
        self._jitter(ops, pictures_NHWC, index_N, seed=seed, epoch=epoch)

    def _jitter(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        orders = np.array(list(permutations(range(len(JITTERS)))))
        order_N3 = orders[ops.integers(len(orders), index_N, seed, epoch, "order")]
        factor_3N = [1 + self.colour_jitter * (2 * ops.uniforms(index_N, seed, epoch, name) - 1) for name in JITTERS]
        for place in range(len(JITTERS)):
            for number, name in enumerate(JITTERS):
                rows = np.flatnonzero(order_N3[:, place] == number)
                ops.apply_exact(name, factor_3N[number][rows], pictures_NHWC, rows, "nearest")

    @property
    def names(self) -> tuple[str, ...]:
        return (*KINDS, *JITTERS) if self.channels == 3 else (*KINDS[1:], *JITTERS[:2])


def three_augment(*, channels: int, num_epochs: int, colour_jitter: float, flip_probability: float, crop_magnitude: float) -> list[Step]:
    """DeiT III's; the mirror image by half a chance, and the authors' crop, belong to it and come first."""
    return [*flip_and_crop(flip_probability, crop_magnitude), ThreeAugment(channels, colour_jitter)]
