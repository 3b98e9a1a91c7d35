"""Activations against the formulas of their papers, gains against quadrature and torch, slopes against the channels they lie on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy import integrate
from torch import Tensor, nn

from visiontune.models.activation import ChannelPReLU, fit_slopes, gain_of, leaky_relu, prelu, rrelu
from visiontune.models.build import build_model
from visiontune.models.norm import ChannelsLast
from visiontune.spec.declarations.declare import Section
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.activations import ACTIVATIONS

# Klambauer et al. 2017, equation 14.
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805


def normal_cdf(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


FORMULAS: dict[str, tuple[dict[str, Any], Callable[[float], float]]] = {
    "sigmoid": ({}, lambda x: 1 / (1 + math.exp(-x))),
    "tanh": ({}, lambda x: (math.exp(x) - math.exp(-x)) / (math.exp(x) + math.exp(-x))),
    "relu": ({}, lambda x: max(0.0, x)),
    "leaky_relu": ({"a": 5.5}, lambda x: x if x > 0 else x / 5.5),
    "prelu": ({}, lambda x: x if x > 0 else 0.25 * x),
    "rrelu": ({}, lambda x: x if x > 0 else x * (1 / 8 + 1 / 3) / 2),
    "elu": ({"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * (math.exp(x) - 1)),
    "selu": ({}, lambda x: SCALE * (x if x > 0 else ALPHA * (math.exp(x) - 1))),
    "celu": ({"alpha": 0.7}, lambda x: x if x > 0 else 0.7 * (math.exp(x / 0.7) - 1)),
    "gelu": ({}, lambda x: x * normal_cdf(x)),
    "silu": ({}, lambda x: x / (1 + math.exp(-x))),
    "mish": ({}, lambda x: x * math.tanh(math.log(1 + math.exp(x)))),
    "softplus": ({"beta": 3.0}, lambda x: math.log(1 + math.exp(3 * x)) / 3),
    "hard_swish": ({}, lambda x: x * min(max(x + 3, 0), 6) / 6),
}


def section(model: str, **args: object) -> dict[str, object]:
    declared = SPACE.fields["model"]
    assert isinstance(declared, Section)
    return fill(declared.fields, {"name": model, **args})


def make(name: str) -> nn.Module:
    module: nn.Module = ACTIVATIONS.entries[name].load()(**FORMULAS[name][0])
    return module.eval()


def test_every_activation_has_a_formula_here() -> None:
    assert {*FORMULAS} == {*ACTIVATIONS.entries} - {"published"}


@pytest.mark.parametrize("name", FORMULAS)
def test_values_are_the_papers(name: str) -> None:
    x = torch.linspace(-4, 4, 33, dtype=torch.float64)
    expected = torch.tensor([FORMULAS[name][1](one) for one in x.tolist()], dtype=torch.float64)
    assert torch.allclose(make(name).double()(x), expected, atol=1e-7)


def mean_over_normal(f: Callable[[float], float]) -> float:
    return integrate.quad(lambda z: f(z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi), -12, 12, points=[-3, 0, 3], limit=200)[0]


@pytest.mark.parametrize("name", FORMULAS)
def test_gain_keeps_the_second_moment(name: str) -> None:
    formula = FORMULAS[name][1]
    assert gain_of(make(name)) == pytest.approx(mean_over_normal(lambda z: formula(z) ** 2) ** -0.5, abs=2e-6)


def test_gains_are_torchs_where_torchs_are_exact() -> None:
    assert gain_of(nn.ReLU()) == pytest.approx(nn.init.calculate_gain("relu"), abs=2e-6)
    assert gain_of(nn.Identity()) == pytest.approx(nn.init.calculate_gain("linear"), abs=2e-6)
    for slope in (0.0, 0.01, 0.25, 1.0):
        expected = nn.init.calculate_gain("leaky_relu", slope)
        assert gain_of(leaky_relu(slope)) == gain_of(prelu(slope)) == gain_of(prelu(slope, "channel")) == pytest.approx(expected, abs=2e-6)
    assert gain_of(nn.Tanh()) == pytest.approx(nn.init.calculate_gain("tanh"), rel=0.05)  # 5/3: torch's is a rule of thumb


def test_gain_of_what_acts_in_place_is_the_same() -> None:
    for kind in (nn.ReLU, nn.SiLU, nn.Hardswish, nn.ELU):
        assert gain_of(kind(inplace=True)) == gain_of(kind())


def test_selu_has_its_fixed_point_at_mean_0_and_variance_1() -> None:
    selu = FORMULAS["selu"][1]
    assert mean_over_normal(selu) == pytest.approx(0, abs=1e-7)
    assert mean_over_normal(lambda z: selu(z) ** 2) == pytest.approx(1, abs=1e-7)
    assert gain_of(nn.SELU()) == 1


def test_slope_is_one_over_a() -> None:
    x = torch.tensor([-11.0])
    assert leaky_relu(a=5.5)(x).item() == pytest.approx(-2) and leaky_relu(a=100)(x).item() == pytest.approx(-0.11)
    for wrong in (0.5, 1.0):
        with pytest.raises(ValueError, match="needs a > 1"):
            leaky_relu(a=wrong)


def test_random_slopes_are_uniform_and_follow_the_global_seed() -> None:
    x = -torch.ones(20_000)
    torch.manual_seed(3)
    slopes = -rrelu(0.1, 0.4)(x)
    assert 0.1 <= slopes.min() < 0.101 and 0.399 < slopes.max() <= 0.4
    assert slopes.mean().item() == pytest.approx(0.25, abs=0.003)  # five standard errors
    assert slopes.var().item() == pytest.approx(0.3**2 / 12, rel=0.05)
    torch.manual_seed(3)
    assert torch.equal(-rrelu(0.1, 0.4)(x), slopes)
    assert not torch.equal(-rrelu(0.1, 0.4)(x), slopes)
    with pytest.raises(ValueError, match="lower <= upper"):
        rrelu(0.4, 0.1)


class ChannelsToTheEnd(nn.Module):
    def forward(self, x_NCHW: Tensor) -> Tensor:
        return x_NCHW.movedim(1, -1)


class WithAuxiliary(nn.Module):
    """Like GoogLeNet: an auxiliary classifier in training mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 9), prelu(per="channel"))
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), prelu(per="channel"))
        self.dense = nn.Sequential(ChannelsToTheEnd(), nn.LayerNorm(4), prelu(per="channel"), nn.Linear(4, 8), prelu(per="channel"))

    def forward(self, x_NCHW: Tensor) -> Any:
        x_NCHW = self.body(x_NCHW)
        x_NHWC = self.dense(x_NCHW)
        return (x_NHWC, self.aux(x_NCHW)) if self.training else x_NHWC


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_slopes_are_as_many_as_the_channels_and_lie_on_their_axis(device: str) -> None:
    with torch.device(device):
        network = WithAuxiliary()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network.body.eval()
    fit_slopes(network, in_channels=1, image_size=4)  # 4 px: as many positions as channels, so that the sizes alone say nothing
    slopes = {name: (module.num_parameters, module.axis) for name, module in network.named_modules() if isinstance(module, ChannelPReLU)}
    assert slopes == {"body.2": (4, 1), "dense.2": (4, -1), "dense.4": (8, -1), "aux.3": (9, 1)}
    assert network.training and network.aux.training and not network.body.training
    if device == "cpu":
        assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
    assert all(parameter.device.type == device for parameter in network.parameters())


@pytest.mark.parametrize(("model", "channels"), [("lenet5", [6, 16, 120, 84]), ("cnn", [32, 64, 128])])
def test_networks_have_a_slope_for_each_channel(model: str, channels: list[int]) -> None:
    built = section(model, activation="prelu", per="channel", slope=0.1)
    network = build_model(built, num_classes=3, in_channels=1, image_size=16, seed=0)
    slopes = [module.weight for module in network.modules() if isinstance(module, nn.PReLU)]
    assert [len(slope) for slope in slopes] == channels and all((slope == 0.1).all() for slope in slopes)


def test_a_slope_for_each_channel_is_torchs_prelu() -> None:
    own, x_NCHW = ChannelPReLU(5), torch.randn(2, 5, 5, 5)
    own.weight.data = torch.rand(5)
    expected = torch.where(x_NCHW > 0, x_NCHW, own.weight.view(1, 5, 1, 1) * x_NCHW)
    assert torch.equal(own(x_NCHW), expected)
    own.axis = -1
    assert torch.equal(own(x_NCHW.movedim(1, -1)), expected.movedim(1, -1))


def test_a_norm_on_channels_last_tells_where_channels_are() -> None:
    network = nn.Sequential(nn.Conv2d(1, 6, 1), ChannelsToTheEnd(), ChannelsLast(nn.BatchNorm2d(6)), prelu(per="channel"))
    fit_slopes(network, in_channels=1, image_size=6)
    assert isinstance(network[3], ChannelPReLU) and network[3].axis == -1
