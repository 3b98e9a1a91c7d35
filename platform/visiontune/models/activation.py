"""Activation builders beside those that are torch.nn's own classes, and the gain of any activation."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from visiontune.models.norm import ChannelsLast, is_channels_last
from visiontune.spec.declarations.image_size import ImageSize, sides

ACTIVATION_TYPES: tuple[type[nn.Module], ...] = (
    *(nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU),
    *(nn.GELU, nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish),
)


def is_timms_activation(module: nn.Module) -> bool:
    """Whether it is one of the few that timm has beside torch's, such as GELUTanh."""
    return type(module).__module__.startswith("timm.layers.activations")


def sigmoid() -> nn.Module:
    """1 / (1 + exp(-x))."""
    return nn.Sigmoid()


def tanh() -> nn.Module:
    """Hyperbolic tangent."""
    return nn.Tanh()


def leaky_relu(slope: float = 0.01, a: float = 0.0) -> nn.Module:
    """x if x > 0 else slope * x; with an `a` above 1 the slope is 1 / a (Xu et al. 2015). Raises ValueError for an a in (0, 1]."""
    if 0 < a <= 1:
        raise ValueError(f"leaky_relu needs a > 1 (its slope is 1 / a), or 0 to give the slope itself, but got a={a}")
    return nn.LeakyReLU(1 / a if a else slope)


def prelu(slope: float = 0.25, per: str = "layer") -> nn.Module:
    """Leaky ReLU with a learned slope, `slope` at first: one for each layer, or for each channel (`fit_slopes`). Raises ValueError."""
    if per not in ("layer", "channel"):
        raise ValueError(f"per must be 'layer' or 'channel', got {per!r}")
    return nn.PReLU(init=slope) if per == "layer" else ChannelPReLU(init=slope)


def rrelu(lower: float = 1 / 8, upper: float = 1 / 3) -> nn.Module:
    """Leaky ReLU, each element's slope drawn from U(lower, upper) while training, in eval mode their mean (Xu et al. 2015).

    As torch has it: the paper draws a from U(3, 8) and takes 1 / a, so that its slope in eval mode is 1 / 5.5 and not 0.229.
    Raises ValueError for lower above upper.
    """
    if lower > upper:
        raise ValueError(f"rrelu needs lower <= upper, but got lower={lower}, upper={upper}")
    return nn.RReLU(lower, upper)


def softplus(beta: float = 1.0) -> nn.Module:
    """log(1 + exp(beta * x)) / beta."""
    return nn.Softplus(beta)


class ChannelPReLU(nn.PReLU):
    """PReLU with a slope for each channel of `axis` of its input; it has one slope until `fit_slopes` has counted the channels."""

    axis = 1

    def forward(self, x: Tensor) -> Tensor:
        """nn.PReLU along `axis`; torch's own knows channels along axis 1 only."""
        return super().forward(x) if self.axis == 1 else super().forward(x.movedim(-1, 1)).movedim(1, -1)


def fit_slopes(network: nn.Module, in_channels: int, image_size: ImageSize) -> None:
    """Give every ChannelPReLU a slope for each channel that reaches it, seen in a forward pass of an empty batch."""
    slopes = [module for module in network.modules() if isinstance(module, ChannelPReLU)]
    if not slopes:
        return
    seen: dict[ChannelPReLU, int] = {}
    is_last = False  # whether the latest layer gave channels as the last axis

    def before(slope: ChannelPReLU, args: tuple[Any, ...]) -> None:
        slope.axis = -1 if is_last and args[0].ndim > 2 else 1
        seen[slope] = args[0].shape[slope.axis]

    def after(layer: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        nonlocal is_last
        is_last = isinstance(layer, nn.Linear | ChannelsLast) or is_channels_last(layer)

    layers = [module for module in network.modules() if isinstance(module, _LAYERS)]
    hooks = [slope.register_forward_pre_hook(before) for slope in slopes] + [layer.register_forward_hook(after) for layer in layers]
    _pass_nothing(network, in_channels, image_size)
    for hook in hooks:
        hook.remove()
    for slope, channels in seen.items():
        slope.num_parameters = channels
        slope.weight = nn.Parameter(slope.weight.new_full((channels,), slope.init))


def _pass_nothing(network: nn.Module, in_channels: int, image_size: ImageSize) -> None:
    """A forward pass of an empty batch.

    It is in training mode, so that it visits auxiliary heads; normalisation is not, as it would note the statistics of nothing.
    """
    modes = {module: module.training for module in network.modules()}
    for module in network.modules():
        module.training = not isinstance(module, _NormBase)
    # One number in place of each weight, for networks without memory: on the meta device itself, arithmetic imports torch's compiler.
    stand_ins = {name: torch.zeros((), device="cpu").expand(tensor.shape) for name, tensor in network.state_dict().items()}
    with torch.no_grad(), torch.device("cpu"):
        functional_call(network, stand_ins, (torch.empty(0, in_channels, *sides(image_size)),))
    for module, mode in modes.items():
        module.training = mode


_LAYERS = (nn.Linear, _ConvNd, _NormBase, nn.GroupNorm, nn.LayerNorm, ChannelsLast)


def gain_of(activation: nn.Module) -> float:
    """1 / sqrt(E[f(z)^2]) for z ~ N(0, 1): the factor that keeps a layer's signal as strong as it came (He et al. 2015).

    sqrt(2) for ReLU and sqrt(2 / (1 + slope^2)) for Leaky ReLU as in torch.nn.init.calculate_gain; it holds for any activation:
    1 for SELU, whose constants are made for it. torch's 5/3 for tanh is a rule of thumb (1.5929 here). RReLU counts with its mean slope.
    PReLU counts with its first slope. Rounded to 6 digits, so that the order of a sum on another machine can't reach the weights.
    """
    z = torch.linspace(-10, 10, 20_001, dtype=torch.float64, device="cpu")
    function = nn.LeakyReLU(activation.init) if isinstance(activation, nn.PReLU) else copy.deepcopy(activation).double().eval()
    density = torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
    with torch.no_grad():
        moment = torch.trapezoid(density * function(z.clone()).square(), z)  # a copy: it may act in place
    return round(1 / math.sqrt(moment.item()), 6)
