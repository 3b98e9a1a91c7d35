"""ResNet (He et al. 2016), ResNeXt (Xie et al. 2017) and Wide ResNet (Zagoruyko & Komodakis 2016) for large pictures.

Stage for stage torchvision's networks and names; put together here, because torchvision's constructor knows one width and
its blocks call one activation module two or three times, where a learned slope would belong to several layers.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from visiontune.models.anatomy import mark
from visiontune.models.architectures.adapting import fit_stem, repeated, scaled
from visiontune.models.dropout import branch_drop, depth_probabilities
from visiontune.spec.declarations.image_size import ImageSize

_EXPANSION = 4  # of a bottleneck's last convolution


def _resnet(
    block: Callable[..., nn.Module],
    expansion: int,
    layers: tuple[int, ...],
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
    """Four stages of `layers` blocks with 64, 128, 256 and 512 filters times `width_factor`; each but the first halves the side.

    `image_size` changes nothing: the head averages over what is left of the picture.
    """
    numbers = [repeated(number, depth_factor) for number in layers]
    chances = iter(depth_probabilities(stochastic_depth, sum(numbers)))
    channels = scaled(64, width_factor)
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    for stage, number in enumerate(numbers):
        filters = scaled(64 << stage, width_factor)
        blocks = []
        for index in range(number):
            blocks.append(block(channels, filters, 2 if stage and not index else 1, next(chances)))
            channels = filters * expansion
        parts[f"layer{stage + 1}"] = nn.Sequential(*blocks)
    parts |= {"avgpool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(channels, num_classes)}
    network = nn.Sequential(OrderedDict(parts))
    fit_stem(network, "conv1", in_channels, stem, pools=("maxpool",))
    stages = (("conv1", "bn1", "relu", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
    return mark(network, stages=stages, head="fc")


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions, then the shortcut is added; half the side where stride is 2."""

    last_norm = "bn2"

    def __init__(self, in_channels: int, filters: int, stride: int = 1, drop_probability: float = 0.0) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, filters, 3, stride, padding=1, bias=False)
        self.bn1, self.act1 = nn.BatchNorm2d(filters), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2, self.act2 = nn.BatchNorm2d(filters), nn.ReLU(inplace=True)
        self.drop = branch_drop(drop_probability)
        self.downsample = _shortcut(in_channels, filters, stride)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, filters, H, W), H and W divided by the stride."""
        shortcut = x_NCHW if self.downsample is None else self.downsample(x_NCHW)
        inner = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x_NCHW)))))
        out: Tensor = self.act2(self.drop(inner) + shortcut)
        return out


class Bottleneck(nn.Module):
    """1 x 1 to `filters` times base_width / 64 in each of `groups`, 3 x 3 with the stride, 1 x 1 to four times the filters.

    The stride stands in the 3 x 3, as torchvision and Facebook have it, and not in the first 1 x 1 as in the paper.
    """

    last_norm = "bn3"

    def __init__(
        self, in_channels: int, filters: int, stride: int = 1, drop_probability: float = 0.0, *, groups: int = 1, base_width: int = 64
    ) -> None:
        super().__init__()
        width, out_channels = max(1, int(filters * base_width / 64)) * groups, filters * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1, self.act1 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2, self.act2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3, self.act3 = nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
        self.drop = branch_drop(drop_probability)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """(N, 4 filters, H, W), H and W divided by the stride."""
        shortcut = x_NCHW if self.downsample is None else self.downsample(x_NCHW)
        inner = self.act2(self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x_NCHW))))))
        out: Tensor = self.act3(self.drop(self.bn3(self.conv3(inner))) + shortcut)
        return out


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


resnet18 = partial(_resnet, BasicBlock, 1, (2, 2, 2, 2))
resnet34 = partial(_resnet, BasicBlock, 1, (3, 4, 6, 3))
resnet50 = partial(_resnet, Bottleneck, _EXPANSION, (3, 4, 6, 3))
resnet101 = partial(_resnet, Bottleneck, _EXPANSION, (3, 4, 23, 3))
resnet152 = partial(_resnet, Bottleneck, _EXPANSION, (3, 8, 36, 3))
resnext50_32x4d = partial(_resnet, partial(Bottleneck, groups=32, base_width=4), _EXPANSION, (3, 4, 6, 3))
resnext101_32x8d = partial(_resnet, partial(Bottleneck, groups=32, base_width=8), _EXPANSION, (3, 4, 23, 3))
wide_resnet50_2 = partial(_resnet, partial(Bottleneck, base_width=128), _EXPANSION, (3, 4, 6, 3))
wide_resnet101_2 = partial(_resnet, partial(Bottleneck, base_width=128), _EXPANSION, (3, 4, 23, 3))
