"""Initialisations against torch.nn.init and against the theory that they come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from visiontune.models import initialisation as own
from visiontune.models.activation import gain_of, leaky_relu
from visiontune.models.build import build_model
from visiontune.models.initialisation import initialise
from visiontune.spec.declarations.declare import Section
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill

REFERENCES: dict[str, tuple[dict[str, Any], Callable[..., Tensor], dict[str, Any]]] = {
    "he_normal": ({}, nn.init.kaiming_normal_, {"nonlinearity": "relu"}),
    "he_uniform": ({}, nn.init.kaiming_uniform_, {"nonlinearity": "relu"}),
    "he_normal out": ({"fan": "out"}, nn.init.kaiming_normal_, {"nonlinearity": "relu", "mode": "fan_out"}),
    "he_uniform out": ({"fan": "out"}, nn.init.kaiming_uniform_, {"nonlinearity": "relu", "mode": "fan_out"}),
    "glorot_normal": ({}, nn.init.xavier_normal_, {}),
    "glorot_uniform": ({}, nn.init.xavier_uniform_, {}),
    "lecun_normal": ({}, nn.init.kaiming_normal_, {"nonlinearity": "linear"}),
    "lecun_uniform": ({}, nn.init.kaiming_uniform_, {"nonlinearity": "linear"}),
    "constant_normal": ({"init_std": 0.03}, nn.init.normal_, {"std": 0.03}),
    "constant_uniform": ({"init_std": 0.03}, nn.init.uniform_, {"a": -0.03 * 3**0.5, "b": 0.03 * 3**0.5}),
    "truncated_normal": ({"init_std": 0.03}, nn.init.trunc_normal_, {"std": 0.03, "a": -0.06, "b": 0.06}),
    "orthogonal": ({}, nn.init.orthogonal_, {"gain": math.sqrt(2)}),
}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("shape", [(16, 8), (6, 14), (12, 6, 5, 5)])
def test_fills_as_torch_does(name: str, shape: tuple[int, ...]) -> None:
    args, reference, theirs_args = REFERENCES[name]
    mine, theirs = torch.empty(shape), torch.empty(shape)
    getattr(own, name.partition(" ")[0])(mine, gain_of(nn.ReLU()), seeded(5), **args)
    reference(theirs, generator=seeded(5), **theirs_args)
    if name == "orthogonal" and shape != (16, 8):  # torch draws what is wide as its transpose: another matrix of the same kind
        mine, theirs = (weight.flatten(1) @ weight.flatten(1).T for weight in (mine, theirs))
    assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shape", "groups"), [((10, 40), 1), ((40, 10), 1), ((8, 3, 3, 3), 1), ((12, 5, 3, 3), 4), ((9, 1, 3, 3), 9)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...], groups: int) -> None:
    weight = torch.empty(shape)
    own.orthogonal(weight, 1.5, seeded(0), groups)
    for matrix in weight.flatten(1).chunk(groups):
        product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
        assert torch.allclose(product, 1.5**2 * torch.eye(len(product)), atol=1e-5)


def test_truncated_normal_has_the_bounds_and_the_variance_of_theory() -> None:
    weight = torch.empty(400, 500)
    own.truncated_normal(weight, 1.0, seeded(0), init_std=0.1)
    density, inside = math.exp(-2) / math.sqrt(2 * math.pi), math.erf(math.sqrt(2))
    assert weight.abs().max() <= 0.2
    assert weight.var().item() == pytest.approx(0.1**2 * (1 - 4 * density / inside), rel=0.015)  # four standard errors


def test_fans_of_a_grouped_convolution_are_those_of_one_group() -> None:
    weight = torch.empty(640, 1, 5, 5)  # depthwise: each unit sees 25 values and feeds 25
    for one, args, expected in (
        (own.he_normal, {"fan": "out"}, 2 / 25),
        (own.he_uniform, {"fan": "in"}, 2 / 25),
        (own.glorot_normal, {}, 1 / 25),
    ):
        one(weight, math.sqrt(2), seeded(0), 640, **args)
        assert weight.var().item() == pytest.approx(expected, rel=0.05)


# What theory says of a network of equal layers (Poole et al. 2016): sums of variance q give sums of variance
# s * E[f(sqrt(q) z)^2] in the next layer, z standard normal, where s = fan_in * Var(weight).
THEORY: list[tuple[str, dict[str, Any], Callable[[], nn.Module], Callable[[int], float]]] = [
    ("he_normal", {}, nn.ReLU, lambda n: 2),
    ("he_uniform", {}, partial(leaky_relu, a=5.5), lambda n: 2 / (1 + 1 / 5.5**2)),
    ("he_normal", {"fan": "out"}, nn.ReLU, lambda n: 2),
    ("he_normal", {}, nn.ELU, lambda n: gain_of(nn.ELU()) ** 2),
    ("he_uniform", {}, nn.GELU, lambda n: gain_of(nn.GELU()) ** 2),
    ("he_normal", {}, nn.Sigmoid, lambda n: gain_of(nn.Sigmoid()) ** 2),
    ("glorot_normal", {}, nn.Identity, lambda n: 1),
    ("glorot_uniform", {}, nn.Tanh, lambda n: 1),
    ("lecun_normal", {}, nn.SELU, lambda n: 1),
    ("lecun_uniform", {}, nn.ReLU, lambda n: 1),
    ("orthogonal", {}, nn.Tanh, lambda n: gain_of(nn.Tanh()) ** 2),
    ("constant_normal", {"init_std": 0.01}, nn.ReLU, lambda n: n * 0.01**2),
    ("constant_uniform", {"init_std": 0.01}, nn.Tanh, lambda n: n * 0.01**2),
    ("truncated_normal", {"init_std": 0.05}, nn.SiLU, lambda n: n * 0.7737413 * 0.05**2),
]


def dense(make: Callable[[], nn.Module]) -> tuple[nn.Sequential, Tensor, int]:
    layers = [layer for _ in range(20) for layer in (nn.Linear(512, 512), make())]
    return nn.Sequential(*layers[:-1]), torch.randn(32, 512, generator=seeded(100)), 512


def convolutional(make: Callable[[], nn.Module]) -> tuple[nn.Sequential, Tensor, int]:
    # Circular: zeros around the picture would weaken its border, which theory leaves out.
    layers = [layer for _ in range(20) for layer in (nn.Conv2d(96, 96, 3, padding=1, padding_mode="circular"), make())]
    return nn.Sequential(*layers[:-1]), torch.randn(8, 96, 4, 4, generator=seeded(100)), 96 * 9


def moments(network: nn.Sequential, x: Tensor) -> list[float]:
    """Mean square of each layer's sums."""
    found = []
    with torch.no_grad():
        for module in network:
            x = module(x)
            if isinstance(module, nn.Linear | nn.Conv2d):
                found.append(x.double().square().mean().item())
    return found


def carried(make: Callable[[], nn.Module], q: float) -> float:
    """E[f(sqrt(q) z)^2]."""
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    return torch.trapezoid(density * make().double()(q**0.5 * z).square(), z).item()


@pytest.mark.parametrize(("build", "tolerance"), [(dense, 0.25), (convolutional, 0.6)])
@pytest.mark.parametrize(("name", "args", "make", "strength"), THEORY, ids=lambda value: value if isinstance(value, str) else "")
def test_variance_through_20_layers_is_that_of_theory_in_each(
    build: Any, tolerance: float, name: str, args: dict[str, Any], make: Callable[[], nn.Module], strength: Callable[[int], float]
) -> None:
    network, x, fan_in = build(make)
    initialise(network, partial(getattr(own, name), **args), gain_of(make()), seeded(0))
    measured = moments(network, x)
    expected = [strength(fan_in) * carried(make, q) for q in measured]
    ratios = [measured[0] / strength(fan_in), *(now / wanted for now, wanted in zip(measured[1:], expected, strict=False))]
    # A layer's moment scatters by some 1 / sqrt(units) about what the layer before predicts; the mean of 20 much less.
    assert all(abs(math.log(ratio)) < tolerance for ratio in ratios)
    assert abs(sum(map(math.log, ratios)) / 20) < tolerance / 6


@pytest.mark.parametrize(("fill", "rate"), [(own.he_normal, 1), (own.lecun_normal, 1 / 2), (own.constant_normal, 512 * 0.01**2 / 2)])
def test_signal_of_relu_stays_halves_or_vanishes_at_the_rate_of_theory(fill: own.Fill, rate: float) -> None:
    ends = []
    for seed in range(3):
        network, x, _ = dense(nn.ReLU)
        initialise(network, fill, gain_of(nn.ReLU()), seeded(seed))
        measured = moments(network, x)
        ends.append(measured[-1] / measured[0])
    assert (sum(ends) / 3) ** (1 / 19) == pytest.approx(rate, rel=0.04)


@pytest.mark.parametrize(("fan", "rates"), [("out", (1, 1)), ("in", (1 / 3, 3))])
def test_fan_out_keeps_the_gradient(fan: str, rates: tuple[float, float]) -> None:
    """He et al. 2015, section 2.2: through a layer of n units that sees m, a gradient keeps its variance, or n / m of it with fan in."""
    sizes = [600, 200] * 6
    layers = [nn.Sequential(nn.Linear(m, n), nn.ReLU()) for m, n in pairwise(sizes)]
    initialise(nn.ModuleList(layers), partial(own.he_normal, fan=fan), gain_of(nn.ReLU()), seeded(0))
    values = [torch.randn(128, 600, generator=seeded(1), requires_grad=True)]
    for layer in layers:
        values.append(layer(values[-1]))
    gradients = torch.autograd.grad(values[-1], values, torch.randn(128, 200, generator=seeded(2)))
    steps = [before.square().mean().item() / after.square().mean().item() for before, after in pairwise(gradients)]
    for found, rate in zip((steps[::2], steps[1::2]), rates, strict=True):
        assert math.prod(found) ** (1 / len(found)) == pytest.approx(rate, rel=0.2)


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


def section(model: str, **args: object) -> dict[str, object]:
    declared = SPACE.fields["model"]
    assert isinstance(declared, Section)
    return fill(declared.fields, {"name": model, **args})


@pytest.mark.parametrize(
    ("model", "blocks", "has_activation"),
    [
        (section("resnet18", stem="small"), ["layer1.0", "layer1.1", "layer2.1", "layer4.1"], True),
        (section("resnet18", stem="small", norm="group", num_groups=4), ["layer3.1"], True),
        (section("cnn", block="residual", num_layers=2), ["stage1.1", "stage3.1"], True),
        (section("cnn", block="residual", num_layers=2, use_bottleneck=True, stochastic_depth=0.2), ["stage2.1"], True),
        (section("cnn", block="residual", num_layers=2, norm_place="after"), ["stage2.1"], False),
        (section("wideresnet", depth=16, width=1), ["group1.1", "group3.1"], False),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else "",
)
def test_with_zero_gamma_a_block_begins_as_identity(model: dict[str, object], blocks: list[str], has_activation: bool) -> None:
    network = build_model({**model, "use_zero_gamma": True}, num_classes=3, in_channels=1, image_size=32, seed=0)
    plain = build_model(model, num_classes=3, in_channels=1, image_size=32, seed=0)
    for name in blocks:
        block = network.get_submodule(name)
        channels = next(module for module in block.modules() if isinstance(module, nn.Conv2d)).in_channels
        x_NCHW = torch.randn(4, channels, 8, 8)
        assert torch.equal(block(x_NCHW), x_NCHW.relu() if has_activation else x_NCHW)
        assert not torch.allclose(plain.get_submodule(name)(x_NCHW), x_NCHW.relu() if has_activation else x_NCHW)


@pytest.mark.parametrize(
    "model",
    [
        section("resnet18", stem="small", width_factor=0.1),
        section("cnn", block="residual", width=4),
        section("cnn", block="residual", width=4, norm_place="after"),
        section("wideresnet", depth=10, width=1),
        section("wideresnet", depth=10, width=1, norm="none"),
        section("preact_resnet", num_blocks=1, width_factor=0.25),
        section("preact_resnet", num_blocks=1, width_factor=0.25, use_bottleneck=True),
    ],
    ids=lambda value: value["name"],
)
def test_with_zero_gamma_every_branch_learns(model: dict[str, object]) -> None:
    """ReLU's slope at 0 is 0: a scale of 0 before it would keep its whole branch from ever getting a gradient."""
    network = build_model({**model, "use_zero_gamma": True}, num_classes=3, in_channels=1, image_size=16, seed=0)
    x_NCHW, y_N = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(2):  # the first step moves the ends of branches, the second all that is before
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x_NCHW), y_N).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert [name for name, one in network.named_parameters() if one.grad is None or not one.grad.any()] == []


@pytest.mark.heavy
@pytest.mark.parametrize(("model", "num_blocks"), [("mobilenet_v3_small", 6), ("efficientnet_b0", 9), ("xception", 8), ("resnet50", 12)])
def test_zero_gamma_finds_the_blocks_of_torchvision_and_timm(model: str, num_blocks: int) -> None:
    network = build_model(section(model, use_zero_gamma=True, activation="published"), num_classes=3, in_channels=3, image_size=96, seed=0)
    same: list[str] = []

    def compare(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        return lambda module, args, output: same.append(name) if torch.equal(args[0], output) else None

    for name, module in network.named_modules():
        if type(module).__name__ in ("InvertedResidual", "MBConv", "Block", "Bottleneck"):
            module.register_forward_hook(compare(name))  # type: ignore[arg-type]
    network(torch.randn(2, 3, 96, 96))
    assert len(same) == num_blocks  # those without a stride or a change of width


@pytest.mark.parametrize("model", [section("lenet5"), section("cnn"), section("cnn", block="residual", norm="none")])
def test_zero_gamma_without_a_place_is_refused(model: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="use_zero_gamma needs residual branches that end in a normalisation, as those of the ResNets"):
        build_model({**model, "use_zero_gamma": True}, num_classes=3, in_channels=1, image_size=16)


def test_zero_gamma_passes_by_a_block_that_bears_a_known_name_alone() -> None:
    """timm's, and torchvision's ShuffleNet, have an InvertedResidual without a `block`."""
    bearing = type("InvertedResidual", (nn.Sequential,), {})(nn.BatchNorm2d(3))
    known = type("BasicBlock", (nn.Module,), {})()
    known.bn2 = nn.BatchNorm2d(3)
    assert own.zero_gamma(nn.Sequential(bearing, known)) == 1
    assert (bearing[0].weight == 1).all() and (known.bn2.weight == 0).all()
