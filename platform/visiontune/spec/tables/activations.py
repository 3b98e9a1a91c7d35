"""Activations and normalisations, swapped in wherever a network has its own."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

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

NORMS = Table("norm", {"published": Entry("the network's own")}, default="published")
