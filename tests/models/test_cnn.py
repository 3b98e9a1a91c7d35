"""The searchable plain network and its blocks against closed forms, torch's own layers and GoogLeNet's published figures."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from timm.layers import SEModule
from tiny import model_section
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from visiontune.models.anatomy import anatomy_of, replace
from visiontune.models.architectures.cnn import cnn
from visiontune.models.architectures.cnn_blocks import (
    Maxout,
    Residual,
    Style,
    centre_crops,
    convolution,
    dense_layer,
    inception,
    inception_of,
    side_after,
    squeeze,
    unit,
)
from visiontune.models.build import build_model
from visiontune.models.shape_check import problem_of

BLOCKS = ("plain", "inception", "residual", "dense")
SIZES = {"num_classes": 3, "in_channels": 3}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, *shape: int) -> int:
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, *shape))
    return int(counter.get_total_flops()) // 2


def receptive_side(network: nn.Module, channels: int, size: int) -> int:
    """How wide the part of a picture is on which the middle position of the output depends, by its gradient."""
    x_NCHW = torch.rand(1, channels, size, size, requires_grad=True)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1.0)
    y_NCHW = network.eval()(x_NCHW)
    middle = y_NCHW.shape[-1] // 2
    (gradient,) = torch.autograd.grad(y_NCHW[0, :, middle, middle].sum(), x_NCHW)
    seen = (gradient[0].abs().sum((0, 1)) > 0).nonzero().flatten()
    return int(seen[-1] - seen[0]) + 1


@pytest.mark.parametrize(
    ("block", "use_bottleneck", "conv", "padding"),
    [
        *itertools.product(BLOCKS, (False, True), ("plain",), ("same",)),
        *itertools.product(BLOCKS, (True,), ("separable", "grouped"), ("valid",)),
    ],
)
@pytest.mark.parametrize("down", ["max", "stride"])
def test_every_combination_keeps_the_contract_of_stages(block: str, use_bottleneck: bool, conv: str, padding: str, down: str) -> None:
    args: dict[str, Any] = {"use_bottleneck": use_bottleneck, "convolution": conv, "padding": padding, "down": down, "num_layers": 2}
    place, head = ("after", "flatten") if use_bottleneck else ("before", "average")
    network = cnn(**SIZES, image_size=49, width=4, depth=2, block=block, norm_place=place, head=head, num_hidden=5, **args).eval()
    anatomy, x_NCHW = anatomy_of(network), torch.randn(2, 3, 49, 49)
    logits = network(x_NCHW)
    assert logits.shape == (2, 3) and isinstance(network.get_submodule(anatomy.head), nn.Linear)
    inner, tail = x_NCHW, copy.deepcopy(network)
    for group in anatomy.stages:
        for name in group:
            inner = network.get_submodule(name)(inner)
            replace(tail, name, lambda _: nn.Identity())
        assert torch.equal(tail(inner), logits)
    assert [name for name, _ in network.named_children() if name not in {name for group in anatomy.stages for name in group}][-1] == "fc"


@pytest.mark.parametrize(("growth", "head"), [(1.0, "average"), (2.0, "flatten"), (1.5, "average")])
def test_plain_layers_have_the_parameters_of_the_closed_form(growth: float, head: str) -> None:
    network = cnn(**SIZES, image_size=32, width=8, depth=3, num_layers=2, growth=growth, kernel_size=5, head=head, num_hidden=7)
    filters = [3, *(round(8 * growth**stage) for stage in range(3) for _ in range(2))]
    expected = sum(25 * a * b + 2 * b for a, b in itertools.pairwise(filters))
    features = filters[-1] * (16 if head == "flatten" else 1)
    assert count(network) == expected + (features * 7 + 7 + 7 * 3 + 3 if head == "flatten" else features * 3 + 3)


def test_flattened_head_without_hidden_units_is_one_layer() -> None:
    network = cnn(**SIZES, image_size=16, width=4, depth=2, head="flatten", num_hidden=0)
    assert network.get_submodule("fc").weight.shape == (3, 8 * 4 * 4)
    assert anatomy_of(network).stages[-1] == ("flatten",)


@pytest.mark.parametrize("kernel", [3, 5])
def test_separable_convolution_costs_the_published_share(kernel: int) -> None:
    plain, separable = (convolution(16, 32, Style(convolution=kind), kernel) for kind in ("plain", "separable"))
    # 1 / N + 1 / k^2 (Howard et al. 2017, section 3.1)
    assert count(separable) / count(plain) == pytest.approx(1 / 32 + 1 / kernel**2)
    assert multiply_adds(separable, 16, 12, 12) / multiply_adds(plain, 16, 12, 12) == pytest.approx(1 / 32 + 1 / kernel**2)


@pytest.mark.parametrize(("channels", "filters", "asked", "groups"), [(16, 32, 4, 4), (3, 32, 4, 1), (12, 18, 4, 3), (8, 8, 64, 8)])
def test_grouped_convolution_has_as_many_groups_as_divide_the_channels(channels: int, filters: int, asked: int, groups: int) -> None:
    conv = convolution(channels, filters, Style(convolution="grouped", num_groups=asked), 3)
    assert isinstance(conv, nn.Conv2d) and conv.groups == groups and count(conv) == 9 * channels * filters // groups


@pytest.mark.parametrize(("kernel", "dilation", "num_layers"), [(3, 1, 1), (3, 2, 2), (5, 1, 3), (7, 3, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_receptive_field_and_size_are_those_of_the_formula(kernel: int, dilation: int, num_layers: int, padding: str) -> None:
    args: dict[str, Any] = {"kernel_size": kernel, "dilation": dilation, "num_layers": num_layers, "padding": padding}
    stage = cnn(**SIZES, image_size=64, width=2, depth=1, down="stride", **args).get_submodule("stage1")
    # One strided layer and then num_layers - 1 at half size: 1 + (k - 1) d + (L - 1) 2 (k - 1) d
    reach = (kernel - 1) * dilation
    assert receptive_side(stage, 3, 64) == 1 + reach + (num_layers - 1) * 2 * reach
    side = 32 if padding == "same" else (64 - reach - 1) // 2 + 1 - (num_layers - 1) * reach
    assert stage(torch.randn(1, 3, 64, 64)).shape[-1] == side
    style = Style(kernel, dilation, padding)
    assert (
        side_after(64, style, kernel, 2)
        == nn.Conv2d(1, 1, kernel, 2, reach // 2 if padding == "same" else 0, dilation)(torch.zeros(1, 1, 64, 64)).shape[-1]
    )


@pytest.mark.parametrize("size", [1, 2, 5, 9, 16, 23])
@pytest.mark.parametrize(("block", "padding", "down"), [*itertools.product(BLOCKS, ("same", "valid"), ("mean", "stride"))])
def test_a_picture_too_small_is_refused_when_the_network_is_built(size: int, block: str, padding: str, down: str) -> None:
    args: dict[str, Any] = {"block": block, "padding": padding, "down": down}
    x_NCHW, largest = torch.zeros(2, 3, size, size), cnn(**SIZES, image_size=64, width=4, depth=2, **args)
    try:
        largest.eval()(x_NCHW)
    except RuntimeError:
        with pytest.raises(ValueError, match=rf"a picture of {size} px after stage \d of 2: it is too small"):
            cnn(**SIZES, image_size=size, width=4, depth=2, **args)
    else:
        assert cnn(**SIZES, image_size=size, width=4, depth=2, **args)(x_NCHW).shape == (2, 3)


@pytest.mark.parametrize("use_bottleneck", [False, True])
@pytest.mark.parametrize("place", ["before", "after"])
def test_residual_block_with_its_last_norm_at_zero_is_the_identity(use_bottleneck: bool, place: str) -> None:
    torch.manual_seed(0)  # with some weights both channels of the bottleneck are dead, and the block is the identity before
    block = Residual(8, 8, Style(norm_place=place, use_bottleneck=use_bottleneck))
    norms = [module for module in block.get_submodule(block.last_norm).modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == (3 if use_bottleneck else 2)
    x_NCHW = torch.rand(4, 8, 6, 6)  # not below 0, as what another block gives
    assert not torch.allclose(block(x_NCHW), x_NCHW)
    nn.init.zeros_(norms[-1].weight)
    assert torch.equal(block(x_NCHW), x_NCHW)


def test_residual_blocks_are_torchvisions() -> None:
    from torchvision.models.resnet import BasicBlock, Bottleneck

    down = nn.Sequential(nn.Conv2d(8, 16, 1, 2, bias=False), nn.BatchNorm2d(16))
    pairs = [
        (Residual(8, 16, Style(), stride=2), BasicBlock(8, 16, 2, copy.deepcopy(down))),
        (Residual(8, 16, Style(use_bottleneck=True), stride=2), Bottleneck(8, 4, 2, copy.deepcopy(down))),
    ]
    x_NCHW = torch.randn(3, 8, 7, 7)
    for own, reference in pairs:
        state = dict(zip(own.state_dict(), reference.state_dict().values(), strict=True))
        own.load_state_dict(state)
        assert torch.allclose(own(x_NCHW), reference(x_NCHW), atol=1e-6)


def test_a_residual_branch_is_left_out_as_often_as_its_place_says() -> None:
    network = cnn(**SIZES, image_size=16, width=2, depth=2, num_layers=2, block="residual", stochastic_depth=0.8)
    chances = [module.p for module in network.modules() if type(module).__name__ == "StochasticDepth"]
    assert chances == pytest.approx([0.2, 0.4, 0.6, 0.8])  # linear decay (Huang et al. 2016, equation 4)


@pytest.mark.parametrize("use_bottleneck", [False, True])
def test_dense_layers_add_their_filters_to_what_was_there(use_bottleneck: bool) -> None:
    x_NCHW, style = torch.randn(2, 6, 5, 5), Style(use_bottleneck=use_bottleneck)
    layer = dense_layer(6, 4, style)
    y_NCHW = layer(x_NCHW)
    assert y_NCHW.shape == (2, 10, 5, 5) and torch.equal(y_NCHW[:, :6], x_NCHW)
    network = cnn(**SIZES, image_size=16, width=4, depth=2, num_layers=3, block="dense")
    assert [network.get_submodule(f"stage{n}")(torch.zeros(1, c, 8, 8)).shape[1] for n, c in ((1, 3), (2, 16))] == [16, 32]


def test_inception_module_costs_what_is_published() -> None:
    """Module 3b of GoogLeNet (Szegedy et al. 2015, table 1) on 28 x 28 x 256, without norms' multiplications."""

    def cost(**widths: Any) -> int:
        return multiply_adds(inception(256, Style(), **widths), 256, 28, 28)

    # The naive form: 128 filters 1 x 1, 192 filters 3 x 3, 96 filters 5 x 5, and the pooled channels as they are.
    assert round(cost(one=128, three=(0, 192), five=(0, 96), pool=0) / 1e6) == 854
    # With 128 filters 1 x 1 before the 3 x 3 and 64 before the 5 x 5, the pooled channels as they are.
    assert round(cost(one=128, three=(128, 192), five=(64, 96), pool=0) / 1e6) == 358
    # The row of the paper's own table: 128, 128 -> 192, 32 -> 96, 64; "304M" there.
    assert round(cost(one=128, three=(128, 192), five=(32, 96), pool=64) / 1e6) == 304


def test_inception_of_256_filters_is_googlenets_3a() -> None:
    from torchvision.models.googlenet import Inception

    own, reference = inception_of(192, 256, Style(use_bottleneck=True)), Inception(192, 64, 96, 128, 16, 32, 32)
    kernels = [(m.in_channels, m.out_channels) for m in own.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(m.in_channels, m.out_channels) for m in reference.modules() if isinstance(m, nn.Conv2d)]
    for filters in (4, 5, 8, 21, 64):
        assert inception_of(3, filters, Style())(torch.zeros(2, 3, 6, 6)).shape[1] == filters
    with pytest.raises(ValueError, match="needs 4 filters or more"):
        inception_of(3, 3, Style())


def test_inception_is_its_branches_side_by_side() -> None:
    style = Style(padding="valid")
    module, x_NCHW = inception(3, style, one=2, three=(0, 3), five=(2, 4), pool=0), torch.randn(2, 3, 9, 9)
    y_NCHW = module(x_NCHW)
    assert y_NCHW.shape == (2, 2 + 3 + 4 + 3, 5, 5)  # 9 - 4 for the 5 x 5 filters
    assert torch.equal(y_NCHW[:, -3:], nn.functional.max_pool2d(x_NCHW, 3, 1)[..., 1:-1, 1:-1])
    assert torch.equal(y_NCHW[:, :2], module.branches["one"](x_NCHW)[..., 2:-2, 2:-2])


def test_maxout_of_a_map_and_of_zero_is_relu_and_of_a_map_and_its_opposite_the_absolute_value() -> None:
    """Goodfellow et al. 2013, figure 1; and k times the parameters of a plain unit."""
    x_NCHW = torch.randn(2, 3, 6, 6)
    for place in ("before", "after"):
        made, plain = unit(3, 5, Style(norm_place=place, num_pieces=2)), unit(3, 5, Style(norm_place=place))
        weight, inner = plain.get_submodule("conv").weight, plain.get_submodule("conv")(x_NCHW)
        for other, expected in ((torch.zeros_like(weight), inner.relu()), (-weight, inner.abs())):
            made.get_submodule("conv").weight = nn.Parameter(torch.cat([weight, other]).detach())
            seen = made.get_submodule("act")(made.get_submodule("conv")(x_NCHW))
            assert torch.allclose(seen, expected) and made(x_NCHW).shape == expected.shape
    network = cnn(**SIZES, image_size=16, width=4, depth=2, num_pieces=3, head="flatten", num_hidden=5)
    assert count(network) == 3 * (9 * 3 * 4 + 9 * 4 * 8 + 2 * 4 + 2 * 8 + 8 * 16 * 5 + 5) + 5 * 3 + 3
    assert sum(isinstance(module, Maxout) for module in network.modules()) == 3


def test_an_activation_without_a_place_is_refused() -> None:
    sizes = {"num_classes": 3, "in_channels": 1, "image_size": 16}
    told = problem_of(model_section("cnn", "elu", num_pieces=2), **sizes)
    assert told is not None and "so elu can't replace any; leave activation at published or num_pieces at 1" in told
    with pytest.raises(ValueError, match="elu can't replace any"):
        build_model(model_section("cnn", "elu", num_pieces=2), **sizes)
    for section in (model_section("cnn", "published", num_pieces=2), model_section("cnn", "elu", num_pieces=2, block="residual")):
        assert problem_of(section, **sizes) is None and build_model(section, **sizes) is not None


def test_squeeze_and_excitation_costs_what_is_published() -> None:
    """2 / r * sum of N_s C_s^2 (Hu et al. 2018, equation 5), and biases, which its authors' code leaves out; timm's, weight for weight."""
    args: dict[str, Any] = {**SIZES, "image_size": 16, "width": 32, "depth": 2, "num_layers": 2, "block": "residual"}
    added = count(cnn(**args, squeeze_ratio=16)) - count(cnn(**args))
    assert added == sum(2 * (2 * c**2 // 16 + c // 16 + c) for c in (32, 64))
    (own,), reference = squeeze(32, Style(squeeze_ratio=8)), SEModule(32, rd_channels=4)
    own.load_state_dict(dict(zip(own.state_dict(), reference.state_dict().values(), strict=True)))
    x_NCHW = torch.randn(2, 32, 5, 5)
    assert torch.allclose(own(x_NCHW), reference(x_NCHW), atol=1e-6)


@pytest.mark.parametrize("block", BLOCKS)
def test_maxout_and_squeeze_and_excitation_stand_in_every_block(block: str) -> None:
    network = cnn(**SIZES, image_size=16, width=8, depth=2, num_layers=2, block=block, num_pieces=2, squeeze_ratio=4)
    assert network(torch.randn(2, 3, 16, 16)).shape == (2, 3)
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("SqueezeExcitation") == 4 and kinds.count("Maxout") >= 4


def test_cut_takes_the_centre() -> None:
    wide, narrow = torch.arange(25.0).view(1, 1, 5, 5), torch.zeros(1, 1, 3, 3)
    assert torch.equal(centre_crops([wide, narrow])[0], wide[..., 1:4, 1:4]) and centre_crops([narrow, narrow])[0] is narrow


def test_norm_stands_where_it_is_asked_to() -> None:
    for place, order in (("before", ["Conv2d", "BatchNorm2d", "ReLU"]), ("after", ["Conv2d", "ReLU", "BatchNorm2d"])):
        network = cnn(**SIZES, image_size=16, width=2, depth=1, norm_place=place)
        assert [type(m).__name__ for m in network.get_submodule("stage1.0.0")] == order


@pytest.mark.parametrize("block", ["residual", "dense", "inception"])
def test_what_is_cropped_may_be_higher_than_wide(block: str) -> None:
    """The centre of each side by itself: a picture that lies gives what it gives when it stands, filters turned with it."""
    network = cnn(num_classes=3, in_channels=1, image_size=(16, 24), block=block, padding="valid", depth=1, width=4).eval()
    lying_NCHW = torch.randn(2, 1, 16, 24)
    lying = network(lying_NCHW)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.mT.contiguous()
    assert torch.allclose(network(lying_NCHW.mT), lying, atol=1e-5)
