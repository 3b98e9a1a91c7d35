"""Initialisations of convolutions and linear layers, from an explicit generator.

Each fills weight_OI.. (output units first, then inputs, then the kernel) in place. `gain` is the activation's, used by He's
only: Glorot's and LeCun's are defined without one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

Fill = Callable[[Tensor, float, Generator], None]


def he_normal(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance gain^2 / fan_in (He et al. 2015)."""
    weight.normal_(0.0, gain * _fans(weight)[0] ** -0.5, generator=generator)


def he_uniform(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance gain^2 / fan_in, uniform."""
    _uniform(weight, gain * _fans(weight)[0] ** -0.5, generator)


def glorot_normal(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    weight.normal_(0.0, (2 / sum(_fans(weight))) ** 0.5, generator=generator)


def glorot_uniform(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance 2 / (fan_in + fan_out), uniform."""
    _uniform(weight, (2 / sum(_fans(weight))) ** 0.5, generator)


def lecun_normal(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance 1 / fan_in (LeCun et al. 1998, "Efficient BackProp")."""
    weight.normal_(0.0, _fans(weight)[0] ** -0.5, generator=generator)


def lecun_uniform(weight: Tensor, gain: float, generator: Generator) -> None:
    """Variance 1 / fan_in, uniform."""
    _uniform(weight, _fans(weight)[0] ** -0.5, generator)


@torch.no_grad()
def initialise(network: nn.Module, fill: Fill, gain: float, generator: Generator) -> None:
    """Fill every convolution and linear layer; biases 0, normalisation 1 and 0. Other parameters stay as built."""
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            fill(module.weight, gain, generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, _NormBase | nn.GroupNorm | nn.LayerNorm):
            module.reset_parameters()


def _fans(weight: Tensor) -> tuple[int, int]:
    kernel = weight[0, 0].numel()
    return weight.shape[1] * kernel, weight.shape[0] * kernel


def _uniform(weight: Tensor, std: float, generator: Generator) -> None:
    bound = 3**0.5 * std  # a uniform of half-width b has variance b^2 / 3
    weight.uniform_(-bound, bound, generator=generator)
