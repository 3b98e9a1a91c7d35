"""Optimizers, learning-rate schedules and the metrics that every epoch reports."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

_DECAY = "decoupled: parameters shrink by lr * weight_decay a step (Loshchilov & Hutter 2019)"
_BETAS = {
    "beta1": Arg(float, "decay of the first moment", 0.9, 0.0, 0.9999),
    "beta2": Arg(float, "decay of the second moment", 0.999, 0.0, 0.99999),
    "eps": Arg(float, "added to the root of the second moment", 1e-8, 1e-16, 1.0),
}
_WARMUP = {"warmup_epochs": Arg(int, "epochs of linear rise from lr / steps to lr", 0, 0, 100_000)}

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

LR_SCHEDULES = Table(
    "lr schedule",
    {
        "constant": Entry("multiplier 1", "visiontune.training.schedules:constant", _WARMUP),
        "step": Entry(
            "times gamma every step_epochs",
            "visiontune.training.schedules:step",
            {
                **_WARMUP,
                "step_epochs": Arg(int, "epochs between two drops", 10, 1, 100_000),
                "gamma": Arg(float, "factor of a drop", 0.1, 1e-6, 1.0),
            },
        ),
        "cosine": Entry(
            "half a cosine from 1 to final_fraction over the full budget (Loshchilov & Hutter 2017)",
            "visiontune.training.schedules:cosine",
            {**_WARMUP, "final_fraction": Arg(float, "multiplier at the end", 0.0, 0.0, 1.0)},
        ),
        "plateau": Entry(
            "times factor when val_loss has not fallen for patience_epochs (torch's ReduceLROnPlateau)",
            "visiontune.training.schedules:plateau",
            {
                **_WARMUP,
                "factor": Arg(float, "factor of a drop", 0.1, 1e-6, 0.999),
                "patience_epochs": Arg(int, "epochs without a lower val_loss before a drop", 2, 0, 100_000),
            },
        ),
    },
    default="constant",
)

METRICS = {"val_top1": "max", "val_loss": "min", "train_loss": "min"}
"""What every trial reports after every epoch, and which way is better."""
