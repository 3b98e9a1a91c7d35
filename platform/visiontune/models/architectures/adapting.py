"""What the builders of torchvision's and timm's networks have in common.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. Parameters have the names of torchvision and timm, so that
published weights load where the stem is large and every factor 1. A network is a sequence of modules: what the originals do by
function (activations, flattening) is a module here, so that it can be replaced, cut off and counted. A network has no dropout but
where one of its arguments says so.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from visiontune.models.anatomy import replace

STEMS = ("large", "small")


class Branched(nn.Sequential):
    """Parts one after the other; an auxiliary classifier stands behind the part that it reads and gives its scores in training only."""

    def __init__(self, parts: Mapping[str, nn.Module], aux: Collection[str]) -> None:
        super().__init__(OrderedDict(parts))
        self.aux = tuple(aux)

    def forward(self, x_NCHW: Tensor) -> Any:
        """logits_NK in eval mode; in training a tuple of them and the logits_NK of each auxiliary classifier."""
        return self.run(dict(self.named_children()), x_NCHW)

    def run(self, parts: Mapping[str, Callable[[Any], Any]], x_NCHW: Tensor) -> Any:
        """What `forward` gives, by these parts in place of its own; an auxiliary classifier is known by its name."""
        x, scores = x_NCHW, []
        for name, part in parts.items():
            if name not in self.aux:
                x = part(x)
            elif self.training:
                scores.append(part(x))
        return (x, *scores) if scores else x


class ConvUnit(nn.Sequential):
    """torchvision's BasicConv2d, and timm's ConvNormAct in its Inception networks, with the activation as a module."""

    def __init__(self, in_channels: int, out_channels: int, **conv: Any) -> None:
        parts = {
            "conv": nn.Conv2d(in_channels, out_channels, bias=False, **conv),
            "bn": nn.BatchNorm2d(out_channels, eps=0.001),
            "act": nn.ReLU(inplace=True),
        }
        super().__init__(OrderedDict(parts))


def chain(network: nn.Module, names: Iterable[str], aux: Collection[str] = ()) -> nn.Sequential:
    """The network's children of these names one after the other; `avgpool` and `flatten` are made, where it has none."""
    made = {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    parts = OrderedDict((name, getattr(network, name, None) or made[name]) for name in names)
    return Branched(parts, aux) if aux else nn.Sequential(parts)


def fit_stem(network: nn.Module, conv: str, in_channels: int, stem: str = "large", pools: Iterable[str] = ()) -> None:
    """Let the first convolution see `in_channels`; a small stem makes it 3 x 3, stride 1, and leaves out `pools`. Raises ValueError."""
    if stem not in STEMS:
        raise ValueError(f"stem must be 'small' or 'large', got {stem!r}")
    replace(network, conv, partial(_first, in_channels=in_channels, is_small=stem == "small"))
    for pool in pools if stem == "small" else ():
        replace(network, pool, lambda _: nn.Identity())


def scaled(filters: int, factor: float) -> int:
    """Filters times a width factor, at least one."""
    return max(1, round(filters * factor))


def repeated(num_layers: int, factor: float) -> int:
    """Layers times a depth factor, rounded up (Tan & Le 2019)."""
    return math.ceil(num_layers * factor)


def instances(network: nn.Module, kind: type[nn.Module] | tuple[type[nn.Module], ...]) -> tuple[str, ...]:
    """Dotted names of the modules of a kind, in their order."""
    return tuple(name for name, module in network.named_modules() if isinstance(module, kind))


def grouped(sequence: nn.Module, prefix: str, is_last: Callable[[nn.Module], bool]) -> list[tuple[str, ...]]:
    """Dotted names of a sequence's parts, in groups that each end with a part for which `is_last` is true."""
    groups: list[tuple[str, ...]] = [()]
    for name, part in sequence.named_children():
        groups[-1] += (f"{prefix}.{name}",)
        if is_last(part):
            groups.append(())
    return [group for group in groups if group]


def _first(old: nn.Module, in_channels: int, is_small: bool) -> nn.Module:
    assert isinstance(old, nn.Conv2d)
    if in_channels == old.in_channels and not is_small:
        return old
    kernel, stride, padding = (3, 1, 1) if is_small else (old.kernel_size, old.stride, old.padding)
    return nn.Conv2d(in_channels, old.out_channels, kernel, stride, padding, bias=old.bias is not None)  # type: ignore[arg-type]
