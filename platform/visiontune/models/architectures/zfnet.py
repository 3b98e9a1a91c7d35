"""ZFNet (Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks", figure 3).

Contract: x_NCHW float32, normalised -> logits_NK. The classifier is the child named `fc`.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from visiontune.models.anatomy import mark
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides

_SIDE = 6


def zfnet(
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    stem: str = "large",
    width_factor: float = 1.0,
    inner_dropout: float = 0.5,
) -> nn.Module:
    """Filters 96-256-384-384-256 and 4,096 hidden units twice, all times `width_factor`; 6 x 6 positions are flattened, or fewer.

    The stem for small pictures has 3 x 3 filters and no strides in its first two convolutions; from then on both are the same.
    Raises ValueError for a picture of which nothing is left.
    """
    positions = [_side(side, stem) for side in sides(image_size)]
    if min(positions) < 1:
        raise ValueError(f"nothing is left of a picture of {pixels(image_size)} px after the fifth convolution: it is too small")
    rows, columns = (min(side, _SIDE) for side in positions)
    a, b, c, d, units = (max(1, round(width_factor * filters)) for filters in (96, 256, 384, 256, 4096))
    first = nn.Conv2d(in_channels, a, 7, 2, 1) if stem == "large" else nn.Conv2d(in_channels, a, 3, 1, 1)
    second = nn.Conv2d(a, b, 5, 2) if stem == "large" else nn.Conv2d(a, b, 5, 1, 2)
    convolutions = _named(
        ("conv1", first), ("act1", nn.ReLU()), ("pool1", nn.MaxPool2d(3, 2, 1)), ("norm1", LocalContrast()),
        ("conv2", second), ("act2", nn.ReLU()), ("pool2", nn.MaxPool2d(3, 2, 1)), ("norm2", LocalContrast()),
        ("conv3", nn.Conv2d(b, c, 3, 1, 1)), ("act3", nn.ReLU()),
        ("conv4", nn.Conv2d(c, c, 3, 1, 1)), ("act4", nn.ReLU()),
        ("conv5", nn.Conv2d(c, d, 3, 1, 1)), ("act5", nn.ReLU()), ("pool5", nn.MaxPool2d(3, 2)),
    )  # fmt: skip
    dense = _named(
        ("pool", nn.AdaptiveAvgPool2d((rows, columns))), ("flatten", nn.Flatten()),
        ("drop6", nn.Dropout(inner_dropout)), ("fc6", nn.Linear(d * rows * columns, units)), ("act6", nn.ReLU()),
        ("drop7", nn.Dropout(inner_dropout)), ("fc7", nn.Linear(units, units)), ("act7", nn.ReLU()),
    )  # fmt: skip
    names = [*convolutions]
    network = nn.Sequential(OrderedDict({**convolutions, **dense, "fc": nn.Linear(units, num_classes)}))
    stages = (tuple(names[:4]), tuple(names[4:8]), tuple(names[8:]), tuple(dense))
    return mark(network, stages=stages, head="fc")


def _named(*layers: tuple[str, nn.Module]) -> dict[str, nn.Module]:
    return dict(layers)


class LocalContrast(nn.LocalResponseNorm):
    """ "Contrast normalised across feature maps", with the numbers of the network that the paper starts from (Krizhevsky et al. 2012):
    x / (2 + 1e-4 * the sum of squares over 5 neighbouring maps)^.75.
    """

    def __init__(self) -> None:
        super().__init__(5, alpha=5e-4, beta=0.75, k=2.0)  # torch divides alpha by the 5

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Computed in float32, as torch has no such pooling in bf16 on a CPU."""
        return super().forward(x_NCHW.float()).to(x_NCHW.dtype)


def _side(side: int, stem: str) -> int:
    """Positions in each direction after the last pooling; 0 or less where nothing is left."""
    second = _pooled((side - 5) // 2 + 1) if stem == "large" else _pooled(side)
    third = _pooled((second - 5) // 2 + 1 if stem == "large" else second)
    return (third - 3) // 2 + 1


def _pooled(side: int) -> int:
    return (side - 1) // 2 + 1
