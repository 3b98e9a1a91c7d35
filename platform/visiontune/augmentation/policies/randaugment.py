"""Policies that draw ops out of a stated set for each picture: RandAugment, TrivialAugment and AugMix with softer draws.

A magnitude means here what the table of ops says: the end of a range out of which the op draws, where the papers take the
end itself with a random sign (published.py). Identity, which is in the papers' sets, is magnitude 0 and not an op. Of grey pictures
what needs three channels is left out of the set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.keyed_random import FloatArray
from visiontune.augmentation.policy import suits
from visiontune.augmentation.policy_steps import Ramp, Step, flip_and_crop
from visiontune.spec.tables.policies import AUGMIX_OPS, DRAWN_OPS

NUM_LEVELS = 31
"""Magnitudes are whole thirtieths where they are drawn, as in TrivialAugment."""
DEPTHS = (1, 2, 3)
"""Of AugMix's chains, all equally likely."""


@dataclass(frozen=True)
class Drawn:
    """`num_ops` times one op of `names` at one of magnitudes(epoch), all equally likely, drawn anew each time."""

    names: tuple[str, ...]
    num_ops: int
    magnitudes: Callable[[int], Sequence[float]]

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        for position in range(self.num_ops):
            self.once(ops, pictures_NHWC, np.arange(len(index_N)), index_N, "drawn", position, seed=seed, epoch=epoch)

    def once(self, ops: Ops, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str, seed: int, epoch: int) -> None:
        """One op to each of these rows; the key says by a word and numbers which draw it is."""
        kinds = list(product(self.names, self.magnitudes(epoch)))
        which_K = ops.integers(len(kinds), index_N[rows_K], seed, epoch, *key)
        ops.apply_drawn(kinds, which_K, pictures_NHWC, rows_K, index_N, seed, epoch, *key[1:])


@dataclass(frozen=True)
class OneMagnitude:
    """One magnitude for all ops of an epoch."""

    ramp: Ramp

    def __call__(self, epoch: int) -> tuple[float]:
        return (self.ramp.at(epoch),)


@dataclass(frozen=True)
class Levels:
    """All magnitudes from `lowest` to `highest` thirtieths, both ends inclusive, in every epoch; of `num` levels, one less than that."""

    lowest: int
    highest: int
    num: int = NUM_LEVELS

    def __call__(self, epoch: int) -> tuple[float, ...]:
        return tuple(level / (self.num - 1) for level in range(self.lowest, self.highest + 1))


class DrawsOnce(Protocol):
    """What a chain consists of: one op for each picture, drawn by key."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def magnitudes(self) -> Callable[[int], Sequence[float]]: ...

    def once(self, ops: Ops, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str, seed: int, epoch: int) -> None:
        """Change these rows in place."""


@dataclass(frozen=True)
class Chains:
    """Each picture becomes m * (weighted mean of `num_chains` changed copies) + (1 - m) * itself, rounded.

    A chain is as long as one of `depths`, all equally likely. Weights are Dirichlet's and m is Beta's, both with `alpha`.
    """

    drawn: DrawsOnce
    num_chains: int
    depths: tuple[int, ...]
    alpha: float

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        share_SN = self.shares(ops, index_N, seed=seed, epoch=epoch).T.astype(np.float32)[:, :, np.newaxis, np.newaxis, np.newaxis]
        share_SN = ops.beside(share_SN, pictures_NHWC)
        mixed_NHWC = share_SN[0] * pictures_NHWC
        for chain in range(self.num_chains):
            mixed_NHWC += share_SN[1 + chain] * self.changed(chain, ops, pictures_NHWC, index_N, seed=seed, epoch=epoch)
        pictures_NHWC[:] = mixed_NHWC.round()

    def shares(self, ops: Ops, index_N: IntArray, *, seed: int, epoch: int) -> FloatArray:
        """(N, 1 + num_chains) shares of the picture itself and of its chains, with the sum 1 for each picture."""
        ops.stream.rekey(seed, epoch, "augmix")
        share_NS = np.empty((len(index_N), 1 + self.num_chains))
        for share_S, index in zip(share_NS, index_N.tolist(), strict=True):
            ops.stream.seek(index)
            weight_C = ops.stream.generator.dirichlet([self.alpha] * self.num_chains)
            m = ops.stream.generator.beta(self.alpha, self.alpha)
            share_S[0], share_S[1:] = 1 - m, m * weight_C
        return share_NS

    def changed(self, chain: int, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> Pictures:
        """Copies after a chain's ops."""
        out_NHWC: Pictures = ops.copied(pictures_NHWC)
        depth_N = np.array(self.depths)[ops.integers(len(self.depths), index_N, seed, epoch, "depth", chain)]
        for position in range(max(self.depths)):
            rows_K = np.flatnonzero(depth_N > position)
            self.drawn.once(ops, out_NHWC, rows_K, index_N, "chain", chain, position, seed=seed, epoch=epoch)
        return out_NHWC

    @property
    def names(self) -> tuple[str, ...]:
        return self.drawn.names


def soft_randaugment(
    *,
    channels: int,
    num_epochs: int,
    num_ops: int,
    magnitude: float,
    final_magnitude: float | None,
    flip_probability: float,
    crop_magnitude: float,
) -> list[Step]:
    """Cubuk et al. 2020 with softer draws: the same magnitude for every op."""
    ramp = Ramp(magnitude, final_magnitude, num_epochs)
    return [*flip_and_crop(flip_probability, crop_magnitude), Drawn(_suiting(DRAWN_OPS, channels), num_ops, OneMagnitude(ramp))]


def soft_trivialaugment(*, channels: int, num_epochs: int, flip_probability: float, crop_magnitude: float) -> list[Step]:
    """Müller & Hutter 2021 with softer draws: one op at any of 31 magnitudes from 0 to 1."""
    return [*flip_and_crop(flip_probability, crop_magnitude), Drawn(_suiting(DRAWN_OPS, channels), 1, Levels(0, NUM_LEVELS - 1))]


def soft_augmix(
    *,
    channels: int,
    num_epochs: int,
    severity: int,
    num_chains: int,
    chain_depth: int,
    augmix_alpha: float,
    flip_probability: float,
    crop_magnitude: float,
) -> list[Step]:
    """Hendrycks et al. 2020 with softer draws."""
    levels = Levels(1, severity * (NUM_LEVELS - 1) // 10)
    depths = (chain_depth,) if chain_depth else DEPTHS
    return [
        *flip_and_crop(flip_probability, crop_magnitude),
        Chains(Drawn(_suiting(AUGMIX_OPS, channels), 1, levels), num_chains, depths, augmix_alpha),
    ]


def _suiting(names: Sequence[str], channels: int) -> tuple[str, ...]:
    return tuple(name for name in names if suits(name, channels))
