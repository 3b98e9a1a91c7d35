"""A network cut after its frozen stages, and what the frozen part gives, kept between trials.

The frozen part's outputs for a picture never change while a trial runs, nor between trials that freeze the same weights. So
they are computed once and take the pixels' place: `tail(body(x)) == network(x)`.
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator

import torch
from torch import Tensor, nn

from visiontune.models.anatomy import anatomy_of, replace

Tensors = tuple[Tensor, ...]
_CACHE_BYTES = {"cpu": 256 << 20, "cuda": 4 << 30}


class Body(nn.Module):
    """The frozen stages one after the other, always in evaluation mode and without gradients: x_NCHW -> their features."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.train(False)

    def train(self, mode: bool = True) -> Body:
        """Evaluation mode, whatever is asked for: statistics stay, nothing is dropped."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def digest(self) -> str:
        """16 hex digits of what it computes: structure, settings and weights."""
        sha = hashlib.sha256()
        for name, module in self.named_modules():
            sha.update(f"{name} {type(module).__qualname__} {sorted(_settings(module))}".encode())
        for name, tensor in self.state_dict().items():
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        return sha.hexdigest()[:16]


def split_network(network: nn.Module, num_groups: int) -> tuple[Body | None, nn.Module]:
    """The first `num_groups` stages and the tail after them; both share parameters and buffers with the network, but no module.

    Move the network to its device before: afterwards they would no longer share buffers. 0 groups, and a network that is no chain of
    stages, give (None, network).
    """
    if num_groups == 0 or not anatomy_of(network).is_chain:
        return None, network
    body, tail = (_copy_sharing_tensors(network) for _ in range(2))
    names = [name for group in anatomy_of(network).stages[:num_groups] for name in group]
    for name in names:
        replace(tail, name, lambda _: nn.Identity())
    return Body([body.get_submodule(name) for name in names]), tail


def _copy_sharing_tensors(network: nn.Module) -> nn.Module:
    """A copy of the modules on the same parameters and buffers."""
    return copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})


def _settings(module: nn.Module) -> Iterator[str]:
    """Numbers and words that a module holds beside its tensors: strides, slopes, eps."""
    for name, value in vars(module).items():
        if name != "training" and isinstance(value, bool | int | float | str | tuple):
            yield f"{name}={value}"
        elif callable(value) and hasattr(value, "__qualname__"):
            yield f"{name}={value.__qualname__}"


_KEPT: OrderedDict[Hashable, Tensors] = OrderedDict()


def cached(key: Hashable, make: Callable[[], Tensors]) -> Tensors:
    """What an earlier call of this process made under an equal key, else make(). The least recently used are dropped above a limit.

    The limit is 256 MiB on a CPU, 4 GiB on a GPU; what alone is larger is not kept. `key` must hold everything that the tensors depend
    on: digests of store, preprocessing and body, the rows, and the device.
    """
    if key in _KEPT:
        _KEPT.move_to_end(key)
        return _KEPT[key]
    made = make()
    limit = _CACHE_BYTES.get(made[0].device.type, 0)
    if _num_bytes(made) <= limit:
        while _KEPT and _num_bytes(made) + sum(_num_bytes(kept) for kept in _KEPT.values()) > limit:
            _KEPT.popitem(last=False)
        _KEPT[key] = made
    return made


def _num_bytes(tensors: Tensors) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def kept_bytes(device_type: str) -> int:
    """What is kept between trials on such a device."""
    return sum(_num_bytes(kept) for kept in _KEPT.values() if kept[0].device.type == device_type)


def forget() -> None:
    """Keep nothing any more: the memory is needed."""
    _KEPT.clear()
