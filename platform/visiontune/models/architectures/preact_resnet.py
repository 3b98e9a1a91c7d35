"""Residual networks of version 2, activations before convolutions (He et al. 2016b, "Identity mappings in deep residual networks").

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import fit_stem, repeated, scaled
from visiontune.models.architectures.wideresnet import EXPANSION, PreActivation
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize


def preact_resnet(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    num_blocks: int = 3,
    use_bottleneck: bool = False,
    width_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """The form for CIFAR: three groups of num_blocks = n with 16, 32 and 64 filters; 6 n + 2 layers, as bottlenecks 9 n + 2.

    `image_size` changes nothing: the head averages over what is left of the picture.
    """
    filters = [scaled(16 << group, width_factor) for group in range(3)]
    stem: dict[str, nn.Module] = {"conv1": nn.Conv2d(in_channels, filters[0], 3, padding=1, bias=False)}
    return _network(stem, filters, [num_blocks] * 3, use_bottleneck, num_classes, stochastic_depth)


def _large(
    layers: tuple[int, ...],
    use_bottleneck: bool,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    depth_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """Four groups of `layers` blocks with 64, 128, 256 and 512 filters times `width_factor`; each but the first halves the side."""
    filters = [scaled(64 << group, width_factor) for group in range(4)]
    parts = {"conv1": nn.Conv2d(3, filters[0], 7, 2, 3, bias=False), "maxpool": nn.MaxPool2d(3, 2, 1)}
    numbers = [repeated(number, depth_factor) for number in layers]
    network = _network(parts, filters, numbers, use_bottleneck, num_classes, stochastic_depth)
    fit_stem(network, "conv1", in_channels, stem, pools=("maxpool",))
    return network


def _network(
    stem: dict[str, nn.Module], filters: list[int], numbers: list[int], use_bottleneck: bool, num_classes: int, stochastic_depth: float
) -> nn.Module:
    chances = iter(depth_probabilities(stochastic_depth, sum(numbers)))
    parts, stages, channels = dict(stem), [tuple(stem)], filters[0]
    for group, (width, number) in enumerate(zip(filters, numbers, strict=True)):
        blocks = []
        for index in range(number):
            stride = 2 if group and not index else 1
            blocks.append(PreActivation(channels, width, stride=stride, drop_probability=next(chances), use_bottleneck=use_bottleneck))
            channels = width * (EXPANSION if use_bottleneck else 1)
        parts[f"layer{group + 1}"] = nn.Sequential(*blocks)
        stages.append((f"layer{group + 1}",))
    stages[-1] += ("norm", "act")
    parts |= {"norm": nn.BatchNorm2d(channels), "act": nn.ReLU(), "avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    network = nn.Sequential(OrderedDict({**parts, "fc": nn.Linear(channels, num_classes)}))
    return mark(network, stages=tuple(stages), head="fc")


preact_resnet18 = partial(_large, (2, 2, 2, 2), False)
preact_resnet34 = partial(_large, (3, 4, 6, 3), False)
preact_resnet50 = partial(_large, (3, 4, 6, 3), True)
preact_resnet101 = partial(_large, (3, 4, 23, 3), True)
preact_resnet152 = partial(_large, (3, 8, 36, 3), True)
