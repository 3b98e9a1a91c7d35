"""A recipe's policy as files of other programs: albumentations' YAML and JSON, and code for torchvision v2.

What a format can't express is refused, with all of it named. Preprocessing and mixing are no part of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.augmentation.export.albumentations_files import albumentations_text, pipeline
from visiontune.augmentation.export.torchvision_code import torchvision_code
from visiontune.augmentation.policies.published import SignedOps
from visiontune.augmentation.policies.randaugment import Drawn
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.policy_steps import Chance, Step
from visiontune.errors import UserError, nearest
from visiontune.spec.declarations.image_size import ImageSize

FORMATS = (".yaml", ".yml", ".json", ".py")


def export_policy(
    augmentation: Mapping[str, Any], *, image_size: ImageSize, channels: int, num_epochs: int, suffix: str, title: str = ""
) -> str:
    """The text of a file with this suffix, one of FORMATS. Raises UserError for what it can't express."""
    if suffix not in FORMATS:
        raise UserError(f"a policy is written as {', '.join(FORMATS)}, but got {suffix!r}; {nearest(suffix, FORMATS)}")
    if augmentation.get("by_class"):
        raise UserError("a file has one policy for all pictures, but augmentation.by_class has others for some classes; leave by_class out")
    policy = build_policy(augmentation, image_size=image_size, channels=channels, num_epochs=num_epochs)
    if policy is None:
        raise UserError("policy none changes nothing, so there is nothing to export")
    if augmentation.get("mixing", "none") != "none":
        title += f"\nWithout mixing {augmentation['mixing']}, which is done to batches and not to pictures."
    steps = constant_steps(policy.steps)
    if suffix == ".py":
        return torchvision_code(steps, image_size, title)
    return albumentations_text(pipeline(steps, image_size), suffix, title)


def constant_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps. Raises UserError where magnitudes change over the epochs."""
    ramps = [step.magnitude for step in steps if isinstance(step, Chance)]
    ramps += [step.magnitudes.ramp for step in steps if isinstance(step, Drawn | SignedOps) and hasattr(step.magnitudes, "ramp")]
    for ramp in ramps:
        if ramp.at(1) != ramp.at(ramp.num_epochs):
            said = f"from {ramp.at(1):g} to {ramp.at(ramp.num_epochs):g}"
            raise UserError(f"a file holds one strength, but this policy's goes {said} over the epochs; leave out final_magnitude")
    return tuple(steps)
