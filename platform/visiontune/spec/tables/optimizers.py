"""Optimizers. A builder takes (params, decayed params) and `args`; the learning rate comes with each step."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

_DECAY = "decoupled: parameters shrink by lr * weight_decay a step (Loshchilov & Hutter 2019)"
_BETAS = {
    "beta1": Arg(float, "decay of the first moment", 0.9, 0.0, 0.9999),
    "beta2": Arg(float, "decay of the second moment", 0.999, 0.0, 0.99999),
    "eps": Arg(float, "added to the root of the second moment", 1e-8, 1e-16, 1.0),
}
OPTIMIZERS = Table(
    "optimizer",
    {
        "sgd": Entry(
            "stochastic gradient descent with momentum (torch.optim.SGD)",
            "visiontune.training.optimizers:sgd",
            {
                "momentum": Arg(float, "0 for none", 0.9, 0.0, 0.9999),
                "nesterov": Arg(bool, "look ahead; needs momentum", False),
                "weight_decay": Arg(float, _DECAY, 0.0, 0.0, 1.0),
            },
            needs={"nesterov": "momentum"},
        ),
        "adam": Entry("Adam (Kingma & Ba 2015; torch.optim.Adam)", "visiontune.training.optimizers:adam", _BETAS),
        "adamw": Entry(
            "Adam with decoupled decay (torch.optim.AdamW)",
            "visiontune.training.optimizers:adamw",
            {**_BETAS, "weight_decay": Arg(float, _DECAY, 0.01, 0.0, 1.0)},
        ),
    },
)
