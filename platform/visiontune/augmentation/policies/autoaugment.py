"""AutoAugment (Cubuk et al. 2019): sub-policies of two ops, of which each picture gets one, all equally likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.policy_steps import Chance, Ramp, Step, flip_and_crop
from visiontune.spec.tables.policies import NUM_SUBS


@dataclass(frozen=True)
class OneOf:
    """One of the sub-policies for each picture; each of its ops is then applied with its own probability."""

    subs: tuple[tuple[Chance, ...], ...]

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        which_N = ops.integers(len(self.subs), index_N, seed, epoch, "sub")
        for number, sub in enumerate(self.subs):
            mine_K = np.flatnonzero(which_N == number)
            for position, op in enumerate(sub):
                rows_K = mine_K[ops.uniforms(index_N[mine_K], seed, epoch, "sub", position) < op.probability]
                ops.apply(op.name, op.magnitude.at(epoch), pictures_NHWC, rows_K, index_N, seed, epoch, position)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(op.name for sub in self.subs for op in sub)


@dataclass(frozen=True)
class Published:
    """torchvision's AutoAugment picture by picture, its draws keyed; torch's own random numbers stay as they were."""

    transform: Any
    names: tuple[str, ...] = ("torchvision's AutoAugment",)

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        import torch

        ops.stream.rekey(seed, epoch, "autoaugment")
        before = torch.get_rng_state()
        for picture_HWC, index in zip(pictures_NHWC, index_N.tolist(), strict=True):
            ops.stream.seek(index)
            torch.default_generator.manual_seed(int(ops.stream.generator.integers(1 << 63)))
            picture_HWC[:] = self.transform(torch.from_numpy(picture_HWC).permute(2, 0, 1)).permute(1, 2, 0).numpy()
        torch.set_rng_state(before)


def autoaugment(*, channels: int, num_epochs: int, flip_probability: float, crop_magnitude: float, **args: Any) -> list[Step]:
    """The searched sub-policies. One that never changes a picture is drawn as often as the others, unless none ever does."""
    subs = tuple(tuple(_chance(args, sub, position) for position in (1, 2)) for sub in range(1, NUM_SUBS + 1))
    steps: list[Step] = [*flip_and_crop(flip_probability, crop_magnitude)]
    return steps if all(op.is_nothing for sub in subs for op in sub) else [*steps, OneOf(subs)]


def autoaugment_published(*, channels: int, num_epochs: int, preset: str, flip_probability: float, crop_magnitude: float) -> list[Step]:
    """The policies that the paper found, as torchvision writes them down, with its ops and their magnitudes."""
    from torchvision.transforms import v2

    return [*flip_and_crop(flip_probability, crop_magnitude), Published(v2.AutoAugment(v2.AutoAugmentPolicy(preset)))]


def _chance(args: dict[str, Any], sub: int, position: int) -> Chance:
    name, probability, magnitude = (args[f"sub{sub}_{what}{position}"] for what in ("op", "probability", "magnitude"))
    return Chance(name, probability, Ramp(magnitude))
