"""Networks of torchvision, and of timm where torchvision has them not. Parameters are counted at 1,000 classes and 3 channels."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry

_RESNET = "visiontune.models.torchvision_resnet"

_STEM = Arg(str, "small: 3 x 3, stride 1, no early pooling, for pictures under 64 px", "large", choices=("large", "small"))
_WIDTH = Arg(float, "multiplies the filters of every layer", 1.0, 0.05, 4.0)
_DEPTH = Arg(float, "multiplies the blocks of every stage, rounded up", 1.0, 0.05, 4.0)
_STOCHASTIC_DEPTH = Arg(float, "chance to leave out the last block's branch, falling to 0 at the first (Huang et al. 2016)", 0.0, 0.0, 0.9)

_RESIDUAL = {"stem": _STEM, "width_factor": _WIDTH, "depth_factor": _DEPTH, "stochastic_depth": _STOCHASTIC_DEPTH}

ZOO_MODELS = {
    "resnet18": Entry("ResNet-18 (He et al. 2016), 11,689,512 parameters", f"{_RESNET}:resnet18", _RESIDUAL),
    "resnet34": Entry("ResNet-34 (He et al. 2016), 21,797,672 parameters", f"{_RESNET}:resnet34", _RESIDUAL),
    "resnet50": Entry("ResNet-50 (He et al. 2016), 25,557,032 parameters", f"{_RESNET}:resnet50", _RESIDUAL),
    "resnet101": Entry("ResNet-101 (He et al. 2016), 44,549,160 parameters", f"{_RESNET}:resnet101", _RESIDUAL),
    "resnet152": Entry("ResNet-152 (He et al. 2016), 60,192,808 parameters", f"{_RESNET}:resnet152", _RESIDUAL),
    "resnext50_32x4d": Entry("ResNeXt-50 (Xie et al. 2017), 25,028,904 parameters", f"{_RESNET}:resnext50_32x4d", _RESIDUAL),
    "resnext101_32x8d": Entry("ResNeXt-101 (Xie et al. 2017), 88,791,336 parameters", f"{_RESNET}:resnext101_32x8d", _RESIDUAL),
    "wide_resnet50_2": Entry(
        "Wide ResNet-50-2 (Zagoruyko & Komodakis 2016), 68,883,240 parameters", f"{_RESNET}:wide_resnet50_2", _RESIDUAL
    ),
    "wide_resnet101_2": Entry(
        "Wide ResNet-101-2 (Zagoruyko & Komodakis 2016), 126,886,696 parameters", f"{_RESNET}:wide_resnet101_2", _RESIDUAL
    ),
}
