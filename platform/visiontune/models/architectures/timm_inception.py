"""Xception (Chollet 2017) and Inception-ResNet-v2 (Szegedy et al. 2017) from timm, which torchvision has not."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torchvision.ops import StochasticDepth

from visiontune.models.anatomy import mark, replace
from visiontune.models.architectures.adapting import chain, fit_stem, instances
from visiontune.models.dropout import depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize

_XCEPTION = (
    ("conv1", "bn1", "act1", "conv2", "bn2", "act2"),
    ("block1",),
    ("block2",),
    ("block3",),
    tuple(f"block{number}" for number in range(4, 12)),
    ("block12", "conv3", "bn3", "act3", "conv4", "bn4", "act4"),
)
_INCEPTION_RESNET_V2 = (
    ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "maxpool_5a"),
    ("mixed_5b", "repeat"),
    ("mixed_6a", "repeat_1"),
    ("mixed_7a", "repeat_2", "block8", "conv2d_7b"),
)


def xception(*, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", stochastic_depth: float = 0.0) -> nn.Module:
    """22,855,952 parameters: the paper's, timm's legacy_xception; depthwise-separable convolutions in twelve residual blocks."""
    from timm.models.xception import Block, Xception

    network = Xception(num_classes)
    fit_stem(network, "conv1", in_channels, stem)
    blocks = [network.get_submodule(name) for name in instances(network, Block)]
    for block, chance in zip(blocks, depth_probabilities(stochastic_depth, len(blocks)), strict=True):
        if chance > 0:
            block.rep.append(StochasticDepth(chance, "row"))
    names = (name for stage in _XCEPTION for name in stage)
    return mark(chain(network, (*names, "avgpool", "flatten", "fc")), stages=_XCEPTION, head="fc")


def inception_resnet_v2(*, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large") -> nn.Module:
    """55,843,464 parameters; residual branches are scaled by .1 to .2 before they are added."""
    from timm.layers import ConvNormAct
    from timm.models.inception_resnet_v2 import InceptionResnetV2

    network = InceptionResnetV2(num_classes)
    for name in instances(network, ConvNormAct):
        replace(network, name, _plain)
    fit_stem(network, "conv2d_1a.conv", in_channels, stem, pools=("maxpool_3a", "maxpool_5a"))
    names = (name for stage in _INCEPTION_RESNET_V2 for name in stage)
    return mark(chain(network, (*names, "avgpool", "flatten", "classif")), stages=_INCEPTION_RESNET_V2, head="classif")


def _plain(unit: nn.Module) -> nn.Sequential:
    """timm's unit, whose batch normalisation holds the activation, as three modules of the same names."""
    norm = unit.get_submodule("bn")
    assert isinstance(norm, nn.BatchNorm2d)
    parts = {"conv": unit.get_submodule("conv"), "bn": nn.BatchNorm2d(norm.num_features, norm.eps), "act": nn.ReLU(inplace=True)}
    return nn.Sequential(OrderedDict(parts))
