"""The zoo against its sources: parameters to the digit, outputs, layer tables, stems and smallest pictures."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth
from zoo_originals import FAMILIES, TIMM, original, ours, settle

from visiontune.models.anatomy import anatomy_of
from visiontune.models.initialisation import he_normal, initialise
from visiontune.models.skip_init import Unfilled
from visiontune.spec.tables.models_zoo import ZOO_MODELS

# Where torchvision documents no figure, or another: Xception in Chollet 2017, table 3; Inception-ResNet-v2 in Keras and timm.
PUBLISHED = {"xception": 22_855_952, "inception_resnet_v2": 55_843_464, "googlenet": 13_004_888, "efficientnet": 5_288_548}


def on_meta(name: str, **args: Any) -> nn.Module:
    with torch.device("meta"):
        return ours(name, **args)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


SLOW_TO_BUILD = ["inception_resnet_v2", "densenet161", "densenet169", "densenet201", *(f"efficientnet_b{size}" for size in range(1, 8))]
"""A tenth to a quarter of a second each; another of the family is quick."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.heavy] * (name in SLOW_TO_BUILD)) for name in ZOO_MODELS])
def test_parameters_are_the_published_ones(name: str) -> None:
    from torchvision.models import get_model_weights

    counted = count(on_meta(name, num_classes=1000, image_size=224))
    documented = PUBLISHED.get(name) or next(iter(get_model_weights(name))).meta["num_params"]
    assert counted == documented
    assert name == "efficientnet" or f"{counted:,}" in ZOO_MODELS[name].doc


@pytest.mark.parametrize(("name", "plain"), [("googlenet", 6_624_904), ("inception_v3", 27_161_264 - 3_326_696)])
def test_without_auxiliary_classifiers(name: str, plain: int) -> None:
    """torchvision documents GoogLeNet without, and Inception-v3 with a head of a 1 x 1 and a 5 x 5 convolution and a dense layer."""
    assert (768 * 128 + 2 * 128) + (128 * 768 * 5 * 5 + 2 * 768) + (768 + 1) * 1000 == 3_326_696
    assert count(on_meta(name, num_classes=1000, aux_weight=0.0)) == plain
    assert f"{plain:,}" in ZOO_MODELS[name].doc
    assert anatomy_of(on_meta(name, aux_weight=0.0)).aux == () and anatomy_of(on_meta(name, aux_weight=0.2)).aux_weight == 0.2


def test_googlenet_with_its_5_x_5_has_the_parameters_of_caffes() -> None:
    """bvlc_googlenet: 6,998,552, with a bias where ours has the two parameters of batch normalisation."""
    network = on_meta("googlenet", num_classes=1000, wide_kernel=5, aux_weight=0.0)
    num_channels = sum(module.num_features for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert count(network) - num_channels == 6_998_552


def test_small_resnet18_is_the_usual_one_of_cifar() -> None:
    network = on_meta("resnet18", stem="small", num_classes=10)
    assert count(network) == 11_173_962  # kuangliu/pytorch-cifar


def test_layers_of_vgg16_are_those_of_the_paper() -> None:
    """Simonyan & Zisserman 2015, table 1, column D: (filters in, filters out) of 3 x 3 convolutions, a pool after each group."""
    groups = [
        [(3, 64), (64, 64)],
        [(64, 128), (128, 128)],
        [(128, 256), *[(256, 256)] * 2],
        [(256, 512), *[(512, 512)] * 2],
        [(512, 512)] * 3,
    ]
    network = on_meta("vgg16", num_classes=1000)
    stages = anatomy_of(network).stages
    for group, names in zip(groups, stages, strict=False):
        layers = [network.get_submodule(name) for name in names]
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        assert [(conv.in_channels, conv.out_channels) for conv in convs] == group
        assert all((conv.kernel_size, conv.stride, conv.padding) == ((3, 3), (1, 1), (1, 1)) for conv in convs)
        assert isinstance(layers[-1], nn.MaxPool2d) and (layers[-1].kernel_size, layers[-1].stride) == (2, 2)
    dense = [(layer.in_features, layer.out_features) for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert dense == [(25_088, 4096), (4096, 4096), (4096, 1000)] and len(stages) == 7


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_gives_what_the_original_gives(name: str) -> None:
    x_NCHW = torch.randn(4, 3, 64, 64)
    reference = settle(original(name), x_NCHW)
    network = ours(name).eval()
    network.load_state_dict(reference.state_dict())
    assert reference(x_NCHW).std() > 1e-3
    assert torch.allclose(network(x_NCHW), reference(x_NCHW), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "side"), [("resnet18", 4), ("densenet121", 4), ("convnext_tiny", 4), ("mobilenet_v3_small", 2), ("efficientnet", 2)]
)
def test_a_small_stem_keeps_positions(name: str, side: int) -> None:
    """The last stage of convolutions sees 32 px as 4 x 4 positions, where the large stem leaves one."""
    args = {"width_factor": 0.25, "num_classes": 3, "in_channels": 1}
    for stem, expected in (("small", side), ("large", 1)):
        network = ours(name, stem=stem, **args).eval()
        seen: list[tuple[int, ...]] = []
        network.get_submodule("avgpool").register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[0].shape[-2:]))
        with torch.no_grad():
            assert network(torch.randn(1, 1, 32, 32)).shape == (1, 3)
        assert seen == [(expected, expected)]


@pytest.mark.parametrize(("name", "smallest"), [("alexnet", 63), ("vgg11", 32)])
def test_smallest_picture_is_torchvisions(name: str, smallest: int) -> None:
    network = on_meta(name).eval()
    with torch.device("meta"):
        assert network(torch.empty(2, 3, smallest, smallest)).shape == (2, 10)
        with pytest.raises(RuntimeError, match=r"too small|size"):
            network(torch.empty(2, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "efficientnet_b0"])
def test_an_unknown_stem_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="stem must be 'small' or 'large', got 'tiny'"):
        on_meta(name, stem="tiny")


def test_stochastic_depth_grows_linearly() -> None:
    """Huang et al. 2016: block l of L is dropped with l / L of the last one's probability."""
    network = on_meta("resnet18", stochastic_depth=0.4)
    assert [m.p for m in network.modules() if isinstance(m, StochasticDepth)] == [0.4 * block / 8 for block in range(1, 9)]


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "efficientnet", "convnext_tiny"])
def test_stochastic_depth_acts_in_training_only(name: str) -> None:
    torch.manual_seed(0)
    network = ours(name, **{**FAMILIES[name], "stochastic_depth": 0.8}).eval()
    plain = ours(name, **{**FAMILIES[name], "stochastic_depth": 0.0}).eval()
    plain.load_state_dict(network.state_dict())
    x_NCHW = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x_NCHW), plain(x_NCHW))
        assert not torch.equal(network.train()(x_NCHW), plain.train()(x_NCHW))


@pytest.mark.parametrize("name", [name for name in FAMILIES if "width_factor" in FAMILIES[name]])
def test_what_is_left_unfilled_is_what_initialise_fills(name: str) -> None:
    with Unfilled():
        network = ours(name, **FAMILIES[name])
    plain = ours(name, **FAMILIES[name])
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert all((weight == 0).all() for weight in weights)
    for each in (network, plain):
        initialise(each, he_normal, 1.4, torch.Generator().manual_seed(3))
    states = (network.state_dict(), plain.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(*(state.values() for state in states), strict=True))


def test_every_doc_says_where_it_was_published() -> None:
    assert all(re.search(r"\((\w|[ .&-])+ \d{4}|with batch normalisation", entry.doc) for entry in ZOO_MODELS.values())
    assert {*TIMM, *FAMILIES} <= {*ZOO_MODELS}
