"""Preprocessing as pretrained weights had it: what torchvision and timm state for theirs, and what a file of visiontune's holds.

A library's file beside its config.json, as timm's lie on the Hugging Face hub, counts as timm's own statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visiontune.errors import UserError
from visiontune.filesystem.json_text import from_json
from visiontune.models.pretrained import open_tensors
from visiontune.models.published_weights import SUFFIX, find_timm, find_torchvision
from visiontune.spec.declarations.image_size import ImageSize, image_size, pixels, sides
from visiontune.training.input.preprocessing import Preprocessing, Scaling, Whitening
from visiontune.training.weights_file import PREPROCESSING, split_weights

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

# torchvision's builders rescale pictures inside these networks (transform_input), from ImageNet's scale to halves; ours don't.
_ON_HALVES = ("GoogLeNet_Weights", "Inception_V3_Weights")
_HALVES = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Stated:
    """What weights were trained on: mean and deviation of values in [0, 1], their size, and how pictures came to that size."""

    mean_C: tuple[float, ...]
    std_C: tuple[float, ...]
    image_size: ImageSize
    interpolation: str


def as_pretrained(store: Store, channels: int, *, weights: str) -> Scaling | Whitening:
    """What the weights' pictures went through, for pictures of the store's size. Raises UserError where it isn't known or can't be had.

    Grey pictures before weights of three channels are scaled by the means of mean and deviation over the channels.
    """
    found = stated(weights)
    if isinstance(found, Stated):
        mean_C, std_C = (_fitted(torch.tensor(values), channels, weights) for values in (found.mean_C, found.std_C))
        return _scaling(1 / (255 * std_C), mean_C / std_C, store)
    if isinstance(found, Whitening):
        if found.mean_HWC.shape != (*store.images_NHWC.shape[1:3], channels):
            had = " x ".join(map(str, found.mean_HWC.shape))
            rule = f"the weights {weights} saw whitened pictures of {had}, and a whitening fits no other size"
            raise UserError(f"{rule}; write preprocessing: {{name: standardize}}")
        return found
    std_C = 1 / (255 * found.scale_WC[0])
    mean_C = _fitted(found.shift_WC[0] * std_C, channels, weights)
    std_C = _fitted(std_C, channels, weights)
    return _scaling(1 / (255 * std_C), mean_C / std_C, store)


def stated(weights: str) -> Stated | Scaling | Whitening:
    """By the weights' source or file; no picture and no tensor of the network is read. Raises UserError."""
    if weights.endswith(SUFFIX):
        return _in_file(weights)
    if "_Weights" in weights:
        transforms = find_torchvision(weights).transforms()
        mean, std = (_HALVES, _HALVES) if weights.startswith(_ON_HALVES) else (transforms.mean, transforms.std)
        return Stated(tuple(mean), tuple(std), int(transforms.crop_size[0]), transforms.interpolation.value)
    return _of_timm(find_timm(weights).to_dict())


def size_doubt(weights: str, given: ImageSize) -> str | None:
    """What to say where pictures are of another size than the weights'; None where they are not, or nothing is known."""
    try:
        found = stated(weights)
    except UserError:
        return None  # told elsewhere
    size, how = (found.image_size, f" ({found.interpolation})") if isinstance(found, Stated) else (found.image_size, "")
    if size == given:
        return None
    trained = f"the weights {weights} were trained on pictures of {pixels(size)} px{how}"
    asked = size if isinstance(size, int) else [*size]
    return f"{trained}, and these have {pixels(given)}; data.image_size={asked} is theirs"


def _in_file(weights: str) -> Stated | Scaling | Whitening:
    with open_tensors(weights) as file:
        held = {name: file.get_tensor(name) for name in file.keys() if name.startswith(PREPROCESSING)}  # noqa: SIM118
    if held:
        return Preprocessing.of(split_weights(held)[1]).values
    beside = Path(weights).with_name("config.json")
    try:
        return _of_timm(from_json(beside.read_bytes())["pretrained_cfg"])
    except (OSError, ValueError, KeyError, TypeError):
        sought = f"no {PREPROCESSING}*, no config.json of timm's beside them"
        rule = f"the weights {weights} do not say how their pictures were scaled ({sought})"
        raise UserError(f"{rule}; write preprocessing: {{name: standardize}}") from None


def _of_timm(stated: dict[str, Any]) -> Stated:
    return Stated(tuple(stated["mean"]), tuple(stated["std"]), image_size(stated["input_size"][1:]), str(stated["interpolation"]))


def _fitted(values_C: Tensor, channels: int, weights: str) -> Tensor:
    if len(values_C) == channels:
        return values_C
    if channels == 1:
        return values_C.mean(0, keepdim=True)
    raise UserError(f"the weights {weights} were trained on pictures of {len(values_C)} channel, and these have {channels}")


def _scaling(scale_C: Tensor, shift_C: Tensor, store: Store) -> Scaling:
    height, width = sides(store.image_size)
    return Scaling(scale_C.float().repeat(width, 1), shift_C.float().repeat(width, 1), height)
