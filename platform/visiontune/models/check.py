"""Whether a network fits a picture, found on torch's meta device: shapes only, no memory, no arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn

from visiontune.models.build import build_model, swap
from visiontune.spec.declare import chosen
from visiontune.spec.tables.models import MODELS

_LARGEST = 1024


def problem_of(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: int, batch_size: int = 2) -> str | None:
    """Why this model section can't be trained on such pictures, with the smallest that work; None if it can.

    A batch of one is a case of its own: batch normalisation needs two values for each channel.
    """
    args = chosen(MODELS, model, "name")[1]
    # Activation, initialisation and dropout change no shape: leaving them out makes most corners of a space one look-up.
    return _problem(model["name"], tuple(args.items()), num_classes, in_channels, image_size, min(batch_size, 2))


def num_parameters(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: int) -> int:
    """Parameters of the network, counted without making it; 4 bytes each, and as much again for gradient and each moment."""
    with torch.device("meta"):
        network = build_model(model, num_classes=num_classes, in_channels=in_channels, image_size=image_size)
    return sum(parameter.numel() for parameter in network.parameters())


@lru_cache(maxsize=1024)
def _problem(name: str, args: tuple[tuple[str, Any], ...], num_classes: int, in_channels: int, image_size: int, batch: int) -> str | None:
    said = ", ".join(f"{key}={value}" for key, value in args)

    def failure(size: int) -> str | None:
        return _failure(name, args, num_classes, in_channels, size, batch)

    reason = failure(image_size)
    if reason is None:
        return None
    works = next((size for size in _doubled(image_size) if failure(size) is None), None)
    if works is None:
        return f"{name} ({said}) can't be trained on pictures of {image_size} px: {reason}"
    fails = works // 2
    while works - fails > 1:
        middle = (works + fails) // 2
        works, fails = (middle, fails) if failure(middle) is None else (works, middle)
    alone = " in batches of one" if batch == 1 else ""
    return f"{name} ({said}) is too deep for pictures of {image_size} px{alone}; the smallest that work have {works} px"


def _doubled(size: int) -> list[int]:
    return [size << k for k in range(1, 11) if size << k <= _LARGEST]


def _failure(name: str, args: tuple[tuple[str, Any], ...], num_classes: int, in_channels: int, size: int, batch: int) -> str | None:
    try:
        with torch.device("meta"), torch.no_grad():
            network = MODELS.entries[name].load()(num_classes=num_classes, in_channels=in_channels, image_size=size, **dict(args))
            _strip(network, batch)
            network(torch.empty(batch, in_channels, size, size))
    except (RuntimeError, ValueError) as error:
        return str(error).partition("\n")[0]
    return None


def _strip(network: nn.Module, batch: int) -> None:
    """Leave out or replace what can't fail: on the meta device arithmetic with a number imports torch's compiler, 1.5 s."""
    swap(network, nn.ReLU, nn.Identity)
    swap(network, nn.AdaptiveAvgPool2d, partial(nn.AdaptiveMaxPool2d, 1))
    if batch > 1:
        swap(network, nn.BatchNorm2d, nn.Identity)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_parameter("bias", None)
