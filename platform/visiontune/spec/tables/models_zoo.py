"""Networks of torchvision, and of timm where torchvision has them not. Parameters are counted at 1,000 classes and 3 channels."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range

_PLAIN = "visiontune.models.architectures.torchvision_plain"
_INCEPTION = "visiontune.models.architectures.torchvision_inception"
_RESNET = "visiontune.models.architectures.torchvision_resnet"
_DENSENET = "visiontune.models.architectures.torchvision_densenet"
_MOBILE = "visiontune.models.architectures.torchvision_mobile"
_CONVNEXT = "visiontune.models.architectures.torchvision_convnext"
_TIMM = "visiontune.models.architectures.timm_inception"

_STEM = Arg(str, "small: 3 x 3, stride 1, no early pooling, for pictures under 64 px", "large", choices=("large", "small"))
_WIDTH = Arg(float, "multiplies the filters of every layer", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 1.0))
_DEPTH = Arg(float, "multiplies the layers of every stage, rounded up", 1.0, 0.05, 4.0, auto=(0.5, 1.0))
_STOCHASTIC_DEPTH = Arg(
    float, "chance to leave out the last block's branch, falling to 0 at the first (Huang et al. 2016)", 0.0, 0.0, 0.9, auto=Range(0.0, 0.3)
)
_AUX_WEIGHT = Arg(float, "of the loss of each auxiliary classifier; 0: none; the paper's is 0.3", 0.3, 0.0, 1.0)
_INNER_DROPOUT = Arg(
    float,
    "chance to drop between the dense layers, but before the last, where `dropout` acts; the papers' is 0.5",
    0.5,
    0.0,
    0.95,
    auto=Range(0.0, 0.6),
)

_DENSE_HEAD = {"width_factor": _WIDTH, "inner_dropout": _INNER_DROPOUT}
_BRANCHED = {"stem": _STEM, "aux_weight": _AUX_WEIGHT}
_SCALED = {"stem": _STEM, "width_factor": _WIDTH, "depth_factor": _DEPTH}
_RESIDUAL = {**_SCALED, "stochastic_depth": _STOCHASTIC_DEPTH}
_MOBILENET = {"stem": _STEM, "width_factor": _WIDTH, "stochastic_depth": _STOCHASTIC_DEPTH}
_FIXED = {"stem": _STEM, "stochastic_depth": _STOCHASTIC_DEPTH}

LIBRARY = "library"
"""Networks by another library's name: they are drawn by its own rules, and nothing is known of them before they are built."""
_KWARGS = Arg(dict, "what the library's class is built with beside sizes, such as {patch_size: 4, depth: 6}; no domains", {})
_ANY = {"stochastic_depth": _STOCHASTIC_DEPTH, "kwargs": _KWARGS}

LIBRARY_MODELS = {
    "timm": Entry(
        "any network of timm; `visiontune list models --timm PATTERN` has their names",
        "visiontune.models.architectures.any_timm:timm_network",
        {"model": Arg(str, "timm's name, such as vit_small_patch16_dinov3.lvd1689m; the tag says which weights are `published`"), **_ANY},
        traits=frozenset({LIBRARY}),
    ),
    "torchvision": Entry(
        "any classifier of torchvision",
        "visiontune.models.architectures.any_torchvision:torchvision_network",
        {"model": Arg(str, "torchvision's name, such as swin_v2_t"), **_ANY},
        traits=frozenset({LIBRARY}),
    ),
}

ZOO_MODELS = {
    "alexnet": Entry(
        "AlexNet (Krizhevsky 2014, one GPU), 61,100,840 parameters", f"{_PLAIN}:alexnet", {"stem": _STEM, "inner_dropout": _INNER_DROPOUT}
    ),
    "vgg11": Entry("VGG-11 (Simonyan & Zisserman 2015), 132,863,336 parameters", f"{_PLAIN}:vgg11", _DENSE_HEAD),
    "vgg13": Entry("VGG-13 (Simonyan & Zisserman 2015), 133,047,848 parameters", f"{_PLAIN}:vgg13", _DENSE_HEAD),
    "vgg16": Entry("VGG-16 (Simonyan & Zisserman 2015), 138,357,544 parameters", f"{_PLAIN}:vgg16", _DENSE_HEAD),
    "vgg19": Entry("VGG-19 (Simonyan & Zisserman 2015), 143,667,240 parameters", f"{_PLAIN}:vgg19", _DENSE_HEAD),
    "vgg11_bn": Entry("VGG-11 with batch normalisation, 132,868,840 parameters", f"{_PLAIN}:vgg11_bn", _DENSE_HEAD),
    "vgg13_bn": Entry("VGG-13 with batch normalisation, 133,053,736 parameters", f"{_PLAIN}:vgg13_bn", _DENSE_HEAD),
    "vgg16_bn": Entry("VGG-16 with batch normalisation, 138,365,992 parameters", f"{_PLAIN}:vgg16_bn", _DENSE_HEAD),
    "vgg19_bn": Entry("VGG-19 with batch normalisation, 143,678,248 parameters", f"{_PLAIN}:vgg19_bn", _DENSE_HEAD),
    "googlenet": Entry(
        "GoogLeNet (Szegedy et al. 2015), 6,624,904 parameters; with its two auxiliary classifiers 13,004,888",
        f"{_INCEPTION}:googlenet",
        {
            "stem": _STEM,
            "wide_kernel": Arg(
                int, "of each module's widest convolution: 5 is the paper's, 3 torchvision's and its weights'", 3, choices=(3, 5)
            ),
            "aux_weight": _AUX_WEIGHT,
        },
    ),
    "inception_v3": Entry(
        "Inception-v3 (Szegedy et al. 2016), 23,834,568 parameters; with its auxiliary classifier 27,161,264",
        f"{_INCEPTION}:inception_v3",
        _BRANCHED,
    ),
    "inception_resnet_v2": Entry(
        "Inception-ResNet-v2 (Szegedy et al. 2017), 55,843,464 parameters", f"{_TIMM}:inception_resnet_v2", {"stem": _STEM}
    ),
    "xception": Entry("Xception (Chollet 2017), 22,855,952 parameters", f"{_TIMM}:xception", _FIXED),
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
    "densenet121": Entry("DenseNet-121 (Huang et al. 2017), 7,978,856 parameters", f"{_DENSENET}:densenet121", _SCALED),
    "densenet161": Entry("DenseNet-161 (Huang et al. 2017), 28,681,000 parameters", f"{_DENSENET}:densenet161", _SCALED),
    "densenet169": Entry("DenseNet-169 (Huang et al. 2017), 14,149,480 parameters", f"{_DENSENET}:densenet169", _SCALED),
    "densenet201": Entry("DenseNet-201 (Huang et al. 2017), 20,013,928 parameters", f"{_DENSENET}:densenet201", _SCALED),
    "efficientnet": Entry("EfficientNet (Tan & Le 2019) scaled at will: B0 times the factors", f"{_MOBILE}:efficientnet", _RESIDUAL),
    "efficientnet_b0": Entry(
        "EfficientNet-B0 (Tan & Le 2019), made for 224 px, 5,288,548 parameters", f"{_MOBILE}:efficientnet_b0", _FIXED
    ),
    "efficientnet_b1": Entry(
        "EfficientNet-B1 (Tan & Le 2019), made for 240 px, 7,794,184 parameters", f"{_MOBILE}:efficientnet_b1", _FIXED
    ),
    "efficientnet_b2": Entry(
        "EfficientNet-B2 (Tan & Le 2019), made for 260 px, 9,109,994 parameters", f"{_MOBILE}:efficientnet_b2", _FIXED
    ),
    "efficientnet_b3": Entry(
        "EfficientNet-B3 (Tan & Le 2019), made for 300 px, 12,233,232 parameters", f"{_MOBILE}:efficientnet_b3", _FIXED
    ),
    "efficientnet_b4": Entry(
        "EfficientNet-B4 (Tan & Le 2019), made for 380 px, 19,341,616 parameters", f"{_MOBILE}:efficientnet_b4", _FIXED
    ),
    "efficientnet_b5": Entry(
        "EfficientNet-B5 (Tan & Le 2019), made for 456 px, 30,389,784 parameters", f"{_MOBILE}:efficientnet_b5", _FIXED
    ),
    "efficientnet_b6": Entry(
        "EfficientNet-B6 (Tan & Le 2019), made for 528 px, 43,040,704 parameters", f"{_MOBILE}:efficientnet_b6", _FIXED
    ),
    "efficientnet_b7": Entry(
        "EfficientNet-B7 (Tan & Le 2019), made for 600 px, 66,347,960 parameters", f"{_MOBILE}:efficientnet_b7", _FIXED
    ),
    "mobilenet_v2": Entry("MobileNet-v2 (Sandler et al. 2018), 3,504,872 parameters", f"{_MOBILE}:mobilenet_v2", _MOBILENET),
    "mobilenet_v3_small": Entry(
        "MobileNet-v3 small (Howard et al. 2019), 2,542,856 parameters", f"{_MOBILE}:mobilenet_v3_small", _MOBILENET
    ),
    "mobilenet_v3_large": Entry(
        "MobileNet-v3 large (Howard et al. 2019), 5,483,032 parameters", f"{_MOBILE}:mobilenet_v3_large", _MOBILENET
    ),
    "convnext_tiny": Entry("ConvNeXt tiny (Liu et al. 2022), 28,589,128 parameters", f"{_CONVNEXT}:convnext_tiny", _RESIDUAL),
    "convnext_small": Entry("ConvNeXt small (Liu et al. 2022), 50,223,688 parameters", f"{_CONVNEXT}:convnext_small", _RESIDUAL),
    "convnext_base": Entry("ConvNeXt base (Liu et al. 2022), 88,591,464 parameters", f"{_CONVNEXT}:convnext_base", _RESIDUAL),
    "convnext_large": Entry("ConvNeXt large (Liu et al. 2022), 197,767,336 parameters", f"{_CONVNEXT}:convnext_large", _RESIDUAL),
}
