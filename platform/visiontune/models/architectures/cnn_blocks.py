"""The blocks of which the plain network is made: one convolution with its norm and activation, and what is built out of it.

Contract: x_NCHW -> y_NCHW. Every activation and norm is a module of its own. With padding "valid" a convolution gives fewer
positions than it got; then what is added or joined is first cropped to the smallest, about the centre.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from visiontune.models.dropout import branch_drop


@dataclass(frozen=True)
class Style:
    """What all convolutions of a network have in common. `num_groups` counts for grouped convolutions only.

    padding: same, valid. convolution: plain, grouped, separable. norm_place: before or after the activation. With num_pieces above 1
    maxout stands for the activation; with a squeeze_ratio above 0 each block ends in squeeze-and-excitation.
    """

    kernel_size: int = 3
    dilation: int = 1
    padding: str = "same"
    convolution: str = "plain"
    num_groups: int = 1
    norm_place: str = "before"
    use_bottleneck: bool = False
    num_pieces: int = 1
    squeeze_ratio: int = 0


def side_after(side: int, style: Style, kernel: int, stride: int = 1) -> int:
    """Positions in each direction that a convolution leaves of `side`; 0 or less where the picture is too small for it."""
    lost = style.dilation * (kernel - 1) if style.padding == "valid" else 0
    return (side - lost - 1) // stride + 1


def convolution(in_channels: int, out_channels: int, style: Style, kernel: int, stride: int = 1) -> nn.Module:
    """A convolution without bias; 1 x 1 ones are always plain.

    Separable: one filter for each channel, then 1 x 1 with nothing in between (Chollet 2017): 1/N + 1/k^2 of the plain cost.
    Grouped: as many groups as divide both numbers of channels, `num_groups` at most (Krizhevsky et al. 2012).
    """
    padding = style.dilation * (kernel // 2) if style.padding == "same" else 0

    def conv(inputs: int, outputs: int, groups: int) -> nn.Conv2d:
        return nn.Conv2d(inputs, outputs, kernel, stride, padding, style.dilation, groups, bias=False)

    if kernel == 1 or style.convolution == "plain":
        return conv(in_channels, out_channels, 1)
    if style.convolution == "grouped":
        common = math.gcd(in_channels, out_channels)
        return conv(in_channels, out_channels, max(n for n in range(1, style.num_groups + 1) if common % n == 0))
    pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(OrderedDict(depthwise=conv(in_channels, in_channels, in_channels), pointwise=pointwise))


def unit(
    in_channels: int, out_channels: int, style: Style, *, kernel: int | None = None, stride: int = 1, use_activation: bool = True
) -> nn.Sequential:
    """Convolution, norm and activation, or convolution, activation and norm where the style puts the norm after."""
    wide = out_channels * style.num_pieces if use_activation else out_channels
    parts = {
        "conv": convolution(in_channels, wide, style, kernel or style.kernel_size, stride),
        "norm": nn.BatchNorm2d(wide if style.norm_place == "before" else out_channels),
    }
    if use_activation:
        parts["act"] = activation(style.num_pieces)
    order = ("conv", "norm", "act") if style.norm_place == "before" else ("conv", "act", "norm")
    return nn.Sequential(OrderedDict((name, parts[name]) for name in order if name in parts))


def activation(num_pieces: int) -> nn.Module:
    """ReLU, or maxout of that many pieces."""
    return nn.ReLU() if num_pieces == 1 else Maxout(num_pieces)


class Maxout(nn.Module):
    """The largest of `num_pieces` linear maps, whose channels come one map after the other (Goodfellow et al. 2013)."""

    def __init__(self, num_pieces: int) -> None:
        super().__init__()
        self.num_pieces = num_pieces

    def forward(self, x: Tensor) -> Tensor:
        """(N, C / num_pieces, ...)."""
        return reduce(torch.maximum, x.chunk(self.num_pieces, dim=1))


def squeeze(channels: int, style: Style) -> list[nn.Module]:
    """Squeeze-and-excitation (Hu et al. 2018), or nothing: channels times gates that see their means over the whole picture.

    Imported only where it is asked for, as torchvision's operations bring torch's compiler along.
    """
    if style.squeeze_ratio == 0:
        return []
    from torchvision.ops import SqueezeExcitation

    return [SqueezeExcitation(channels, max(1, channels // style.squeeze_ratio))]


def units(in_channels: int, filters: int, style: Style, *, stride: int = 1, is_last_linear: bool = False) -> nn.Sequential:
    """One k x k unit; as a bottleneck 1 x 1 to a quarter of the filters, k x k, and 1 x 1 back up (He et al. 2016)."""
    if not style.use_bottleneck:
        return nn.Sequential(unit(in_channels, filters, style, stride=stride, use_activation=not is_last_linear))
    narrow = _quarter(filters)
    return nn.Sequential(
        unit(in_channels, narrow, style, kernel=1),
        unit(narrow, narrow, style, stride=stride),
        unit(narrow, filters, style, kernel=1, use_activation=not is_last_linear),
    )


class Residual(nn.Module):
    """x + body(x), then the activation (He et al. 2016, version 1); with the norm after activations none follows the sum.

    Where width or size change, x goes through a 1 x 1 convolution and a norm. With the body's last norm at weight 0 a block of
    the same width and size gives act(x). `drop_probability` is the chance to leave the body out (Huang et al. 2016).
    """

    last_norm = "body"  # the branch that use_zero_gamma lets begin as nothing

    def __init__(self, in_channels: int, filters: int, style: Style, *, stride: int = 1, drop_probability: float = 0.0) -> None:
        super().__init__()
        is_first = style.norm_place == "before"
        body = units(in_channels, filters, style, stride=stride, is_last_linear=is_first and style.use_bottleneck)
        if not style.use_bottleneck:
            body.append(unit(filters, filters, style, use_activation=not is_first))
        body.extend([*squeeze(filters, style), *([branch_drop(drop_probability)] if drop_probability else [])])
        self.body = body
        is_same = in_channels == filters and stride == 1
        self.shortcut = nn.Identity() if is_same else unit(in_channels, filters, style, kernel=1, stride=stride, use_activation=False)
        self.act = nn.ReLU() if is_first else nn.Identity()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, filters, H, W), H and W divided by the stride."""
        inner, shortcut = centre_crops((self.body(x_NCHW), self.shortcut(x_NCHW)))
        y_NCHW: Tensor = self.act(inner + shortcut)
        return y_NCHW


class Joined(nn.Module):
    """All branches see x; what they give is joined, channel after channel."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The channels of all branches in their order."""
        return torch.cat(centre_crops(branch(x_NCHW) for branch in self.branches.values()), dim=1)


def dense_layer(in_channels: int, filters: int, style: Style) -> Joined:
    """x and `filters` new channels made of it (Huang et al. 2017); a bottleneck first takes x to a quarter of the filters."""
    layers = [unit(in_channels, filters, style)]
    if style.use_bottleneck:
        layers = [unit(in_channels, _quarter(filters), style, kernel=1), unit(_quarter(filters), filters, style)]
    return Joined({"old": nn.Identity(), "new": nn.Sequential(*layers, *squeeze(filters, style))})


def inception(
    in_channels: int, style: Style, *, one: int, three: tuple[int, int], five: tuple[int, int], pool: int, stride: int = 1
) -> Joined:
    """GoogLeNet's module (Szegedy et al. 2015, figure 2): filters 1 x 1, k x k and (k + 2) x (k + 2) side by side, and 3 x 3 max pooling.

    `three` and `five` are (1 x 1 filters before it, filters); 0 before it leaves the reduction out. A `pool` of 0 passes the
    pooled channels on as they are: with all three 0 this is the naive form.
    """

    def branch(reduced: int, filters: int, kernel: int) -> nn.Sequential:
        first = [unit(in_channels, reduced, style, kernel=1)] if reduced else []
        return nn.Sequential(*first, unit(reduced or in_channels, filters, style, kernel=kernel, stride=stride))

    pooled: list[nn.Module] = [nn.MaxPool2d(3, stride, padding=1 if style.padding == "same" else 0)]
    return Joined(
        {
            "one": branch(0, one, 1),
            "three": branch(*three, style.kernel_size),
            "five": branch(*five, style.kernel_size + 2),
            "pool": nn.Sequential(*pooled, *([unit(in_channels, pool, style, kernel=1)] if pool else [])),
        }
    )


def inception_of(in_channels: int, filters: int, style: Style, *, stride: int = 1) -> Joined:
    """An Inception module that gives `filters` channels in the proportions of GoogLeNet's 3a, which it is at 256.

    Without a bottleneck its wide filters see all channels. Raises ValueError below 4 filters: each branch has one at least.
    """
    if filters < 4:
        raise ValueError(f"an Inception block needs 4 filters or more, one for each branch, but has {filters}")
    one, narrow = filters // 4, max(1, filters // 8)
    reduced = (max(1, filters * 3 // 8), max(1, filters // 16)) if style.use_bottleneck else (0, 0)
    three, five = (reduced[0], filters - one - 2 * narrow), (reduced[1], narrow)
    return inception(in_channels, style, one=one, three=three, five=five, pool=narrow, stride=stride)


def centre_crops(tensors: Iterable[Tensor]) -> list[Tensor]:
    """The centre of each x_NCHW, all as large as the smallest of them."""
    given = list(tensors)
    height, width = (min(x_NCHW.shape[axis] for x_NCHW in given) for axis in (-2, -1))
    return [x_NCHW if x_NCHW.shape[-2:] == (height, width) else _centre(x_NCHW, height, width) for x_NCHW in given]


def _centre(x_NCHW: Tensor, height: int, width: int) -> Tensor:
    top, left = (x_NCHW.shape[-2] - height) // 2, (x_NCHW.shape[-1] - width) // 2
    return x_NCHW[..., top : top + height, left : left + width]


def _quarter(filters: int) -> int:
    return max(1, filters // 4)
