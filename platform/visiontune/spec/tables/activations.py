"""Activations and normalisations, swapped in wherever a network has its own. `published` leaves what it has.

An activation's builder takes `args`, a normalisation's (num_channels) and `args`; both give a module.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Entry, Range, Table

_OWN = "visiontune.models.activation"

ACTIVATIONS = Table(
    "activation",
    {
        "published": Entry("the network's own"),
        "sigmoid": Entry("1 / (1 + exp(-x))", f"{_OWN}:sigmoid"),
        "tanh": Entry("hyperbolic tangent", f"{_OWN}:tanh"),
        "relu": Entry("max(0, x)", "torch.nn:ReLU"),
        "leaky_relu": Entry(
            "x if x > 0 else slope * x (Maas et al. 2013)",
            f"{_OWN}:leaky_relu",
            {
                "slope": Arg(float, "of the negative side", 0.01, 0.0, 1.0, auto=Range(0.01, 0.3, log=True)),
                "a": Arg(float, "slope is 1 / a, as Xu et al. 2015 write it: 100 is leaky, 5.5 very leaky; 0: slope counts", 0.0, 0.0, 1e6),
            },
            excludes={"slope": "a"},
        ),
        "prelu": Entry(
            "Leaky ReLU with a learned slope (He et al. 2015)",
            f"{_OWN}:prelu",
            {
                "slope": Arg(float, "first value of the learned slope", 0.25, 0.0, 1.0),
                "per": Arg(str, "what has a slope of its own", "layer", choices=("layer", "channel"), auto=ALL),
            },
        ),
        "rrelu": Entry(
            "Leaky ReLU with a random slope while training, their mean after it (Xu et al. 2015)",
            f"{_OWN}:rrelu",
            {
                "lower": Arg(float, "least slope", 1 / 8, 0.0, 1.0),
                "upper": Arg(float, "largest slope", 1 / 3, 0.0, 1.0),
            },
        ),
        "elu": Entry(
            "x if x > 0 else alpha * (exp(x) - 1) (Clevert et al. 2016)",
            "torch.nn:ELU",
            {"alpha": Arg(float, "minus the value at minus infinity", 1.0, 0.01, 10.0, auto=Range(0.5, 2.0))},
        ),
        "selu": Entry("ELU whose constants keep mean 0 and variance 1; meant for lecun_normal (Klambauer et al. 2017)", "torch.nn:SELU"),
        "celu": Entry(
            "x if x > 0 else alpha * (exp(x / alpha) - 1): ELU with a slope of 1 at 0 (Barron 2017)",
            "torch.nn:CELU",
            {"alpha": Arg(float, "minus the value at minus infinity", 1.0, 0.01, 10.0, auto=Range(0.5, 2.0))},
        ),
        "gelu": Entry("x times the chance that a standard normal is below x (Hendrycks & Gimpel 2016)", "torch.nn:GELU"),
        "silu": Entry("x * sigmoid(x), also called swish (Elfwing et al. 2018, Ramachandran et al. 2017)", "torch.nn:SiLU"),
        "mish": Entry("x * tanh(softplus(x)) (Misra 2020)", "torch.nn:Mish"),
        "softplus": Entry(
            "log(1 + exp(beta * x)) / beta, a smooth ReLU (Dugas et al. 2001)",
            f"{_OWN}:softplus",
            {"beta": Arg(float, "the larger, the nearer to ReLU", 1.0, 0.1, 100.0)},
        ),
        "hard_swish": Entry("x * min(max(x + 3, 0), 6) / 6 (Howard et al. 2019)", "torch.nn:Hardswish"),
    },
    default="published",
)

_NORMS = "visiontune.models.norm"

NORMS = Table(
    "norm",
    {
        "published": Entry("the network's own or none; each of the others goes after every convolution where it has none"),
        "batch": Entry("over the batch, each channel by itself (Ioffe & Szegedy 2015)", f"{_NORMS}:batch"),
        "group": Entry(
            "over groups of channels of each picture (Wu & He 2018)",
            f"{_NORMS}:group",
            {"num_groups": Arg(int, "the largest divisor of the channels up to this", 32, 1, 4096, auto=(8, 16, 32))},
        ),
        "layer": Entry("over all channels and positions of each picture (Ba et al. 2016)", f"{_NORMS}:layer"),
        "none": Entry("taken away; convolutions get no bias in exchange", f"{_NORMS}:none"),
    },
    default="published",
)
