"""Steps of policies: named ops by chance, ops drawn out of a set, sub-policies of which each picture gets one.

Sections of a recipe become tuples of these, which hold plain values alone: `Ops` builds and applies the transforms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures, has_magnitude


class Step(Protocol):
    """One step of a policy. `names` are the ops that it may apply."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        """Change pictures in place."""


@dataclass(frozen=True)
class Ramp:
    """A magnitude that goes linearly from the first epoch's to the last one's; `last` None: it stays."""

    first: float
    last: float | None = None
    num_epochs: int = 1

    def at(self, epoch: int) -> float:
        """The magnitude in an epoch, counted from 1; before the first and after the last epoch that of the nearest one."""
        if self.last is None or self.num_epochs == 1:
            return self.first
        done = min(max((epoch - 1) / (self.num_epochs - 1), 0.0), 1.0)
        return (1 - done) * self.first + done * self.last

    @property
    def is_nothing(self) -> bool:
        """Whether it is 0 throughout."""
        return self.first == 0 and not (self.last and self.num_epochs > 1)


@dataclass(frozen=True)
class Chance:
    """One named op, which each picture gets with `probability`."""

    name: str
    probability: float
    magnitude: Ramp = Ramp(1.0)

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        rows_K = np.flatnonzero(ops.uniforms(index_N, seed, epoch, self.name) < self.probability)
        ops.apply(self.name, self.magnitude.at(epoch), pictures_NHWC, rows_K, index_N, seed, epoch)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def is_nothing(self) -> bool:
        """Whether it never changes a picture."""
        return self.probability == 0 or (has_magnitude(self.name) and self.magnitude.is_nothing)


def flip_and_crop(flip_probability: float, crop_magnitude: float) -> list[Chance]:
    """What papers do to every picture before their ops: mirror images, and crops out of padded pictures."""
    steps = [Chance("HorizontalFlip", flip_probability), Chance("PadAndCrop", 1.0, Ramp(crop_magnitude))]
    return [step for step in steps if not step.is_nothing]
