"""Against classes of unequal size: which pictures an epoch shows, and how much each class weighs in the loss."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

BALANCES = Table(
    "balance",
    {
        "none": Entry("every training picture once an epoch", "visiontune.training.class_balance:every_once"),
        "balanced": Entry(
            "every batch with all classes equally often; as many pictures an epoch as there are",
            "visiontune.training.class_balance:balanced",
        ),
        "oversample": Entry(
            "every picture, and those of rare classes repeated; longer epochs, and copies differ where there is augmentation",
            "visiontune.training.class_balance:oversample",
            {"strength": Arg(float, "share of the gap to the largest class that repeats fill", 1.0, 0.0, 1.0, auto=Range(0.0, 1.0))},
        ),
    },
    default="none",
)

CLASS_WEIGHTS = Table(
    "class weighting",
    {
        "none": Entry("every picture weighs the same"),
        "inverse_frequency": Entry("1 / n for a class of n training pictures", "visiontune.training.class_balance:inverse_frequency"),
        "effective_number": Entry(
            "(1 - class_beta) / (1 - class_beta^n) (Cui et al. 2019)",
            "visiontune.training.class_balance:effective_number",
            {
                "class_beta": Arg(
                    float,
                    "0 weighs all classes the same, towards 1 it becomes inverse_frequency",
                    0.999,
                    0.0,
                    0.999999,
                    auto=(0.9, 0.99, 0.999, 0.9999),
                )
            },
        ),
    },
    default="none",
)
