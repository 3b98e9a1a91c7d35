"""Which steps can be exported: those that are single transforms, and why a step can't be expressed."""

from __future__ import annotations

from typing import Any

from visiontune.augmentation.apply_ops import has_magnitude
from visiontune.augmentation.policies.autoaugment import Published
from visiontune.augmentation.policies.by_timm import ByTimm
from visiontune.augmentation.policies.published import SignedOps
from visiontune.augmentation.policies.randaugment import Chains
from visiontune.augmentation.policies.three_augment import ThreeAugment
from visiontune.augmentation.policy_steps import Step
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.tables.ops import OPS


def transform_of(name: str, magnitude: float, image_size: ImageSize, probability: float = 1.0) -> Any:
    """The albumentations transform of an op, applied with `probability`."""
    args = {"magnitude": magnitude} if has_magnitude(name) else {}
    transform = OPS.entries[name].load()(**args, image_size=image_size)
    transform.p = probability
    return transform


def refusal(step: Step, program: str) -> str:
    """Why `program` can't express a step."""
    if isinstance(step, Published):
        return f"{program} lacks AutoAugment's published policies with torchvision's ops; export to .py, which calls torchvision's own"
    if isinstance(step, ByTimm):
        return f"{program} lacks timm's ops; timm.data.create_transform(auto_augment={step.auto_augment!r}) makes them"
    if isinstance(step, SignedOps | ThreeAugment):
        return f"{program} has no op that is done at one strength to a random side; export to .py, which calls torchvision's own"
    if isinstance(step, Chains):
        return f"{program} can't mix chains of ops with the picture by drawn weights, so augmix can't be said in it; export to .py"
    return f"{program} can't express {type(step).__name__}"
