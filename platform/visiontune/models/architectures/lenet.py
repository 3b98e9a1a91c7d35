"""LeNet-5 (LeCun et al. 1998, "Gradient-based learning applied to document recognition").

Contract: x_NCHW float32, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict
from math import prod

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides


def lenet5(*, num_classes: int, in_channels: int, image_size: ImageSize, width: int = 1) -> nn.Module:
    """Layers 6-16-120-84 times `width`, 5 x 5 filters, average pooling as subsampling; pictures from 4 px.

    A side below 32 px is padded with 2 zeros by the first convolution, as the paper does to bring 28 px to 32. Below 16 px the
    second pads too, as it would have nothing left to see. From 16 px that gains little (val_loss .153 for .156 on digits) and costs a
    third more time. Raises ValueError below 4 px.
    """
    (pad1, pad2), positions = zip(*map(_paddings, sides(image_size)), strict=True), [*map(_positions, sides(image_size))]
    if min(positions) < 1:
        raise ValueError(f"nothing is left of a picture of {pixels(image_size)} px after the second pooling: it is too small")
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(in_channels, 6 * width, 5, padding=pad1)),
        ("act1", nn.ReLU()),
        ("pool1", nn.AvgPool2d(2)),
        ("conv2", nn.Conv2d(6 * width, 16 * width, 5, padding=pad2)),
        ("act2", nn.ReLU()),
        ("pool2", nn.AvgPool2d(2)),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(16 * width * prod(positions), 120 * width)),
        ("act3", nn.ReLU()),
        ("fc2", nn.Linear(120 * width, 84 * width)),
        ("act4", nn.ReLU()),
        ("fc", nn.Linear(84 * width, num_classes)),
    ]
    stages = (("conv1", "act1", "pool1"), ("conv2", "act2", "pool2"), ("flatten", "fc1", "act3"), ("fc2", "act4"))
    return mark(nn.Sequential(OrderedDict(layers)), stages=stages, head="fc")


def _paddings(side: int) -> tuple[int, int]:
    return 2 * (side < 32), 2 * (side < 16)


def _positions(side: int) -> int:
    """Along that side after the second pooling; 0 or less where nothing is left."""
    pad1, pad2 = _paddings(side)
    pooled = (side + 2 * pad1 - 4) // 2
    return (pooled + 2 * pad2 - 4) // 2
