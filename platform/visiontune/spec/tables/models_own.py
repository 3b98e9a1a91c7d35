"""Networks written here, because neither torchvision nor timm has them or because every part of them is searched."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry

OWN_MODELS = {
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
}
