"""Every entry of MODELS x ACTIVATIONS x INITS is what its row declares; sizes and outputs against the papers and torchvision."""

from __future__ import annotations

import inspect
from itertools import pairwise

import pytest
import torch
from torch import nn

from visiontune.models.build import build_model, swap
from visiontune.spec.declare import Arg, Entry
from visiontune.spec.tables.activations import ACTIVATIONS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS

SIZES = {"num_classes": 3, "in_channels": 1, "image_size": 16}
SIZE_NAMES = {"num_classes", "in_channels", "image_size"}
SMALL = ("lenet5", "cnn")
# ResNet-18 is slow to build: it meets the plain activation and the one with a parameter, the small ones meet all.
COMBINATIONS = [(m, a, i) for m in SMALL for a in ACTIVATIONS.entries for i in INITS.entries] + [
    (m, a, "he_normal") for m in MODELS.entries if m not in SMALL for a in ("relu", "prelu")
]


def defaults(entry: Entry) -> dict[str, object]:
    return {name: arg.default for name, arg in entry.args.items() if isinstance(arg, Arg)}


def section(model: str, activation: str = "relu", init: str = "he_normal", **args: object) -> dict[str, object]:
    both = {**defaults(MODELS.entries[model]), **defaults(ACTIVATIONS.entries[activation])}
    return {"name": model, "activation": activation, "init": init, "dropout": 0.0, **both, **args}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", MODELS.entries)
def test_builder_of_a_model_takes_what_is_declared(name: str) -> None:
    entry = MODELS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key not in SIZE_NAMES} == defaults(entry)
    assert set(parameters) >= SIZE_NAMES
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()(**SIZES, no_such_argument=1)


@pytest.mark.parametrize("name", ACTIVATIONS.entries)
def test_builder_of_an_activation_takes_what_is_declared(name: str) -> None:
    entry = ACTIVATIONS.entries[name]
    parameters = inspect.signature(entry.load()).parameters
    assert {key: p.default for key, p in parameters.items() if key != "inplace"} == defaults(entry)
    with pytest.raises(TypeError, match="no_such_argument"):
        entry.load()(no_such_argument=1)


@pytest.mark.parametrize(("model", "activation", "init"), COMBINATIONS)
def test_every_entry_trains_saves_and_loads(model: str, activation: str, init: str) -> None:
    network = build_model(section(model, activation, init), **SIZES, seed=1)
    x_NCHW, y_N = torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])
    before = [parameter.detach().clone() for parameter in network.parameters()]
    nn.functional.cross_entropy(network(x_NCHW), y_N).backward()
    for parameter in network.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0
        parameter.data -= 0.1 * parameter.grad
    assert all((old != new).any() for old, new in zip(before, network.parameters(), strict=True))

    copy = build_model(section(model, activation, init), **SIZES, seed=2)
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy.eval()(x_NCHW), network.eval()(x_NCHW))


def test_lenet5_has_the_parameters_of_the_paper() -> None:
    assert count(build_model(section("lenet5"), num_classes=10, in_channels=1, image_size=32)) == 61_706
    # 28 px, as MNIST comes, is padded to the paper's 32.
    assert count(build_model(section("lenet5"), num_classes=10, in_channels=1, image_size=28)) == 61_706


@pytest.mark.parametrize("size", [*range(4, 34), 64])
def test_lenet5_takes_any_picture(size: int) -> None:
    network = build_model(section("lenet5", width=2), num_classes=5, in_channels=3, image_size=size, seed=0)
    assert network(torch.randn(2, 3, size, size)).shape == (2, 5)


@pytest.mark.parametrize(("width", "depth", "kernel"), [(4, 1, 1), (8, 3, 3), (2, 4, 5)])
def test_cnn_has_the_parameters_that_its_shape_says(width: int, depth: int, kernel: int) -> None:
    filters = [3, *(width * 2**stage for stage in range(depth))]
    convolutions = sum(kernel**2 * a * b for a, b in pairwise(filters))
    expected = convolutions + 2 * sum(filters[1:]) + filters[-1] * 10 + 10
    network = build_model(section("cnn", width=width, depth=depth, kernel_size=kernel), num_classes=10, in_channels=3, image_size=32)
    assert count(network) == expected


def test_resnet18_is_torchvisions() -> None:
    from torchvision.models import resnet18

    reference = resnet18(num_classes=7).eval()
    network = build_model(section("resnet18"), num_classes=7, in_channels=3, image_size=64).eval()
    network.load_state_dict(reference.state_dict())
    x_NCHW = torch.randn(2, 3, 64, 64)
    assert torch.allclose(network(x_NCHW), reference(x_NCHW), atol=1e-5)


def test_resnet18_sizes() -> None:
    with torch.device("meta"):
        large = build_model(section("resnet18"), num_classes=1000, in_channels=3, image_size=224)
        small = build_model(section("resnet18", stem="small"), num_classes=10, in_channels=3, image_size=32)
    assert count(large) == 11_689_512  # torchvision's documented figure
    assert count(small) == 11_173_962  # the usual CIFAR ResNet-18 (kuangliu/pytorch-cifar)


@pytest.mark.parametrize(("model", "num_places"), [("lenet5", 4), ("cnn", 3), ("resnet18", 17)])
def test_each_place_has_a_slope_of_its_own(model: str, num_places: int) -> None:
    with torch.device("meta"):
        network = build_model(section(model, "prelu", slope=0.1), **SIZES)
    slopes = [module for module in network.modules() if isinstance(module, nn.PReLU)]
    assert len({id(module.weight) for module in slopes}) == num_places
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())


def test_swap_counts_places() -> None:
    network = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), nn.Linear(1, 1)))
    assert swap(network, nn.ReLU, nn.Tanh) == 2
    assert [type(module) for module in network.modules()].count(nn.Tanh) == 2


@pytest.mark.parametrize("model", MODELS.entries)
def test_every_model_drops_before_its_classifier(model: str) -> None:
    with torch.device("meta"):
        plain, dropping = (build_model(section(model, dropout=p), **SIZES) for p in (0.0, 0.5))
    assert not any(isinstance(module, nn.Dropout) for module in plain.modules())
    assert [type(module) for module in dropping.get_submodule("fc").children()] == [nn.Dropout, nn.Linear]


def test_dropout_acts_in_training_only() -> None:
    plain, dropping = (build_model(section("lenet5", dropout=p), **SIZES, seed=0) for p in (0.0, 0.5))
    x_NCHW = torch.randn(2, 1, 16, 16)
    assert torch.equal(plain.eval()(x_NCHW), dropping.eval()(x_NCHW))
    assert not torch.equal(dropping.train()(x_NCHW), dropping(x_NCHW))


@pytest.mark.parametrize("model", SMALL)
def test_weights_are_a_function_of_recipe_and_seed(model: str) -> None:
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first = build_model(section(model), **SIZES, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(12)
    again = build_model(section(model), **SIZES, seed=3).state_dict()
    other = build_model(section(model), **SIZES, seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc.weight"], other["fc.weight"])
