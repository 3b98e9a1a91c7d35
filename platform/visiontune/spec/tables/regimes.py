"""Transfer learning: the four corners of the lectures' table of little or much data and a similar or a different task; full fine-tuning.

Every regime but scratch starts from pretrained weights under a fresh head. `weights` is the path of a safetensors file, as
`visiontune train --out` writes it, or one of torchvision's or timm's own names, downloaded through them; pictures are scaled as
theirs were (`preprocessing: as_pretrained`) unless the file says otherwise.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

PUBLISHED = "published"
"""Weights by the network's own name, so that a search over networks needs one word."""

_WEIGHTS = {
    "weights": Arg(
        str,
        "PATH.safetensors, or a name like ResNet18_Weights.IMAGENET1K_V1 (torchvision) or resnet18.a1_in1k (timm); "
        "published: what the library has for the network",
    )
}

REGIMES = Table(
    "regime",
    {
        "scratch": Entry("no transfer: everything is trained from its initialisation"),
        "linear": Entry(
            "little data, similar task: a linear classifier on the last features; all else is frozen",
            "visiontune.models.transfer:linear",
            _WEIGHTS,
        ),
        "multi_depth": Entry(
            "little data, different task: a linear classifier on features from several depths; all else is frozen",
            "visiontune.models.transfer:multi_depth",
            {**_WEIGHTS, "num_depths": Arg(int, "last stages whose averaged outputs the classifier sees", 3, 1, 100, auto=Range(2, 3))},
        ),
        "fine_tune_last": Entry(
            "much data, similar task: the last stages and the head are trained on from their pretrained weights",
            "visiontune.models.transfer:fine_tune_last",
            {**_WEIGHTS, "num_stages": Arg(int, "last stages that are trained", 1, 1, 100, auto=Range(1, 2))},
        ),
        "fine_tune": Entry(
            "everything is trained on from its pretrained weights; the optimizer's head_lr_factor and layer_decay say how fast what learns",
            "visiontune.models.transfer:fine_tune",
            _WEIGHTS,
        ),
        "lp_ft": Entry(
            "first the head alone on frozen features, then everything with an optimizer begun anew (Kumar et al. 2022)",
            "visiontune.models.lp_ft:lp_ft",
            {
                **_WEIGHTS,
                "head_epochs": Arg(int, "epochs in which the head learns alone; at least one is left for the rest", 1, 1, 100_000),
                "head_share": Arg(
                    float, "the same as a share of the full budget; 0: head_epochs counts", 0.0, 0.0, 0.9, auto=Range(0.1, 0.5)
                ),
            },
            excludes={"head_epochs": "head_share"},
        ),
        "freeze_first": Entry(
            "much data, different task: the first stages are frozen and the rest is trained on",
            "visiontune.models.transfer:freeze_first",
            {**_WEIGHTS, "num_frozen": Arg(int, "first stages, the stem counted, that stay as they are", 1, 1, 100, auto=Range(1, 2))},
        ),
    },
    default="scratch",
)
PRETRAINED = tuple(name for name, entry in REGIMES.entries.items() if "weights" in entry.args)
"""Regimes that start from weights."""
