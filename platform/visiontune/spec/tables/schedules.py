"""Learning-rate schedules: multipliers of the peak rate over the full budget."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

_WARMUP = {"warmup_epochs": Arg(int, "epochs of linear rise from lr / steps to lr", 0, 0, 100_000)}

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
