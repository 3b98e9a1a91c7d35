"""Networks from torchvision, with a stem for small pictures and one activation module for each place it acts.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK. The classifier is the child named `fc`; parameters
bear torchvision's names, so that its published weights load.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from visiontune.models.anatomy import mark


class Block(nn.Module):
    """torchvision's BasicBlock, but with two activation modules in place of one called twice: a learned slope is one layer's own."""

    expansion = 1
    last_norm = "bn2"

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None, *_: Any, **__: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.act2 = nn.ReLU()
        self.downsample = downsample

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """The block's output; half the size where stride is 2."""
        shortcut = x_NCHW if self.downsample is None else self.downsample(x_NCHW)
        inner = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x_NCHW)))))
        out: Tensor = self.act2(inner + shortcut)
        return out


def resnet18(*, num_classes: int, in_channels: int, image_size: int, stem: str = "large") -> nn.Module:
    """ResNet-18; 11,689,512 parameters at 1,000 classes, 3 channels and the large stem (7 x 7, stride 2, pooling).

    `image_size` changes nothing: the head averages over what is left of the picture.
    """
    if stem not in ("small", "large"):
        raise ValueError(f"stem must be 'small' or 'large', got {stem!r}")
    from torchvision.models.resnet import ResNet  # 1.8 s: paid only by who asks for this network

    network: nn.Module = ResNet(Block, [2, 2, 2, 2], num_classes=num_classes)
    if stem == "small":
        network.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif in_channels != 3:
        network.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
    stages = (("conv1", "bn1", "relu", "maxpool"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
    return mark(network, stages=stages, head="fc")
