"""timm's own policies by the strings that its recipes name: its ops on Pillow's pictures, one by one, their draws keyed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.policy_steps import Step, flip_and_crop

_MEAN = (124, 116, 104)
"""ImageNet's colour, with which timm fills what is moved out of a picture."""
_GREY_MEAN = 117


@dataclass(frozen=True)
class ByTimm:
    """What timm's loader makes with the string; Python's and numpy's global random numbers, of which timm draws, stay as they were."""

    auto_augment: str
    channels: int

    def __call__(self, ops: Ops, pictures_NHWC: Pictures, index_N: IntArray, *, seed: int, epoch: int) -> None:
        from PIL import Image

        transform = transform_of_string(self.auto_augment, pictures_NHWC.shape[1], self.channels)
        ops.stream.rekey(seed, epoch, "timm")
        before, numpys_before = random.getstate(), np.random.get_state()
        for picture_HWC, index in zip(pictures_NHWC, index_N.tolist(), strict=True):
            ops.stream.seek(index)
            seed_of_picture = int(ops.stream.generator.integers(1 << 32))
            random.seed(seed_of_picture)
            np.random.seed(seed_of_picture)
            picture = Image.fromarray(picture_HWC if self.channels == 3 else picture_HWC[..., 0])
            picture_HWC[:] = np.asarray(transform(picture)).reshape(picture_HWC.shape)
        random.setstate(before)
        np.random.set_state(numpys_before)

    @property
    def names(self) -> tuple[str, ...]:
        return (f"timm's {self.auto_augment}",)


@lru_cache
def transform_of_string(auto_augment: str, image_size: int, channels: int) -> Any:
    """timm's transform, with the arguments that its create_transform gives."""
    from timm.data import auto_augment as timms

    hparams: dict[str, Any] = {"translate_const": int(image_size * 0.45), "img_mean": _MEAN if channels == 3 else _GREY_MEAN}
    if auto_augment.startswith("rand"):
        transform = timms.rand_augment_transform(auto_augment, hparams)
        ops = transform.ops
    elif auto_augment.startswith("augmix"):
        transform = timms.augment_and_mix_transform(auto_augment, {**hparams, "translate_pct": 0.3})
        ops = transform.ops
    else:
        transform = timms.auto_augment_transform(auto_augment, hparams)
        ops = [op for sub in transform.policy for op in sub]
    for op in ops:
        op.aug_fn = _posterized if op.aug_fn is timms.posterize else op.aug_fn
    return transform


def _posterized(picture: Any, bits_to_keep: int, **kwargs: Any) -> Any:
    """At its strongest timm keeps no bits, which is black; Pillow 13 refuses to do that."""
    from PIL import Image
    from timm.data.auto_augment import posterize

    return posterize(picture, bits_to_keep) if bits_to_keep > 0 else Image.new(picture.mode, picture.size)


def timm(*, channels: int, num_epochs: int, auto_augment: str, flip_probability: float, crop_magnitude: float) -> list[Step]:
    """timm's policy by its string."""
    return [*flip_and_crop(flip_probability, crop_magnitude), ByTimm(auto_augment, channels)]
