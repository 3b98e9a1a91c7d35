"""Network in Network (Lin et al. 2014), in the form for CIFAR on which Xu et al. 2015 compare rectifiers.

Contract: x_NCHW float32, normalised -> logits_NK. The classifier is the 1 x 1 convolution named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides


def nin(*, num_classes: int, in_channels: int, image_size: ImageSize, width_factor: float = 1.0, inner_dropout: float = 0.5) -> nn.Module:
    """Three stages of one wide and two 1 x 1 convolutions; the last gives one map for each class, whose mean is the score.

    An activation follows every convolution, the classifier too, and there is no normalisation: as published. Raises ValueError
    below 4 px, where the poolings leave nothing.
    """
    if min(sides(image_size)) < 4:
        raise ValueError(f"nothing is left of a picture of {pixels(image_size)} px after the second pooling: it is too small")
    wide, middle, narrow = (max(1, round(width_factor * filters)) for filters in (192, 160, 96))
    # Caffe, in which both papers worked, rounds the size of a pooled picture up.
    stages = {
        "stage1": _stage((in_channels, wide, middle, narrow), 5),
        "stage2": _stage((narrow, wide, wide, wide), 5),
        "stage3": _stage((wide, wide, wide), 3),
    }
    stages["stage1"].extend([nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(inner_dropout)])
    stages["stage2"].extend([nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout(inner_dropout)])
    head = {"fc": nn.Conv2d(wide, num_classes, 1), "act": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    return mark(nn.Sequential(OrderedDict({**stages, **head})), stages=tuple((name,) for name in stages), head="fc")


def _stage(channels: tuple[int, ...], kernel: int) -> nn.Sequential:
    """A convolution of that kernel between the first two numbers of channels, 1 x 1 ones between the others."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(channels)):
        size = 1 if number else kernel
        layers += [nn.Conv2d(inputs, outputs, size, padding=size // 2), nn.ReLU()]
    return nn.Sequential(*layers)
