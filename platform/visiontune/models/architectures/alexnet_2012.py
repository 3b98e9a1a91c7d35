"""AlexNet as published for two GPUs (Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks").

Contract: x_NCHW float32, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import fit_stem
from visiontune.models.architectures.zfnet import LocalContrast
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides

_SIDE = 6


def alexnet_2012(
    *, num_classes: int, in_channels: int, image_size: ImageSize, stem: str = "large", width_factor: float = 1.0, inner_dropout: float = 0.5
) -> nn.Module:
    """Filters 96-256-384-384-256 and 4,096 hidden units twice, all times `width_factor`; 6 x 6 positions are flattened, or fewer.

    Convolutions 2, 4 and 5 see half of the channels each half, as each GPU did; responses are normalised before the first two poolings
    (section 3.5). Pictures of 224 px are padded by 2, which the paper's 55 positions need. Raises ValueError where nothing is left.
    """
    positions = [_positions(side, stem) for side in sides(image_size)]
    if min(positions) < 1:
        raise ValueError(f"nothing is left of a picture of {pixels(image_size)} px after the third pooling: it is too small")
    rows, columns = (min(side, _SIDE) for side in positions)
    a, b, c, d = (2 * max(1, round(width_factor * filters / 2)) for filters in (96, 256, 384, 256))
    units = max(1, round(width_factor * 4096))
    convolutions: dict[str, nn.Module] = {
        **{"conv1": nn.Conv2d(3, a, 11, 4, 2), "act1": nn.ReLU(), "norm1": LocalContrast(), "pool1": nn.MaxPool2d(3, 2)},
        **{"conv2": nn.Conv2d(a, b, 5, 1, 2, groups=2), "act2": nn.ReLU(), "norm2": LocalContrast(), "pool2": nn.MaxPool2d(3, 2)},
        **{"conv3": nn.Conv2d(b, c, 3, 1, 1), "act3": nn.ReLU()},
        **{"conv4": nn.Conv2d(c, c, 3, 1, 1, groups=2), "act4": nn.ReLU()},
        **{"conv5": nn.Conv2d(c, d, 3, 1, 1, groups=2), "act5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2)},
    }
    dense: dict[str, nn.Module] = {
        **{"pool": nn.AdaptiveAvgPool2d((rows, columns)), "flatten": nn.Flatten()},
        **{"drop6": nn.Dropout(inner_dropout), "fc6": nn.Linear(d * rows * columns, units), "act6": nn.ReLU()},
        **{"drop7": nn.Dropout(inner_dropout), "fc7": nn.Linear(units, units), "act7": nn.ReLU()},
    }
    names = [*convolutions]
    network = nn.Sequential(OrderedDict({**convolutions, **dense, "fc": nn.Linear(units, num_classes)}))
    fit_stem(network, "conv1", in_channels, stem)
    return mark(network, stages=(tuple(names[:4]), tuple(names[4:8]), tuple(names[8:]), tuple(dense)), head="fc")


def _positions(side: int, stem: str) -> int:
    """Along that side after the third pooling; 0 or less where nothing is left."""
    side = side if stem == "small" else (side - 7) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side
