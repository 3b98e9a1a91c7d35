"""Published weights by torchvision's and timm's own names, downloaded through them.

Only tensors are opened: both libraries are told weights_only. An unknown name and a server that can't be reached are two errors.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from visiontune.errors import UserError, first_line, near_names

SUFFIX = ".safetensors"
"""The only kind of weights file that is opened."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = (0.5, 0.5, 0.5)
# torchvision rescales the pictures of these inside the network (transform_input), from ImageNet's scale to theirs.
_ON_HALVES = ("GoogLeNet_Weights", "Inception_V3_Weights")


def from_torchvision(weights: str) -> dict[str, Tensor]:
    """Names and tensors of a name like ResNet18_Weights.IMAGENET1K_V1. Raises UserError."""
    from torchvision.models import get_model_weights, get_weight, list_models

    try:
        found = get_weight(weights)
    except (ValueError, KeyError, TypeError):
        known = [str(one) for model in list_models() for one in get_model_weights(model)]
        raise UserError(f"torchvision has no weights {weights!r}{near_names(weights, known)}") from None
    try:
        tensors = found.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise UserError(_unreachable(weights, error)) from error
    # DenseNet's files are older than its code: denselayer1.norm.1 became denselayer1.norm1.
    renamed = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name): tensor for name, tensor in tensors.items()}
    return renormalised(renamed, _HALF, _HALF) if weights.startswith(_ON_HALVES) else renamed


def is_at_hand(weights: str) -> bool:
    """Whether a name of torchvision's was downloaded before, so that it loads without a connection."""
    from torchvision.models import get_weight

    return Path(torch.hub.get_dir(), "checkpoints", urlsplit(get_weight(weights).url).path.rpartition("/")[2]).is_file()


def from_timm(weights: str) -> dict[str, Tensor]:
    """Names and tensors of a name like resnet18.a1_in1k, or resnet18 for timm's default. Raises UserError."""
    import timm

    tagged = timm.list_pretrained()
    known = {*tagged, *(name.partition(".")[0] for name in tagged)}
    if weights not in known:
        raise UserError(f"timm has no weights {weights!r}{near_names(weights, known)}")
    try:
        with torch.random.fork_rng(devices=[]), _no_long_wait():
            network: nn.Module = timm.create_model(weights, pretrained=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise UserError(_unreachable(weights, error)) from error
    made_for: Any = network.pretrained_cfg
    return renormalised(network.state_dict(), made_for["mean"], made_for["std"])


def renormalised(tensors: dict[str, Tensor], mean_C: Sequence[float], std_C: Sequence[float]) -> dict[str, Tensor]:
    """Weights made for pictures scaled by (mean, std), fitted to pictures scaled by ImageNet's as nearly all others are.

    Scale and shift move into the first convolution and what follows it; exact but for the zeros around padded pictures.
    """
    mean, std, new_mean, new_std = (torch.tensor(values) for values in (mean_C, std_C, *_IMAGENET))
    name = next((name for name, tensor in tensors.items() if tensor.ndim == 4), None)
    if name is None or tensors[name].shape[1] != 3 or (torch.equal(mean, new_mean) and torch.equal(std, new_std)):
        return tensors
    weight_OIHW = tensors[name]
    shift_O = torch.einsum("oihw,i->o", weight_OIHW, (new_mean - mean) / std)
    behind = list(tensors)[list(tensors).index(name) :]
    bias = name.removesuffix("weight") + "bias"
    moved = {name: weight_OIHW * (new_std / std).view(1, 3, 1, 1)}
    if bias in tensors:
        return {**tensors, **moved, bias: tensors[bias] + shift_O}
    running_mean = next((name for name in behind if name.endswith("running_mean")), None)
    return {**tensors, **moved, running_mean: tensors[running_mean] - shift_O} if running_mean else tensors


@contextmanager
def _no_long_wait() -> Iterator[None]:
    """Use the hub's cache alone where its host name can't be resolved: its client would retry for 47 s."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        constants.HF_HUB_OFFLINE = before or not getproxies()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _unreachable(weights: str, error: Exception) -> str:
    reason = first_line(error)
    return (
        f"the weights {weights} exist, but can't be fetched here ({type(error).__name__}: {reason}); "
        f"load them once where there is a connection, or give the path of a {SUFFIX} file"
    )
