"""Architectures, activations and initialisations. Builders take (num_classes, in_channels, image_size) and `args`."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

MODELS = Table(
    "model",
    {
        "lenet5": Entry(
            "LeNet-5 (LeCun et al. 1998), any picture from 8 px; 61,706 parameters at 32 px, grey, 10 classes",
            "visiontune.models.lenet:lenet5",
            {"width": Arg(int, "multiplies the filters of every layer", 1, 1, 16)},
        ),
        "cnn": Entry(
            "plain stages of convolution, batch normalisation, activation and 2 x 2 max pooling; global average head",
            "visiontune.models.cnn:cnn",
            {
                "width": Arg(int, "filters of the first stage; each stage doubles them", 32, 1, 512),
                "depth": Arg(int, "number of stages; each halves the picture", 3, 1, 8),
                "kernel_size": Arg(int, "pixels; odd", 3, choices=(1, 3, 5, 7)),
            },
        ),
        "resnet18": Entry(
            "ResNet-18 (He et al. 2016) from torchvision",
            "visiontune.models.zoo:resnet18",
            {"stem": Arg(str, "small: 3 x 3, stride 1, no pooling, for pictures under 64 px", "large", choices=("small", "large"))},
        ),
    },
)

ACTIVATIONS = Table(
    "activation",
    {
        "relu": Entry("max(0, x)", "torch.nn:ReLU"),
        "leaky_relu": Entry(
            "x if x > 0 else slope * x (Maas et al. 2013)",
            "visiontune.models.activations:leaky_relu",
            {"slope": Arg(float, "of the negative side", 0.01, 0.0, 1.0)},
        ),
        "prelu": Entry(
            "Leaky ReLU with one learned slope for each layer (He et al. 2015)",
            "visiontune.models.activations:prelu",
            {"slope": Arg(float, "first value of the learned slope", 0.25, 0.0, 1.0)},
        ),
        "elu": Entry(
            "x if x > 0 else alpha * (exp(x) - 1) (Clevert et al. 2016)",
            "torch.nn:ELU",
            {"alpha": Arg(float, "minus the value at minus infinity", 1.0, 0.01, 10.0)},
        ),
    },
    default="relu",
)

INITS = Table(
    "init",
    {
        "he_normal": Entry("variance gain^2 / fan_in (He et al. 2015)", "visiontune.models.initialise:he_normal"),
        "he_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:he_uniform"),
        "glorot_normal": Entry("variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)", "visiontune.models.initialise:glorot_normal"),
        "glorot_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:glorot_uniform"),
        "lecun_normal": Entry("variance 1 / fan_in (LeCun et al. 1998)", "visiontune.models.initialise:lecun_normal"),
        "lecun_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:lecun_uniform"),
    },
    default="he_normal",
)
