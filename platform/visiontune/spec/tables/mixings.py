"""Mixing: what happens to whole batches of training pictures on the device, after the policy and the preprocessing.

A builder takes the entry's arguments and gives a function of (x_NCHW, y_N, generator). `mixing_probability` is the share of
batches that are mixed: Yun et al. 2019 mix half of CIFAR's batches and all of ImageNet's.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Range, Table

_HERE = "visiontune.augmentation.mixing"
_SHARE = {"mixing_probability": Arg(float, "chance that a batch is mixed", 1.0, 0.0, 1.0, auto=Range(0.1, 1.0))}
_MIXUP = {"mixup_alpha": Arg(float, "the share of a picture is drawn from Beta(alpha, alpha)", 0.2, 0.01, 10.0, auto=Range(0.1, 1.0))}
_CUTMIX = {
    "cutmix_alpha": Arg(
        float, "the share of a picture's area is drawn from Beta(alpha, alpha)", 1.0, 0.01, 10.0, auto=Range(0.25, 4.0, log=True)
    )
}
_ERASED = {
    "erasing_probability": Arg(float, "before it: chance that a picture loses a box, as random_erasing's", 0.0, 0.0, 1.0, auto=(0.0, 0.25))
}

MIXINGS = Table(
    "mixing",
    {
        "none": Entry("batches as they are"),
        "mixup": Entry(
            "weighted means of two pictures and of their losses (Zhang et al. 2018)", f"{_HERE}:mixup", {**_MIXUP, **_SHARE, **_ERASED}
        ),
        "cutmix": Entry(
            "a box of another picture, its loss weighted by its area (Yun et al. 2019)", f"{_HERE}:cutmix", {**_CUTMIX, **_SHARE, **_ERASED}
        ),
        "alternate": Entry(
            "mixup or CutMix, by chance for each batch",
            f"{_HERE}:alternate",
            {
                **_MIXUP,
                **_CUTMIX,
                "cutmix_share": Arg(float, "chance that a mixed batch is CutMix's", 0.5, 0.0, 1.0, auto=Range(0.0, 1.0)),
                **_SHARE,
                **_ERASED,
            },
        ),
        "random_erasing": Entry(
            "a box of each picture becomes 0, the mean where pixels are standardised (Zhong et al. 2020)",
            f"{_HERE}:random_erasing",
            {"erasing_probability": Arg(float, "chance that a picture loses a box", 0.5, 0.0, 1.0, auto=Range(0.1, 0.9))},
        ),
    },
    default="none",
)
