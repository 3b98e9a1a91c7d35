"""Mixing of whole batches on the device: x_NCHW float, as the preprocessing gives it, and y_N int64.

What a batch gets is drawn by numpy from (seed, step), so that it is the same on any device and after a resume. Partners are
neighbours on one random cycle through the batch, as torchvision's MixUp and CutMix take them from a shuffled loader: no
picture is mixed with itself. One share is drawn for the whole batch, as there. Inputs are left as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.augmentation.to_device import to_device
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.tables.mixings import MIXINGS


@dataclass(frozen=True)
class Mixed:
    """Labels of pictures made of two: `share` of each is of class y_N, 1 - share of class other_N."""

    y_N: Tensor
    other_N: Tensor
    share: float


Targets = Tensor | Mixed
Batch = tuple[Tensor, Targets]
Mix = Callable[[Tensor, Tensor, np.random.Generator], Batch]
Mixing = Callable[[Tensor, Tensor, int], Batch]

ERASED_AREA, ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""Ranges of a box's share of the picture's area, and of its height by its width; torchvision's defaults."""
_NUM_TRIES = 10
# Set apart from the keys of shuffles, (seed, epoch), and of balanced orders, (seed, epoch, 1).
_MIXING = 2
_NEED_PICTURES = ("cutmix", "alternate", "random_erasing")
_FEATURES = "frozen stages hand on features that were computed once"
_NEED_PAIRS = ("mixup", "cutmix", "alternate")


def build_mixing(augmentation: Mapping[str, Any], seed: int) -> Mixing:
    """(x_NCHW, y_N, step) -> the mixed batch and its targets; `step` counts from the start of training."""
    entry, args = chosen(MIXINGS, augmentation, "mixing")
    if not entry.builder:
        return unmixed
    mix: Mix = entry.load()(**args)
    return lambda x_NCHW, y_N, step: mix(x_NCHW, y_N, np.random.default_rng([seed, step, _MIXING]))


def unmixed(x_NCHW: Tensor, y_N: Tensor, step: int) -> Batch:
    """The batch as it is."""
    return x_NCHW, y_N


def problem_of_mixing(augmentation: Mapping[str, Any], *, batch_size: int, use_features: bool) -> str | None:
    """Why batches of this size can't be mixed so, as one sentence; None if they can.

    `use_features` says that batches are outputs of frozen stages, which stand for whole pictures.
    """
    name = augmentation["mixing"]
    if name in _NEED_PAIRS and batch_size < 2:
        return f"augmentation.mixing {name} needs two pictures in a batch, but training.batch_size is {batch_size}; nearest is 2"
    if use_features and name != "random_erasing" and augmentation.get("erasing_probability", 0.0) > 0:
        return f"augmentation.erasing_probability {augmentation['erasing_probability']:g} cuts boxes out of pictures, but {_FEATURES}"
    if name in _NEED_PICTURES and use_features:
        rule = f"augmentation.mixing {name} cuts boxes out of pictures, but {_FEATURES}"
        return f"{rule}; mixup works on features, or train all stages"
    return None


def split_targets(targets: Targets, num: int) -> list[Targets]:
    """Targets of `num` micro-batches, as torch.tensor_split divides the batch."""
    if isinstance(targets, Tensor):
        return list(targets.tensor_split(num))
    pairs = zip(targets.y_N.tensor_split(num), targets.other_N.tensor_split(num), strict=True)
    return [Mixed(y_N, other_N, targets.share) for y_N, other_N in pairs]


def mixup(*, mixup_alpha: float, mixing_probability: float, erasing_probability: float = 0.0) -> Mix:
    """share * x + (1 - share) * partner, on pictures or on features of any shape."""

    def mix(x_NCHW: Tensor, y_N: Tensor, generator: np.random.Generator) -> Batch:
        if generator.random() >= mixing_probability:
            return x_NCHW, y_N
        partner_N = to_device(_partners(len(y_N), generator), y_N.device)
        share = generator.beta(mixup_alpha, mixup_alpha)
        return blended(x_NCHW, partner_N, share), Mixed(y_N, y_N[partner_N], share)

    return _after_erasing(mix, erasing_probability)


def cutmix(*, cutmix_alpha: float, mixing_probability: float, erasing_probability: float = 0.0) -> Mix:
    """A box of the partner at the partner's own place; the share is that of the pixels that are left."""

    def mix(x_NCHW: Tensor, y_N: Tensor, generator: np.random.Generator) -> Batch:
        if generator.random() >= mixing_probability:
            return x_NCHW, y_N
        partner_N = to_device(_partners(len(y_N), generator), y_N.device)
        height, width = x_NCHW.shape[-2:]
        box = cut_box(generator.beta(cutmix_alpha, cutmix_alpha), height, width, generator)
        top, left, bottom, right = box
        share = 1 - (bottom - top) * (right - left) / (height * width)
        return pasted(x_NCHW, partner_N, box), Mixed(y_N, y_N[partner_N], share)

    return _after_erasing(mix, erasing_probability)


def alternate(
    *, mixup_alpha: float, cutmix_alpha: float, cutmix_share: float, mixing_probability: float, erasing_probability: float = 0.0
) -> Mix:
    """One of the two for each batch."""
    kinds = (
        mixup(mixup_alpha=mixup_alpha, mixing_probability=mixing_probability),
        cutmix(cutmix_alpha=cutmix_alpha, mixing_probability=mixing_probability),
    )

    def mix(x_NCHW: Tensor, y_N: Tensor, generator: np.random.Generator) -> Batch:
        return kinds[generator.random() < cutmix_share](x_NCHW, y_N, generator)

    return _after_erasing(mix, erasing_probability)


def random_erasing(*, erasing_probability: float) -> Mix:
    """Boxes drawn for each picture by itself, as torchvision's RandomErasing draws them picture by picture."""

    def erase(x_NCHW: Tensor, y_N: Tensor, generator: np.random.Generator) -> Batch:
        num, (height, width) = len(y_N), x_NCHW.shape[-2:]
        chosen_N = generator.random(num) < erasing_probability
        box_N4 = erased_boxes(num, height, width, generator) * chosen_N[:, np.newaxis]
        return blanked(x_NCHW, to_device(box_N4, x_NCHW.device)), y_N

    return erase


def _after_erasing(mix: Mix, erasing_probability: float) -> Mix:
    """Boxes are erased before pictures are mixed, as timm's loader does it; nothing is drawn for none."""
    if erasing_probability == 0:
        return mix
    erase = random_erasing(erasing_probability=erasing_probability)
    return lambda x_NCHW, y_N, generator: mix(erase(x_NCHW, y_N, generator)[0], y_N, generator)


def blended(x_NCHW: Tensor, partner_N: Tensor, share: float) -> Tensor:
    """`share` of each picture and 1 - share of its partner."""
    return torch.lerp(x_NCHW[partner_N], x_NCHW, share)  # indexing keeps channels_last, index_select does not


def pasted(x_NCHW: Tensor, partner_N: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """The partner's pixels inside (top, left, bottom, right)."""
    top, left, bottom, right = box
    out_NCHW = x_NCHW.clone()
    out_NCHW[..., top:bottom, left:right] = x_NCHW[..., top:bottom, left:right][partner_N]
    return out_NCHW


def blanked(x_NCHW: Tensor, box_N4: Tensor) -> Tensor:
    """0 inside each picture's (top, left, bottom, right)."""
    top_N1, left_N1, bottom_N1, right_N1 = box_N4[:, :, np.newaxis].unbind(1)
    row_H, column_W = (torch.arange(size, device=x_NCHW.device) for size in x_NCHW.shape[-2:])
    high_NH = (row_H >= top_N1) & (row_H < bottom_N1)
    wide_NW = (column_W >= left_N1) & (column_W < right_N1)
    return x_NCHW.clone().masked_fill_(high_NH[:, np.newaxis, :, np.newaxis] & wide_NW[:, np.newaxis, np.newaxis, :], 0.0)


def cut_box(share: float, height: int, width: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of about 1 - share of the area, about a uniform centre, cut off at the edges."""
    x, y = int(generator.integers(width)), int(generator.integers(height))
    side = 0.5 * math.sqrt(1 - share)
    half_width, half_height = int(side * width), int(side * height)
    return max(y - half_height, 0), max(x - half_width, 0), min(y + half_height, height), min(x + half_width, width)


def erased_boxes(num: int, height: int, width: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """(num, 4) of (top, left, bottom, right): the first of ten tries that is smaller than the picture; else an empty box."""
    area_NT = height * width * generator.uniform(*ERASED_AREA, (num, _NUM_TRIES))
    lowest, highest = map(math.log, ERASED_RATIO)
    ratio_NT = np.exp(generator.uniform(lowest, highest, (num, _NUM_TRIES)))
    sides_2NT = np.rint(np.sqrt([area_NT * ratio_NT, area_NT / ratio_NT])).astype(np.int64)
    fits_NT = (sides_2NT[0] < height) & (sides_2NT[1] < width)
    box_height_N, box_width_N = sides_2NT[:, np.arange(num), fits_NT.argmax(1)] * fits_NT.any(1)
    top_N, left_N = generator.integers(0, height - box_height_N + 1), generator.integers(0, width - box_width_N + 1)
    return np.stack([top_N, left_N, top_N + box_height_N, left_N + box_width_N], 1)


def _partners(num: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Each picture's partner: the one before it on a random cycle."""
    order_N = generator.permutation(num)
    partner_N = np.empty(num, np.int64)
    partner_N[order_N] = np.roll(order_N, 1)
    return partner_N
