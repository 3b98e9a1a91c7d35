"""Normalisations by number of channels, and how one kind replaces another in a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.models.anatomy import replace

NORM_TYPES = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def batch(num_channels: int) -> nn.Module:
    """Over batch and positions, each channel by itself (Ioffe & Szegedy 2015)."""
    return nn.BatchNorm2d(num_channels)


def group(num_channels: int, num_groups: int = 32) -> nn.Module:
    """Over positions and the channels of a group (Wu & He 2018); as many groups as divide the channels, at most `num_groups`."""
    groups = next(number for number in range(min(num_groups, num_channels), 0, -1) if num_channels % number == 0)
    return nn.GroupNorm(groups, num_channels)


def layer(num_channels: int) -> nn.Module:
    """Over channels and positions of each picture (Ba et al. 2016), with a scale and a shift for each channel: one group."""
    return nn.GroupNorm(1, num_channels)


def none(num_channels: int) -> nn.Module:
    """No normalisation. Convolutions that had one after them have no bias, and get none."""
    return nn.Identity()


class ChannelsLast(nn.Module):
    """A normalisation of x_NCHW applied to x whose channels come last: x_NHWC, x_NLC or x_NC."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Same shape as x."""
        if x.ndim == 2:
            return self.norm(x[:, :, None, None])[:, :, 0, 0]  # type: ignore[no-any-return]
        if x.ndim == 3:  # tokens: N, L, C
            return self.norm(x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)  # type: ignore[no-any-return]
        return self.norm(x.movedim(-1, 1)).movedim(1, -1)  # type: ignore[no-any-return]


def is_channels_last(module: nn.Module) -> bool:
    """Whether it is a layer norm over the last axis; those of torchvision and timm with 2d in their names take x_NCHW."""
    return isinstance(module, nn.LayerNorm) and "2d" not in type(module).__name__


def swap_norm(network: nn.Module, make: Callable[[int], nn.Module], heads: Collection[str] = ()) -> int:
    """Replace every normalisation by make(channels); gives their number.

    A network that has none gets one after each convolution but those under `heads`. An activation that a normalisation
    carries with it (timm's BatchNormAct2d) stays behind the new one.
    """
    places = [(name, module) for name, module in network.named_modules() if isinstance(module, NORM_TYPES)]
    for name, old in places:
        new = make(_channels(old))
        if type(new) is nn.BatchNorm2d and isinstance(old, _BatchNorm):
            continue  # it has its own already, perhaps with a momentum of its own
        replace(network, name, lambda old, new=new: _like(old, new))  # type: ignore[misc]
    if places:
        return len(places)
    bare = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d) and not _under(name, heads)]
    for name, conv in bare:
        after = make(conv.out_channels)
        replace(network, name, lambda conv, after=after: nn.Sequential(OrderedDict(conv=conv, norm=after)))  # type: ignore[misc]
    return len(bare)


def _like(old: nn.Module, new: nn.Module) -> nn.Module:
    if is_channels_last(old) and not isinstance(new, nn.Identity):
        new = ChannelsLast(new)
    act = getattr(old, "act", None)
    return new if act is None else nn.Sequential(OrderedDict(norm=new, act=act))


def _channels(norm: nn.Module) -> int:
    if isinstance(norm, nn.LayerNorm):
        return int(norm.normalized_shape[-1])
    return norm.num_channels if isinstance(norm, nn.GroupNorm) else int(norm.num_features)  # type: ignore[arg-type]


def _under(name: str, prefixes: Collection[str]) -> bool:
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)
