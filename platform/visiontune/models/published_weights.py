"""Published weights by torchvision's and timm's own names, downloaded through them.

Only tensors are opened: both libraries are told weights_only. An unknown name, a server that can't be reached and a copy in a library's
cache that is no file of this network's tensors are three errors.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import Tensor, nn

from visiontune.errors import NotAtHand, UserError, first_line, near_names, shortened
from visiontune.spec.tables.regimes import PUBLISHED

SUFFIX = ".safetensors"
"""The only kind of weights file that is opened."""


# timm's names of what this package has from timm under a name of its own.
_FROM_TIMM = {"inception_resnet_v2": "inception_resnet_v2", "xception": "legacy_xception"}


def weights_of(transfer: Mapping[str, Any], model: Mapping[str, Any]) -> str | None:
    """The weights that resolved sections name, PUBLISHED settled: by torchvision's newest or timm's own name; None without a regime.

    Raises UserError for a network that nobody published weights of.
    """
    weights: str | None = transfer.get("weights")
    if weights != PUBLISHED:
        return weights
    name = model["name"]
    if name == "timm" or name in _FROM_TIMM:
        return timm_name(name) if name in _FROM_TIMM else str(model["model"])
    from torchvision.models import get_model_weights

    try:
        return str(next(iter(get_model_weights(model["model"] if name == "torchvision" else name))).DEFAULT)
    except (ValueError, StopIteration):
        raise UserError(f"weights: {PUBLISHED} takes what torchvision or timm have of the network, and they have none of {name}") from None


def timm_name(name: str) -> str:
    """What timm calls a network of this package's table."""
    return _FROM_TIMM.get(name, name)


def from_torchvision(weights: str) -> dict[str, Tensor]:
    """Names and tensors of a name like ResNet18_Weights.IMAGENET1K_V1. Raises UserError."""
    found = find_torchvision(weights)
    with _told(weights, _copy_of_torch(found.url)):
        tensors = _all_tensors(found.get_state_dict(progress=False, check_hash=True, weights_only=True, map_location="cpu"))
    # DenseNet's files are older than its code: denselayer1.norm.1 became denselayer1.norm1.
    return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name): tensor for name, tensor in tensors.items()}


def find_torchvision(weights: str) -> Any:
    """torchvision's own record of weights by name. Raises UserError for a name that it has not."""
    from torchvision.models import get_model_weights, get_weight, list_models

    try:
        return get_weight(weights)
    except (ValueError, KeyError, TypeError):
        known = [str(one) for model in list_models() for one in get_model_weights(model)]
        raise UserError(f"torchvision has no weights {weights!r}{near_names(weights, known)}") from None


def is_at_hand(weights: str) -> bool:
    """Whether a name of torchvision's was downloaded before, so that it loads without a connection."""
    from torchvision.models import get_weight

    return _copy_of_torch(get_weight(weights).url).is_file()


def from_timm(weights: str) -> dict[str, Tensor]:
    """Names and tensors of a name like resnet18.a1_in1k, or resnet18 for timm's default. Raises UserError."""
    import timm

    found = find_timm(weights)
    with _told(weights, *_copies_of_timm(found)), torch.random.fork_rng(devices=[]), _no_long_wait():
        network: nn.Module = timm.create_model(weights, pretrained=True)
    return dict(network.state_dict())


def find_timm(weights: str) -> Any:
    """timm's own record of weights by name. Raises UserError for a name that it has not."""
    import timm

    tagged = timm.list_pretrained()
    known = {*tagged, *(name.partition(".")[0] for name in tagged)}
    if weights not in known:
        raise UserError(f"timm has no weights {weights!r}{near_names(weights, known)}")
    return timm.get_pretrained_cfg(weights)


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


def _copy_of_torch(url: str) -> Path:
    return Path(torch.hub.get_dir(), "checkpoints", urlsplit(url).path.rpartition("/")[2])


def _copies_of_timm(found: Any) -> list[Path]:
    """Where timm looks, first the hub's folder and then torch's file."""
    from huggingface_hub import constants

    of_hub = [Path(constants.HF_HUB_CACHE, f"models--{found.hf_hub_id.replace('/', '--')}")] if found.hf_hub_id else []
    return [*of_hub, *([_copy_of_torch(found.url)] if found.url else [])]


def _all_tensors(content: Any) -> dict[str, Tensor]:
    """What a file held. Raises UnpicklingError where that is no tensors by name."""
    if not isinstance(content, Mapping) or not all(isinstance(one, Tensor) for one in content.values()):
        raise UnpicklingError("weights_only")
    return dict(content)


@contextmanager
def _told(weights: str, *copies: Path) -> Iterator[None]:
    """Raises NotAtHand for whatever libraries raise within the block."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # readers raise anything, of a file that is not theirs
        raise NotAtHand(_unusable(weights, error, *copies)) from error


def _unusable(weights: str, error: Exception, *copies: Path) -> str:
    """By what lies in the library's cache: a damaged copy is read again each time, so a connection is of no use."""
    instead = f"or give the path of a {SUFFIX} file"
    copy = next((path for path in copies if path.is_file() or any(path.glob("snapshots/*/*"))), None)
    if copy is None:
        reason = f"{type(error).__name__}: {first_line(error)}"
        return f"the weights {weights} exist, but can't be fetched here ({reason}); load them once where there is a connection, {instead}"
    rule = f"the copy of the weights {weights} that lies here {_fault(error)}"
    return f"{rule}; delete {copy} to have them loaded anew where there is a connection, {instead}"


def _fault(error: Exception) -> str:
    """Of a file. What torch says of more than tensors advises to open it all the same, and is not repeated."""
    if isinstance(error, UnpicklingError) or "weights_only" in str(error):
        return "is no file of tensors alone, and nothing else is opened"
    if "loading state_dict" in str(error):
        return "is of another network"
    return f"can't be read ({shortened(first_line(error))})"
