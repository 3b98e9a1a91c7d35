"""Initialisations and gains against torch.nn.init and against the theory that they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visiontune.models import initialise as own
from visiontune.models.activations import gain_of, leaky_relu, prelu
from visiontune.models.initialise import initialise

REFERENCES: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "he_normal": (nn.init.kaiming_normal_, {"nonlinearity": "relu"}),
    "he_uniform": (nn.init.kaiming_uniform_, {"nonlinearity": "relu"}),
    "glorot_normal": (nn.init.xavier_normal_, {}),
    "glorot_uniform": (nn.init.xavier_uniform_, {}),
    "lecun_normal": (nn.init.kaiming_normal_, {"nonlinearity": "linear"}),
    "lecun_uniform": (nn.init.kaiming_uniform_, {"nonlinearity": "linear"}),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("shape", [(16, 8), (12, 6, 5, 5)])
def test_fills_as_torch_does(name: str, shape: tuple[int, ...]) -> None:
    reference, args = REFERENCES[name]
    mine, theirs = torch.empty(shape), torch.empty(shape)
    getattr(own, name)(mine, gain_of(nn.ReLU()), seeded(5))
    reference(theirs, generator=seeded(5), **args)
    assert torch.allclose(mine, theirs, rtol=1e-5, atol=0)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.25, 1.0])
def test_gain_is_torchs(slope: float) -> None:
    assert gain_of(leaky_relu(slope)) == pytest.approx(nn.init.calculate_gain("leaky_relu", slope), abs=2e-6)
    assert gain_of(prelu(slope)) == pytest.approx(nn.init.calculate_gain("leaky_relu", slope), abs=2e-6)
    assert gain_of(nn.ReLU()) == pytest.approx(math.sqrt(2), abs=2e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_gain_of_elu_in_closed_form(alpha: float) -> None:
    def normal_cdf(z: float) -> float:
        return (1 + math.erf(z / math.sqrt(2))) / 2

    # E[(e^z - 1)^2; z < 0] for z ~ N(0, 1), by completing the square.
    negative = math.exp(2) * normal_cdf(-2) - 2 * math.exp(0.5) * normal_cdf(-1) + 0.5
    assert gain_of(nn.ELU(alpha)) == pytest.approx((0.5 + alpha**2 * negative) ** -0.5, abs=2e-6)


def moment_after_20_layers(fill: own.Fill, make: Callable[[], nn.Module]) -> float:
    """Mean square of the 20th layer's sums for a standard normal input, over three networks."""
    moments = []
    for seed in range(3):
        layers = [layer for _ in range(20) for layer in (nn.Linear(384, 384), make())]
        network = nn.Sequential(*layers[:-1])
        initialise(network, fill, gain_of(make()), seeded(seed))
        with torch.no_grad():
            moments.append(network(torch.randn(64, 384, generator=seeded(seed + 100))).square().mean().item())
    return sum(moments) / len(moments)


@pytest.mark.parametrize("make", [nn.ReLU, partial(leaky_relu, 0.1), prelu, nn.ELU])
def test_he_keeps_the_signal_through_20_layers(make: Callable[[], nn.Module]) -> None:
    fill = own.he_uniform if make is prelu else own.he_normal
    assert 0.5 < moment_after_20_layers(fill, make) / gain_of(make()) ** 2 < 2


def test_lecun_halves_the_signal_of_relu_at_each_layer() -> None:
    assert 0.5 < moment_after_20_layers(own.lecun_normal, nn.ReLU) * 2**19 < 2


def test_biases_are_zero_and_normalisation_is_neutral() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Linear(4, 2), nn.PReLU(init=0.3))
    for parameter in network.parameters():
        parameter.data.fill_(7)
    network[1].running_mean.fill_(7)
    initialise(network, own.glorot_uniform, 1.0, seeded(0))
    assert all(network[k].bias.abs().sum() == 0 for k in (0, 1, 2, 3))
    assert all((network[k].weight == 1).all() for k in (1, 2))
    assert (network[1].running_mean == 0).all() and (network[1].running_var == 1).all()
    assert network[4].weight.item() == 7  # a slope is the activation's own, not set here
