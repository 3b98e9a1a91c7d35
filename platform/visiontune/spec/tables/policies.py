"""Augmentation policies; their ops are in ops.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from visiontune.spec.declarations.declare import Arg, Entry, Range, Section, Table
from visiontune.spec.declarations.timm_strings import WRITTEN, settle_auto_augment
from visiontune.spec.tables.ops import FORMER_ARGS, FORMER_OPS, OPS

__all__ = ["OPS", "POLICIES"]

DRAWN_OPS = (
    *("AutoContrast", "Equalize", "Rotate", "Solarize", "Saturation", "Posterize", "Contrast", "Brightness", "Sharpen"),
    *("ShearX", "ShearY", "TranslateX", "TranslateY"),
)
"""The set of RandAugment and TrivialAugment, all equally likely: that of Cubuk et al. 2020 without identity."""
AUGMIX_OPS = ("AutoContrast", "Equalize", "Rotate", "Solarize", "Posterize", "ShearX", "ShearY", "TranslateX", "TranslateY")
"""Those that Hendrycks et al. 2020 kept: what resembles the damage they test on is left out."""
NUM_SUBS = 5
_SUB_OPS = (
    *(("ShearX", "Equalize"), ("TranslateY", "AutoContrast"), ("Rotate", "Contrast")),
    *(("Brightness", "Sharpen"), ("TranslateX", "CoarseDropout")),
)

_FINAL = {
    "final_magnitude": Arg(
        float,
        "magnitude of the last epoch, reached linearly over the full budget; left out: magnitude throughout",
        None,
        0.0,
        1.0,
        auto=Range(0.0, 1.0),
    )
}
_WEAK = {
    "flip_probability": Arg(float, "before the ops: chance of the mirror image", 0.0, 0.0, 1.0, auto=(0.0, 0.5)),
    "crop_magnitude": Arg(float, "before the ops: PadAndCrop's, 0.5 for the usual 4 of 32 pixels", 0.0, 0.0, 1.0, auto=Range(0.0, 1.0)),
}


def _interpolation(default: str) -> dict[str, Arg]:
    said = "how pixels are found where ops move them, black outside"
    return {"interpolation": Arg(str, said, default, choices=("nearest", "bilinear"))}


_RANDAUGMENT = {
    "num_ops": Arg(int, "ops that each picture gets, one after another", 2, 1, 13, auto=Range(1, 3)),
    "magnitude": Arg(float, "strength of every op", 0.3, 0.0, 1.0, auto=Range(0.0, 1.0)),
    **_FINAL,
}
_AUGMIX = {
    "severity": Arg(int, "magnitudes are drawn up to this tenth", 3, 1, 10, auto=Range(1, 10)),
    "num_chains": Arg(int, "chains of ops beside the picture itself", 3, 1, 10),
    "chain_depth": Arg(int, "ops in a chain; 0: 1 to 3, drawn for each", 0, 0, 10),
    "augmix_alpha": Arg(float, "weights are drawn from Dirichlet(alpha) and Beta(alpha, alpha)", 1.0, 0.01, 100.0),
}
_PUBLISHED, _SOFT = (f"visiontune.augmentation.policies.{module}" for module in ("published", "randaugment"))


def _sub(sub: int, place: int) -> dict[str, Arg]:
    of = f"of op {place} of sub-policy {sub}"
    return {
        f"sub{sub}_op{place}": Arg(
            str,
            f"op {place} of sub-policy {sub}",
            _SUB_OPS[sub - 1][place - 1],
            choices=tuple(OPS.own),
            former=FORMER_OPS,
            auto=(*DRAWN_OPS, "CoarseDropout"),
        ),
        f"sub{sub}_probability{place}": Arg(float, f"chance {of}", 0.5, 0.0, 1.0, auto=Range(0.0, 1.0)),
        f"sub{sub}_magnitude{place}": Arg(
            float, f"strength {of}; counts for nothing where the op has none", 0.5, 0.0, 1.0, auto=Range(0.0, 1.0)
        ),
    }


class _OpSections(Mapping[str, Section]):
    """A section for each op that the table has when it is asked."""

    def __getitem__(self, name: str) -> Section:
        op = OPS.entries[name]
        return Section(op.doc, {**op.args, **(_FINAL if "magnitude" in op.args else {})}, is_space=True, former=FORMER_ARGS)

    def __iter__(self) -> Iterator[str]:
        return iter(OPS.entries)

    def __len__(self) -> int:
        return len(OPS.entries)


_SUBS = {name: arg for sub in range(1, NUM_SUBS + 1) for place in (1, 2) for name, arg in _sub(sub, place).items()}

POLICIES = Table(
    "policy",
    {
        "none": Entry("pictures as they are"),
        "fixed": Entry(
            "the named ops in the order of the file, each with its own probability and magnitude",
            "visiontune.augmentation.policy:fixed",
            _OpSections(),
        ),
        "randaugment": Entry(
            "num_ops times one of 14 ops at the magnitude itself, to a random side (Cubuk et al. 2020); 0.3 is torchvision's 9 of 30",
            f"{_PUBLISHED}:randaugment",
            {**_RANDAUGMENT, **_interpolation("nearest"), **_WEAK},
        ),
        "trivialaugment": Entry(
            "one of the same ops in wider ranges, at any magnitude, to a random side (Müller & Hutter 2021)",
            f"{_PUBLISHED}:trivialaugment",
            {**_interpolation("nearest"), **_WEAK},
        ),
        "autoaugment": Entry(
            f"one of {NUM_SUBS} sub-policies of two ops for each picture: for searching them (Cubuk et al. 2019)",
            "visiontune.augmentation.policies.autoaugment:autoaugment",
            {**_SUBS, **_WEAK},
        ),
        "autoaugment_published": Entry(
            "the 25 sub-policies that the paper found, with torchvision's own ops",
            "visiontune.augmentation.policies.autoaugment:autoaugment_published",
            {"preset": Arg(str, "the data they were found on", "cifar10", choices=("cifar10", "svhn", "imagenet")), **_WEAK},
        ),
        "augmix": Entry(
            "weighted means of chains of ops and the picture (Hendrycks et al. 2020), without their consistency loss",
            f"{_PUBLISHED}:augmix",
            {**_AUGMIX, **_interpolation("bilinear"), **_WEAK},
        ),
        "three_augment": Entry(
            "grey, solarized or blurred, then jittered colours: 3-Augment (Touvron et al. 2022, DeiT III)",
            "visiontune.augmentation.policies.three_augment:three_augment",
            {
                "colour_jitter": Arg(float, "brightness, contrast and saturation by up to so much more or less", 0.3, 0.0, 1.0),
                **_WEAK,
                "flip_probability": replace(_WEAK["flip_probability"], default=0.5),
            },
        ),
        "timm": Entry(
            "timm's own policies by the strings of its recipes, picture by picture",
            "visiontune.augmentation.policies.by_timm:timm",
            {
                "auto_augment": Arg(str, "the string", "rand-m9-mstd0.5-inc1", settle=settle_auto_augment, written=WRITTEN),
                **_WEAK,
            },
        ),
        "soft_randaugment": Entry(
            "num_ops times an op out of a set of 13, each drawn within visiontune's own ranges up to one magnitude",
            f"{_SOFT}:soft_randaugment",
            {**_RANDAUGMENT, **_WEAK},
        ),
        "soft_trivialaugment": Entry(
            "one op out of that set, drawn within the range of any magnitude", f"{_SOFT}:soft_trivialaugment", _WEAK
        ),
        "soft_augmix": Entry("AugMix of ops that are drawn within visiontune's own ranges", f"{_SOFT}:soft_augmix", {**_AUGMIX, **_WEAK}),
    },
    default="none",
    former=FORMER_OPS,
)
