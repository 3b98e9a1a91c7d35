"""RandAugment, TrivialAugment and AugMix at the strength of their papers, as torchvision has them.

An op is done at its magnitude itself, to a random side, and identity is one of the ops. Ranges are those of torchvision's
RandAugment, TrivialAugmentWide and AugMix, each with 31 magnitudes (AugMix: 10), of which 0 is the first and 1 the last. Pictures that
drew the same op are changed together, whatever their magnitudes. Strengths are those of real numbers: torchvision's float32 makes
15.999999 pixels of 16, which it cuts to 15 (TrivialAugment, level 15), and now and then a threshold just above a grey level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.keyed_random import FloatArray
from visiontune.augmentation.policies.randaugment import DEPTHS, NUM_LEVELS, Chains, Levels, OneMagnitude
from visiontune.augmentation.policy_steps import Ramp, Step, flip_and_crop
from visiontune.spec.tables.policies import AUGMIX_OPS, DRAWN_OPS

IDENTITY = "Identity"
_FACTORS = ("Brightness", "Contrast", "Saturation", "Sharpen")
_NUM_SEVERITIES = 10


@dataclass(frozen=True)
class OpSpace:
    """Ops and their strengths at magnitude 1. A shift is in pixels, or a share of the side where it is below 1; bits go from the first."""

    names: tuple[str, ...]
    shear: float
    shift: float
    degrees: float
    factor: float
    bits: tuple[int, int]

    def strengths(self, name: str, magnitude_K: FloatArray, sign_K: FloatArray, side: int) -> FloatArray:
        """(K,) what exact_ops.py takes; `sign_K` is 1 or -1, and counts for ops that go both ways."""
        if name.startswith("Shear"):
            return sign_K * self.shear * magnitude_K
        if name.startswith("Translate"):
            pixels_K = magnitude_K * (self.shift * side if self.shift < 1 else self.shift)
            return sign_K * np.trunc(np.round(pixels_K, 4))
        if name == "Rotate":
            return sign_K * self.degrees * magnitude_K
        if name in _FACTORS:
            return 1 + sign_K * self.factor * magnitude_K
        if name == "Posterize":
            return np.round(self.bits[0] - magnitude_K * (self.bits[0] - self.bits[1]))
        return 1 - magnitude_K  # a threshold; ops without a strength ignore it

    def suiting(self, channels: int) -> OpSpace:
        """Of grey pictures saturation leaves all as it is; it is drawn all the same, so that others are no likelier."""
        return self if channels == 3 else replace(self, names=tuple(IDENTITY if name == "Saturation" else name for name in self.names))


RANDAUGMENT = OpSpace((IDENTITY, *DRAWN_OPS), shear=0.3, shift=150 / 331, degrees=30.0, factor=0.9, bits=(8, 4))
TRIVIALAUGMENT = OpSpace((IDENTITY, *DRAWN_OPS), shear=0.99, shift=32.0, degrees=135.0, factor=0.99, bits=(8, 2))
AUGMIX = OpSpace(AUGMIX_OPS, shear=0.3, shift=1 / 3, degrees=30.0, factor=0.9, bits=(4, 0))


@dataclass(frozen=True)
class SignedOps:
    """`num_ops` times an op of the space at one of magnitudes(epoch), to either side; all of it equally likely, drawn anew each time."""

    space: OpSpace
    num_ops: int
    magnitudes: Callable[[int], Sequence[float]]
    interpolation: str

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        for position in range(self.num_ops):
            self.once(ops, pictures_NHWC, np.arange(len(index_N)), index_N, "drawn", position, seed=seed, epoch=epoch)

    def once(self, ops: Ops, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str, seed: int, epoch: int) -> None:
        """One op to each of these rows."""
        index_K, magnitudes = index_N[rows_K], np.array(self.magnitudes(epoch))
        which_K = ops.integers(len(self.space.names), index_K, seed, epoch, "op", *key)
        magnitude_K = magnitudes[ops.integers(len(magnitudes), index_K, seed, epoch, "magnitude", *key)]
        sign_K = np.where(ops.uniforms(index_K, seed, epoch, "sign", *key) < 0.5, -1.0, 1.0)
        for name in self.names:
            mine = np.isin(which_K, [number for number, one in enumerate(self.space.names) if one == name])
            strength_K = self.space.strengths(name, magnitude_K[mine], sign_K[mine], pictures_NHWC.shape[1])
            ops.apply_exact(name, strength_K, pictures_NHWC, rows_K[mine], self.interpolation)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for name in self.space.names if name != IDENTITY))


def randaugment(
    *,
    channels: int,
    num_epochs: int,
    num_ops: int,
    magnitude: float,
    final_magnitude: float | None,
    interpolation: str,
    flip_probability: float,
    crop_magnitude: float,
) -> list[Step]:
    """Cubuk et al. 2020: the same magnitude for every op; 0.3 is torchvision's 9 of 30."""
    magnitudes = OneMagnitude(Ramp(magnitude, final_magnitude, num_epochs))
    return [*flip_and_crop(flip_probability, crop_magnitude), SignedOps(RANDAUGMENT.suiting(channels), num_ops, magnitudes, interpolation)]


def trivialaugment(*, channels: int, num_epochs: int, interpolation: str, flip_probability: float, crop_magnitude: float) -> list[Step]:
    """Müller & Hutter 2021, the wide space: one op at any of 31 magnitudes."""
    drawn = SignedOps(TRIVIALAUGMENT.suiting(channels), 1, Levels(0, NUM_LEVELS - 1), interpolation)
    return [*flip_and_crop(flip_probability, crop_magnitude), drawn]


def augmix(
    *,
    channels: int,
    num_epochs: int,
    severity: int,
    num_chains: int,
    chain_depth: int,
    augmix_alpha: float,
    interpolation: str,
    flip_probability: float,
    crop_magnitude: float,
) -> list[Step]:
    """Hendrycks et al. 2020, the augmentation: their consistency loss over three versions of a picture is not here."""
    depths = (chain_depth,) if chain_depth else DEPTHS
    drawn = SignedOps(AUGMIX, 1, Levels(0, severity - 1, _NUM_SEVERITIES), interpolation)
    return [*flip_and_crop(flip_probability, crop_magnitude), Chains(drawn, num_chains, depths, augmix_alpha)]
