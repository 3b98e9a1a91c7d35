"""Losses. A builder takes (label_smoothing, weight_K or None) and `args`, and gives the mean loss of logits_NK and y_N; or an `OfMixed`."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Range, Table

LOSSES = Table(
    "loss",
    {
        "cross_entropy": Entry("minus the logarithm of the right class's probability p", "visiontune.training.loss:cross_entropy"),
        "focal": Entry(
            "cross-entropy times (1 - p)^focal_gamma: easy pictures count less (Lin et al. 2017)",
            "visiontune.training.loss:focal",
            {"focal_gamma": Arg(float, "0 is cross-entropy", 2.0, 0.0, 10.0, auto=Range(0.5, 5.0))},
        ),
        "binary_cross_entropy": Entry(
            "each class for itself, by the sigmoid of its score, summed over classes; targets may be shares, of mixed pictures and "
            "smoothed labels (Wightman et al. 2021, ResNet strikes back)",
            "visiontune.training.loss:binary_cross_entropy",
            {
                "target_threshold": Arg(
                    float,
                    "targets above it count as 1, others as 0, after mixing and smoothing (the paper's A1 to A3); none: as they are",
                    "none",
                    0.0,
                    0.99,
                    also=("none",),
                    auto=("none", 0.2),
                )
            },
        ),
    },
    default="cross_entropy",
)
