"""Networks of torchvision, and of timm where torchvision has them not."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry

ZOO_MODELS = {
    "resnet18": Entry(
        "ResNet-18 (He et al. 2016) from torchvision",
        "visiontune.models.zoo:resnet18",
        {"stem": Arg(str, "small: 3 x 3, stride 1, no pooling, for pictures under 64 px", "large", choices=("small", "large"))},
    ),
}
