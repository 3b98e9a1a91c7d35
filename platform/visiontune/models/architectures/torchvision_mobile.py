"""EfficientNet (Tan & Le 2019), MobileNet-v2 (Sandler et al. 2018) and v3 (Howard et al. 2019) from torchvision.

The activations within squeeze-and-excitation make a gate and stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn
from torchvision.ops import StochasticDepth

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import chain, fit_stem, instances
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize

# Table 1 of the paper: expansion, kernel, stride, channels in, channels out, layers.
_STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


def efficientnet(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    depth_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """B0 scaled. The paper: for about 2^phi of the cost depth 1.2^phi, width 1.1^phi and pictures of 224 * 1.15^phi px."""
    return _efficientnet(width_factor, depth_factor, nn.BatchNorm2d, num_classes, in_channels, stem, stochastic_depth)


def _variant(
    width: float,
    depth: float,
    use_slow_norm: bool,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    stochastic_depth: float = 0.0,
) -> nn.Module:
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01) if use_slow_norm else nn.BatchNorm2d
    return _efficientnet(width, depth, norm, num_classes, in_channels, stem, stochastic_depth)


def _efficientnet(
    width: float,
    depth: float,
    norm: Callable[..., nn.Module],
    num_classes: int,
    in_channels: int,
    stem: str,
    stochastic_depth: float,
) -> nn.Module:
    from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig
    from torchvision.ops import SqueezeExcitation

    rows = [MBConvConfig(*row, width, depth) for row in _STAGES]
    network = EfficientNet(rows, dropout=0.0, stochastic_depth_prob=0.0, num_classes=num_classes, norm_layer=norm)
    fit_stem(network, "features.0.0", in_channels, stem)
    blocks = [network.get_submodule(name) for name in instances(network, MBConv)]
    for block, chance in zip(blocks, depth_probabilities(stochastic_depth, len(blocks)), strict=True):
        block.stochastic_depth = StochasticDepth(chance, "row")
    stages: list[tuple[str, ...]] = [(f"features.{number}",) for number in range(len(rows))]
    stages.append((f"features.{len(rows)}", f"features.{len(rows) + 1}"))
    network = chain(network, ("features", "avgpool", "flatten", "classifier"))
    return mark(network, stages=tuple(stages), head="classifier.1", keep=instances(network, SqueezeExcitation))


def _mobilenet(
    name: str,
    /,
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """Stages end before each block with stride 2; the hidden dense layer is the last of them."""
    from torchvision.models import mobilenetv3
    from torchvision.ops import SqueezeExcitation

    network = getattr(mobilenetv3, name)(width_mult=width_factor, num_classes=num_classes, dropout=0.0)
    fit_stem(network, "features.0.0", in_channels, stem)
    names = instances(network, mobilenetv3.InvertedResidual)
    for block, chance in zip(names, depth_probabilities(stochastic_depth, len(names)), strict=True):
        if network.get_submodule(block).use_res_connect and chance > 0:
            network.get_submodule(block).block.append(StochasticDepth(chance, "row"))
    stages = _at_strides(network.features)
    network = chain(network, ("features", "avgpool", "flatten", "classifier"))
    stages += [("avgpool", "flatten", "classifier.0", "classifier.1")]
    return mark(network, stages=tuple(stages), head="classifier.3", keep=instances(network, SqueezeExcitation))


def mobilenet_v2(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """Inverted residual blocks without an activation at their narrow ends."""
    from torchvision.models.mobilenetv2 import InvertedResidual, MobileNetV2

    network = MobileNetV2(num_classes, width_mult=width_factor, dropout=0.0)
    fit_stem(network, "features.0.0", in_channels, stem)
    blocks = [network.get_submodule(name) for name in instances(network, InvertedResidual)]
    for block, chance in zip(blocks, depth_probabilities(stochastic_depth, len(blocks)), strict=True):
        block.last_norm = "conv"  # torchvision's v3 has a block of the same name, whose branch has another
        if block.use_res_connect and chance > 0:
            block.conv.append(StochasticDepth(chance, "row"))
    stages = tuple(_at_strides(network.features))
    return mark(chain(network, ("features", "avgpool", "flatten", "classifier")), stages=stages, head="classifier.1")


def _at_strides(features: nn.Module) -> list[tuple[str, ...]]:
    """The parts of `features` in groups: the stem, and a new one at each block that makes the picture smaller."""
    groups: list[tuple[str, ...]] = [("features.0",), ()]
    for number, part in enumerate([*features.children()][1:], start=1):
        if groups[-1] and max(module.stride[0] for module in part.modules() if isinstance(module, nn.Conv2d)) > 1:
            groups.append(())
        groups[-1] += (f"features.{number}",)
    return groups


efficientnet_b0 = partial(_variant, 1.0, 1.0, False)
efficientnet_b1 = partial(_variant, 1.0, 1.1, False)
efficientnet_b2 = partial(_variant, 1.1, 1.2, False)
efficientnet_b3 = partial(_variant, 1.2, 1.4, False)
efficientnet_b4 = partial(_variant, 1.4, 1.8, False)
efficientnet_b5 = partial(_variant, 1.6, 2.2, True)
efficientnet_b6 = partial(_variant, 1.8, 2.6, True)
efficientnet_b7 = partial(_variant, 2.0, 3.1, True)
mobilenet_v3_small = partial(_mobilenet, "mobilenet_v3_small")
mobilenet_v3_large = partial(_mobilenet, "mobilenet_v3_large")
