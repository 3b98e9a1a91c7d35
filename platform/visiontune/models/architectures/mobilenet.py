"""MobileNet v1 (Howard et al. 2017, "MobileNets: efficient convolutional neural networks for mobile vision applications").

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import fit_stem, scaled
from visiontune.spec.declarations.image_size import ImageSize

# Table 1 of the paper: the filters of each 1 x 1 convolution; a new stage begins where the depthwise one before it has stride 2.
_STAGES = ((64,), (128, 128), (256, 256), (512, 512, 512, 512, 512, 512), (1024, 1024))


def mobilenet_v1(*, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", width_factor: float = 1.0) -> nn.Module:
    """Thirteen depthwise-separable convolutions; `width_factor` is the paper's alpha.

    `image_size` changes nothing: the head averages over what is left of the picture.
    """
    channels = scaled(32, width_factor)
    parts: dict[str, nn.Module] = {"conv1": _unit(3, channels, kernel_size=3, stride=2, padding=1)}
    for number, filters in enumerate(_STAGES, start=1):
        layers = []
        for index, width in enumerate(scaled(one, width_factor) for one in filters):
            stride = 2 if number > 1 and not index else 1
            depthwise = _unit(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels)
            layers.append(nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=_unit(channels, width, kernel_size=1))))
            channels = width
        parts[f"stage{number}"] = nn.Sequential(*layers)
    stages = tuple((name,) for name in parts)
    parts |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(channels, num_classes)}
    network = nn.Sequential(OrderedDict(parts))
    fit_stem(network, "conv1.conv", in_channels, stem)
    return mark(network, stages=stages, head="fc")


def _unit(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels), act=nn.ReLU()))
