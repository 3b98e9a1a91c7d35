"""Activation builders that torch.nn does not offer under our argument names, and the gain of any activation."""

from __future__ import annotations

import math

import torch
from torch import nn


def leaky_relu(slope: float = 0.01) -> nn.Module:
    """x if x > 0 else slope * x; slope in [0, 1]."""
    return nn.LeakyReLU(slope)


def prelu(slope: float = 0.25) -> nn.Module:
    """Leaky ReLU with one learned slope, `slope` at first."""
    return nn.PReLU(init=slope)


def gain_of(activation: nn.Module) -> float:
    """1 / sqrt(E[f(z)^2]) for z ~ N(0, 1): the factor that keeps a layer's signal as strong as it came (He et al. 2015).

    sqrt(2) for ReLU and sqrt(2 / (1 + slope^2)) for Leaky ReLU as in torch.nn.init.calculate_gain; it holds for any activation,
    ELU too. Rounded to 6 digits, so that the order of a sum on another machine can't reach the weights.
    """
    z = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / (2 * torch.pi) ** 0.5
    with torch.no_grad():
        moment = torch.trapezoid(density * activation.double()(z).square(), z)
    return round(1 / math.sqrt(moment.item()), 6)
