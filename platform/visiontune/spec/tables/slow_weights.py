"""What leads an optimizer's weights back, around any of them. A builder takes the network and `args`, and gives `SlowWeights`."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Table

_HERE = "visiontune.training.optim.lookahead"

SLOW_WEIGHTS = Table(
    "slow weights",
    {
        "none": Entry("the optimizer's weights alone", f"{_HERE}:none"),
        "lookahead": Entry(
            "every few steps, and at the end of an epoch, weights go back part of the way to where they were then (Zhang et al. 2019)",
            f"{_HERE}:lookahead",
            {
                "lookahead_steps": Arg(int, "k: steps between", 5, 1, 10_000, auto=(5, 10, 20)),
                "lookahead_alpha": Arg(float, "part of the way that is kept", 0.5, 0.01, 1.0, auto=(0.2, 0.5, 0.8)),
            },
        ),
    },
    default="none",
)
