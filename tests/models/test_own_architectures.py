"""Networks written here: sizes of the papers, layer by layer, outputs of others' implementations, and the contract of stages."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import timm
import torch
from torch import nn
from zoo_originals import settle

from visiontune.models.anatomy import anatomy_of, replace
from visiontune.models.architectures import preact_resnet as preact
from visiontune.models.architectures.alexnet_2012 import alexnet_2012
from visiontune.models.architectures.lenet import lenet5
from visiontune.models.architectures.mobilenet import mobilenet_v1
from visiontune.models.architectures.nin import nin
from visiontune.models.architectures.wideresnet import PreActivation, wideresnet
from visiontune.models.architectures.zfnet import LocalContrast, zfnet
from visiontune.spec.tables.models_own import OWN_MODELS


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def sides(network: nn.Module, size: int, kinds: tuple[type[nn.Module], ...]) -> list[int]:
    """Positions in each direction after every layer of these kinds."""
    seen: list[int] = []
    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda module, args, y: seen.append(y.shape[-1]))
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size))
    return seen


SMALL: list[tuple[Any, dict[str, Any]]] = [
    (lenet5, {}),
    (zfnet, {"stem": "small", "width_factor": 0.05}),
    (zfnet, {"stem": "large", "width_factor": 0.05}),
    (alexnet_2012, {"stem": "small", "width_factor": 0.05}),
    (alexnet_2012, {"stem": "large", "width_factor": 0.05}),
    (nin, {"width_factor": 0.1}),
    (preact.preact_resnet, {"num_blocks": 2, "use_bottleneck": True, "width_factor": 0.2}),
    (preact.preact_resnet50, {"width_factor": 0.05, "depth_factor": 0.4, "stochastic_depth": 0.3}),
    (mobilenet_v1, {"width_factor": 0.1, "stem": "small"}),
    (wideresnet, {"depth": 10, "width": 1}),
    (wideresnet, {"depth": 16, "width": 2, "stem": "large", "inner_dropout": 0.3, "stochastic_depth": 0.5}),
]


@pytest.mark.parametrize(("build", "args"), SMALL)
def test_stages_and_what_is_left_are_the_network(build: Any, args: dict[str, Any]) -> None:
    network = build(num_classes=5, in_channels=3, image_size=64, **args).eval()
    inner, tail = torch.randn(2, 3, 64, 64), copy.deepcopy(network)
    logits = network(inner)
    for group in anatomy_of(network).stages:
        for name in group:
            inner = network.get_submodule(name)(inner)
            replace(tail, name, lambda _: nn.Identity())
        assert torch.equal(tail(inner), logits)
    head = network.get_submodule(anatomy_of(network).head)
    assert logits.shape == (2, 5) and head.weight.shape[0] == 5
    assert anatomy_of(network).head not in {name for group in anatomy_of(network).stages for name in group}


@pytest.mark.parametrize(
    ("depth", "width", "millions"),
    [(40, 1, 0.6), (40, 2, 2.2), (40, 4, 8.9), (40, 8, 35.7), (28, 10, 36.5), (28, 12, 52.5), (22, 8, 17.2), (16, 8, 11.0), (16, 10, 17.1)],
)
def test_wide_resnets_have_the_parameters_of_the_papers_table(depth: int, width: int, millions: float) -> None:
    with torch.device("meta"):
        network = wideresnet(num_classes=10, in_channels=3, image_size=32, depth=depth, width=width)
    assert round(count(network) / 1e6, 1) == millions
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) == depth - 3  # the linear layer and three 1 x 1 shortcuts make up the rest
    assert sides(wideresnet(num_classes=2, in_channels=3, image_size=32, depth=10, width=1), 32, (PreActivation,)) == [32, 16, 8]


def test_pre_activation_block_is_that_of_the_paper() -> None:
    block = PreActivation(4, 4, stride=1, inner_dropout=0.0, drop_probability=0.0)
    x_NCHW = torch.randn(3, 4, 6, 6)
    inner = block.body.conv1(torch.relu(block.norm1(x_NCHW)))
    expected = x_NCHW + block.body.conv2(torch.relu(block.body.norm2(inner)))
    assert torch.allclose(block(x_NCHW), expected, atol=1e-6)
    nn.init.zeros_(block.body.conv2.weight)
    assert torch.equal(block(x_NCHW), x_NCHW)


def test_a_wide_resnets_depth_must_be_6n_plus_4() -> None:
    with pytest.raises(ValueError, match="6 n \\+ 4, such as 16, 22 or 28, got 20"):
        wideresnet(num_classes=2, in_channels=1, image_size=32, depth=20)


def test_zfnet_has_the_layers_of_the_papers_figure() -> None:
    with torch.device("meta"):
        assert count(zfnet(num_classes=1000, in_channels=3, image_size=224)) == 62_357_608
    thin = zfnet(num_classes=10, in_channels=3, image_size=224, width_factor=0.05)
    assert sides(thin, 224, (nn.Conv2d,)) == [110, 26, 13, 13, 13]
    assert sides(thin, 224, (nn.MaxPool2d,))[-3:] == [55, 13, 6]
    with pytest.raises(ValueError, match=r"52 px .* too small"):
        zfnet(num_classes=10, in_channels=3, image_size=52)


def test_zfnets_small_stem_leaves_something_of_small_pictures() -> None:
    network = zfnet(num_classes=10, in_channels=3, image_size=32, stem="small", width_factor=0.05)
    assert sides(network, 32, (nn.Conv2d,)) == [32, 16, 8, 8, 8]
    assert network.get_submodule("fc6").in_features == 13 * 3 * 3


def test_responses_are_normalised_by_the_papers_formula() -> None:
    """Section 3.3 of Krizhevsky et al. 2012, in which the sum is no mean; of responses so large that it counts."""
    x_NCHW = 30 * torch.randn(2, 12, 3, 3)
    sums = [x_NCHW[:, max(0, at - 2) : at + 3].square().sum(1) for at in range(12)]
    torch.testing.assert_close(LocalContrast()(x_NCHW), x_NCHW / (2 + 1e-4 * torch.stack(sums, 1)) ** 0.75)


def test_alexnet_of_2012_has_the_layers_of_the_paper() -> None:
    """Krizhevsky et al. 2012, figure 2 (150,528-dimensional input, 55 x 55 positions), and Caffe's count of the parameters."""
    with torch.device("meta"):
        whole = alexnet_2012(num_classes=1000, in_channels=3, image_size=224)
    assert count(whole) == 60_965_224
    convolutions = [(m.in_channels // m.groups, m.out_channels, m.kernel_size[0]) for m in whole.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [(3, 96, 11), (48, 256, 5), (256, 384, 3), (192, 384, 3), (192, 256, 3)]
    thin = alexnet_2012(num_classes=10, in_channels=3, image_size=224, width_factor=0.05)
    assert sides(thin, 224, (nn.Conv2d,)) == [55, 27, 13, 13, 13]
    assert sides(thin, 224, (nn.LocalResponseNorm,)) == [55, 27] and sides(thin, 224, (nn.MaxPool2d,)) == [27, 13, 6]
    with pytest.raises(ValueError, match=r"62 px .* too small"):
        alexnet_2012(num_classes=10, in_channels=3, image_size=62)


@pytest.mark.parametrize(("num_blocks", "use_bottleneck", "depth", "millions"), [(18, False, 110, 1.7), (18, True, 164, 1.7)])
def test_resnets_of_version_2_for_cifar_have_the_depth_and_parameters_of_the_paper(
    num_blocks: int, use_bottleneck: bool, depth: int, millions: float
) -> None:
    args = {"num_blocks": num_blocks, "use_bottleneck": use_bottleneck}
    with torch.device("meta"):
        network = preact.preact_resnet(num_classes=10, in_channels=3, image_size=32, **args)
    layers = [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "shortcut" not in name]
    assert len(layers) == depth and round(count(network) / 1e6, 1) == millions


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_large_resnets_of_version_2_have_timms_parameters(depth: int) -> None:
    entry = OWN_MODELS[f"preact_resnet{depth}"]
    with torch.device("meta"):
        counted = count(entry.load()(num_classes=1000, in_channels=3, image_size=224))
        assert counted == count(timm.create_model(f"resnetv2_{depth}")) and f"{counted:,}" in entry.doc


@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.heavy)])
def test_large_resnets_of_version_2_give_what_timms_give(depth: int) -> None:
    x_NCHW = torch.randn(4, 3, 64, 64)
    reference = settle(timm.create_model(f"resnetv2_{depth}", num_classes=10), x_NCHW)
    network = getattr(preact, f"preact_resnet{depth}")(num_classes=10, in_channels=3, image_size=64).eval()
    weights = reference.state_dict()
    for name, tensor in network.state_dict().items():
        theirs = re.sub(r"^layer(\d)", lambda found: f"stages.{int(found[1]) - 1}.blocks", name)
        theirs = theirs.replace("body.", "").replace("shortcut", "downsample.conv").replace("fc.", "head.fc.")
        tensor.copy_(weights["stem.conv.weight" if name == "conv1.weight" else theirs].reshape(tensor.shape))
    assert reference(x_NCHW).std() > 1e-3
    assert torch.allclose(network(x_NCHW), reference(x_NCHW), atol=1e-5)


@pytest.mark.parametrize(("width", "millions"), [(1.0, 4.2), (0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_mobilenet_v1_has_the_parameters_of_the_papers_table(width: float, millions: float) -> None:
    """Howard et al. 2017, table 6."""
    with torch.device("meta"):
        assert round(count(mobilenet_v1(num_classes=1000, in_channels=3, image_size=224, width_factor=width)) / 1e6, 1) == millions


def test_mobilenet_v1_gives_what_timms_gives() -> None:
    x_NCHW = torch.randn(4, 3, 64, 64)
    reference = timm.create_model("mobilenetv1_100", num_classes=10, act_layer=nn.ReLU, drop_path_rate=0.0)
    settle(reference, x_NCHW)
    network = mobilenet_v1(num_classes=10, in_channels=3, image_size=64).eval()
    network.load_state_dict(dict(zip(network.state_dict(), reference.state_dict().values(), strict=True)))
    assert reference(x_NCHW).std() > 1e-3
    assert torch.allclose(network(x_NCHW), reference(x_NCHW), atol=1e-5)


def test_network_in_network_has_the_layers_of_the_paper() -> None:
    network = nin(num_classes=10, in_channels=3, image_size=32)
    assert count(network) == 966_986
    convolutions = [(m.out_channels, m.kernel_size[0]) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions == [(192, 5), (160, 1), (96, 1), (192, 5), (192, 1), (192, 1), (192, 3), (192, 1), (10, 1)]
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]
    assert sum(isinstance(m, nn.ReLU) for m in network.modules()) == 9
    assert sides(network, 32, (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)) == [16, 8, 1]
    with pytest.raises(ValueError, match=r"3 px .* too small"):
        nin(num_classes=10, in_channels=3, image_size=3)


def test_lenet5_takes_no_picture_of_which_nothing_is_left() -> None:
    with pytest.raises(ValueError, match=r"3 px .* too small"):
        lenet5(num_classes=10, in_channels=1, image_size=3)
