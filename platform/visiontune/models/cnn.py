"""The plain convolutional network: stages of convolution, batch normalisation, activation and pooling.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from visiontune.models.anatomy import mark


def cnn(*, num_classes: int, in_channels: int, image_size: int, width: int = 32, depth: int = 3, kernel_size: int = 3) -> nn.Module:
    """`depth` stages of width, 2 width, 4 width ... filters; each halves the picture, which needs 2^depth px or more.

    `image_size` changes nothing: the head averages over what is left of the picture.
    """
    layers: list[tuple[str, nn.Module]] = []
    channels = in_channels
    for stage in range(depth):
        layers.append((f"stage{stage + 1}", _stage(channels, width << stage, kernel_size)))
        channels = width << stage
    layers += [("pool", nn.AdaptiveAvgPool2d(1)), ("flatten", nn.Flatten()), ("fc", nn.Linear(channels, num_classes))]
    stages = tuple((f"stage{stage + 1}",) for stage in range(depth))
    return mark(nn.Sequential(OrderedDict(layers)), stages=stages, head="fc")


def _stage(in_channels: int, out_channels: int, kernel_size: int) -> nn.Sequential:
    # No bias: the normalisation after it would take it away again.
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels), act=nn.ReLU(), pool=nn.MaxPool2d(2)))
