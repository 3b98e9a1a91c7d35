"""A recipe's policy as files of other programs: albumentations' YAML and JSON, and code for torchvision v2.

What a form can't say is refused, with all of it named. Preprocessing and mixing are no part of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.augmentation.export.albumentations_files import albumentations_text, pipeline
from visiontune.augmentation.export.torchvision_code import torchvision_code
from visiontune.augmentation.policies.randaugment import Drawn
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.policy_steps import Chance, Step
from visiontune.errors import UserError, nearest

FORMS = (".yaml", ".yml", ".json", ".py")


def export_policy(augmentation: Mapping[str, Any], *, image_size: int, channels: int, num_epochs: int, suffix: str, title: str = "") -> str:
    """The text of a file with this suffix. Raises UserError for what can't be said in it."""
    if suffix not in FORMS:
        raise UserError(f"--export writes {', '.join(FORMS)}, but got {suffix!r}; {nearest(suffix, FORMS)}")
    policy = build_policy(augmentation, image_size=image_size, channels=channels, num_epochs=num_epochs)
    if policy is None:
        raise UserError("policy none changes nothing, so there is nothing to export")
    if augmentation.get("mixing", "none") != "none":
        title += f"\nWithout mixing {augmentation['mixing']}, which is done to batches and not to pictures."
    steps = settled(policy.steps)
    if suffix == ".py":
        return torchvision_code(steps, image_size, title)
    return albumentations_text(pipeline(steps, image_size), suffix, title)


def settled(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, if they are the same in every epoch. Raises UserError."""
    ramps = [step.magnitude for step in steps if isinstance(step, Chance)]
    ramps += [step.magnitudes.ramp for step in steps if isinstance(step, Drawn) and hasattr(step.magnitudes, "ramp")]
    for ramp in ramps:
        if ramp.at(1) != ramp.at(ramp.num_epochs):
            said = f"from {ramp.at(1):g} to {ramp.at(ramp.num_epochs):g}"
            raise UserError(f"a file holds one strength, but this policy's goes {said} over the epochs; leave out final_magnitude")
    return tuple(steps)
