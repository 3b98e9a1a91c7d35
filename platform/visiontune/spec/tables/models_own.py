"""Networks written here: neither torchvision nor timm has them, or parts of them are searched that are fixed there."""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Entry, Range

_INNER_DROPOUT = "chance to drop what goes into each hidden dense layer; the paper's is 0.5"
_STOCHASTIC_DEPTH = "chance to leave out the last residual block, falling to 0 at the first (Huang et al. 2016)"
_PREACT = "visiontune.models.architectures.preact_resnet"
_LARGE_PREACT = {
    "stem": Arg(str, "small: 3 x 3, stride 1, no early pooling, for pictures under 64 px", "large", choices=("large", "small")),
    "width_factor": Arg(float, "multiplies the filters of every layer", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 1.0)),
    "depth_factor": Arg(float, "multiplies the layers of every stage, rounded up", 1.0, 0.05, 4.0, auto=(0.5, 1.0)),
    "stochastic_depth": Arg(float, _STOCHASTIC_DEPTH, 0.0, 0.0, 0.9, auto=Range(0.0, 0.3)),
}

OWN_MODELS = {
    "lenet5": Entry(
        "LeNet-5 (LeCun et al. 1998), any picture from 4 px; 61,706 parameters at 32 px, grey, 10 classes",
        "visiontune.models.architectures.lenet:lenet5",
        {"width": Arg(int, "multiplies the filters of every layer", 1, 1, 16, auto=(1, 2, 4))},
    ),
    "zfnet": Entry(
        "ZFNet (Zeiler & Fergus 2014), 62,357,608 parameters at 224 px",
        "visiontune.models.architectures.zfnet:zfnet",
        {
            "stem": Arg(str, "small: stride 1 in the first two layers, for pictures under 64 px", "large", choices=("small", "large")),
            "width_factor": Arg(float, "multiplies filters and hidden units", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 1.0)),
            "inner_dropout": Arg(float, _INNER_DROPOUT, 0.5, 0.0, 0.95, auto=Range(0.0, 0.6)),
        },
    ),
    "alexnet_2012": Entry(
        "AlexNet as published for two GPUs (Krizhevsky et al. 2012): grouped convolutions, local response normalisation; "
        "60,965,224 parameters at 224 px",
        "visiontune.models.architectures.alexnet_2012:alexnet_2012",
        {
            "stem": Arg(str, "small: 3 x 3, stride 1, for pictures under 64 px", "large", choices=("small", "large")),
            "width_factor": Arg(float, "multiplies filters and hidden units", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 1.0)),
            "inner_dropout": Arg(float, _INNER_DROPOUT, 0.5, 0.0, 0.95, auto=Range(0.0, 0.6)),
        },
    ),
    "nin": Entry(
        "Network in Network (Lin et al. 2014) in its CIFAR form, 966,986 parameters for 10 classes",
        "visiontune.models.architectures.nin:nin",
        {
            "width_factor": Arg(float, "multiplies filters", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 1.0)),
            "inner_dropout": Arg(
                float, "chance to drop what the first two stages give; the paper's is 0.5", 0.5, 0.0, 0.95, auto=Range(0.0, 0.6)
            ),
        },
    ),
    "wideresnet": Entry(
        "Wide ResNet for small pictures (Zagoruyko & Komodakis 2016), WRN-depth-width; WRN-28-10 has 36.5 M parameters",
        "visiontune.models.architectures.wideresnet:wideresnet",
        {
            "stem": Arg(str, "large: 7 x 7, stride 2, and pooling, for pictures from 128 px", "small", choices=("small", "large")),
            "depth": Arg(int, "layers: 6 n + 4", 16, choices=(10, 16, 22, 28, 34, 40), auto=(10, 16, 22, 28)),
            "width": Arg(int, "k: multiplies the filters 16, 32, 64", 4, 1, 20, auto=(1, 2, 4, 8)),
            "inner_dropout": Arg(
                float, "chance to drop between a block's two convolutions; the paper's is 0 or 0.3", 0.0, 0.0, 0.95, auto=Range(0.0, 0.3)
            ),
            "stochastic_depth": Arg(float, _STOCHASTIC_DEPTH, 0.0, 0.0, 0.9, auto=Range(0.0, 0.3)),
        },
    ),
    "preact_resnet": Entry(
        "ResNet of version 2 for small pictures (He et al. 2016b): ResNet-110 is num_blocks 18, ResNet-164 that as bottlenecks",
        f"{_PREACT}:preact_resnet",
        {
            "num_blocks": Arg(int, "n: in each of three groups; 6 n + 2 layers, as bottlenecks 9 n + 2", 3, 1, 200, auto=(2, 3, 5, 9)),
            "use_bottleneck": Arg(bool, "1 x 1, 3 x 3 and 1 x 1 convolutions, the last to four times the filters", False, auto=ALL),
            "width_factor": Arg(float, "multiplies the filters 16, 32, 64", 1.0, 0.05, 16.0, auto=(1.0, 2.0, 4.0)),
            "stochastic_depth": Arg(float, _STOCHASTIC_DEPTH, 0.0, 0.0, 0.9, auto=Range(0.0, 0.3)),
        },
    ),
    "preact_resnet18": Entry(
        "ResNet-18 of version 2 (He et al. 2016b), 11,687,720 parameters at 1,000 classes", f"{_PREACT}:preact_resnet18", _LARGE_PREACT
    ),
    "preact_resnet34": Entry(
        "ResNet-34 of version 2 (He et al. 2016b), 21,795,880 parameters at 1,000 classes", f"{_PREACT}:preact_resnet34", _LARGE_PREACT
    ),
    "preact_resnet50": Entry(
        "ResNet-50 of version 2 (He et al. 2016b), 25,549,352 parameters at 1,000 classes", f"{_PREACT}:preact_resnet50", _LARGE_PREACT
    ),
    "preact_resnet101": Entry(
        "ResNet-101 of version 2 (He et al. 2016b), 44,541,480 parameters at 1,000 classes", f"{_PREACT}:preact_resnet101", _LARGE_PREACT
    ),
    "preact_resnet152": Entry(
        "ResNet-152 of version 2 (He et al. 2016b), 60,185,128 parameters at 1,000 classes", f"{_PREACT}:preact_resnet152", _LARGE_PREACT
    ),
    "mobilenet_v1": Entry(
        "MobileNet v1 (Howard et al. 2017), 4,231,976 parameters at 1,000 classes",
        "visiontune.models.architectures.mobilenet:mobilenet_v1",
        {
            "stem": Arg(str, "small: stride 1, for pictures under 64 px", "large", choices=("small", "large")),
            "width_factor": Arg(float, "alpha: multiplies the filters of every layer", 1.0, 0.05, 4.0, auto=(0.25, 0.5, 0.75, 1.0)),
        },
    ),
    "cnn": Entry(
        "plain stages of convolution, batch normalisation, activation and pooling, every part of which can be searched",
        "visiontune.models.architectures.cnn:cnn",
        {
            "width": Arg(int, "filters of the first stage", 32, 1, 512, auto=Range(16, 64, log=True)),
            "depth": Arg(int, "number of stages; each halves the picture", 3, 1, 8, auto=Range(2, 4)),
            "num_layers": Arg(int, "blocks in each stage", 1, 1, 16, auto=Range(1, 2)),
            "growth": Arg(float, "factor of the filters from stage to stage; 1.0 keeps them", 2.0, 1.0, 4.0, auto=(1.0, 2.0)),
            "kernel_size": Arg(int, "pixels; odd", 3, choices=(1, 3, 5, 7, 9, 11), auto=(3, 5)),
            "block": Arg(
                str,
                "what a stage is made of",
                "plain",
                choices=("plain", "inception", "residual", "dense"),
                auto=ALL,
            ),
            "use_bottleneck": Arg(
                bool,
                "1 x 1 convolutions to a quarter of the filters before the wide ones (GoogLeNet's: 3/8 and 1/16)",
                False,
                auto=ALL,
            ),
            "convolution": Arg(
                str,
                "separable: one filter for each channel, then 1 x 1",
                "plain",
                choices=("plain", "grouped", "separable"),
                auto=ALL,
            ),
            "num_conv_groups": Arg(int, "of grouped convolutions, where the channels can be divided so", 4, 1, 64),
            "dilation": Arg(int, "distance in pixels of what a filter sees", 1, 1, 4),
            "padding": Arg(str, "same: zeros around the picture; valid: none", "same", choices=("same", "valid")),
            "down": Arg(
                str,
                "2 x 2 pooling at the end of each stage, or stride 2 in its first convolution",
                "max",
                choices=("max", "mean", "stride"),
                auto=ALL,
            ),
            "norm_place": Arg(str, "of the normalisation: before or after the activation", "before", choices=("before", "after"), auto=ALL),
            "num_pieces": Arg(
                int,
                "maxout: the largest of so many convolutions stands for the activation (Goodfellow et al. 2013, with 2); 1: none",
                1,
                1,
                16,
            ),
            "squeeze_ratio": Arg(
                int,
                "squeeze-and-excitation after each block, hidden channels divided by this (Hu et al. 2018, with 16); 0: none",
                0,
                0,
                512,
                auto=(0, 4, 16),
            ),
            "head": Arg(
                str,
                "global average pooling, or all positions flattened into a dense layer",
                "average",
                choices=("average", "flatten"),
                auto=ALL,
            ),
            "num_hidden": Arg(int, "hidden units of a flattened head; 0: none", 128, 0, 8192),
            "stochastic_depth": Arg(float, f"of block residual: {_STOCHASTIC_DEPTH}", 0.0, 0.0, 0.9, auto=Range(0.0, 0.3)),
        },
    ),
}
