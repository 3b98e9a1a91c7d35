"""Losses. A builder takes (label_smoothing, weight_K or None) and `args`, and gives the mean loss of logits_NK and y_N; or an `OfMixed`.

One of the trait SEVERAL_LABELS also takes members_SK, (S, K) which classes each set has, where y_N number sets of classes.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

SEVERAL_LABELS = "several labels"

LOSSES = Table(
    "loss",
    {
        "cross_entropy": Entry("minus the logarithm of the right class's probability p", "visiontune.training.mean_losses:cross_entropy"),
        "focal": Entry(
            "cross-entropy times (1 - p)^focal_gamma: easy pictures count less (Lin et al. 2017); of several classes each by its sigmoid",
            "visiontune.training.mean_losses:focal",
            {"focal_gamma": Arg(float, "0 is cross-entropy", 2.0, 0.0, 10.0, auto=Range(0.5, 5.0))},
            traits=frozenset({SEVERAL_LABELS}),
        ),
        "binary_cross_entropy": Entry(
            "each class for itself, by the sigmoid of its score, summed over classes; targets may be shares, of mixed pictures and "
            "smoothed labels (Wightman et al. 2021, ResNet strikes back)",
            "visiontune.training.mean_losses:binary_cross_entropy",
            {
                "pos_weight": Arg(
                    float,
                    "what a class that is there counts, where 1 counts one that is not, as torch has it; balanced: for each class the "
                    "training pictures without it by those with it",
                    1.0,
                    1e-3,
                    1e3,
                    also=("balanced",),
                ),
                "target_threshold": Arg(
                    float,
                    "targets above it count as 1, others as 0, after mixing and smoothing (the paper's A1 to A3); none: as they are",
                    "none",
                    0.0,
                    0.99,
                    also=("none",),
                    auto=("none", 0.2),
                ),
            },
            traits=frozenset({SEVERAL_LABELS}),
        ),
    },
    default="cross_entropy",
)
