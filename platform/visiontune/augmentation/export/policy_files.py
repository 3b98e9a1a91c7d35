"""A recipe's policy as what other programs read: albumentations' YAML and JSON, and code for torchvision v2.

What a form can't say is refused, with all of it named. Preprocessing and mixing are no part of a policy. A file of albumentations
does not hold a seed: call `set_random_seed` on what `albumentations.load` gives.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as alb

from visiontune.augmentation.policies.autoaugment import OneOf, Published
from visiontune.augmentation.policies.randaugment import Chains, Drawn
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.policy_steps import Chance, Step, has_magnitude
from visiontune.errors import UserError, nearest
from visiontune.spec.tables.ops import OPS

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
        from visiontune.augmentation.export.torchvision_code import torchvision_code

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


def pipeline(steps: Sequence[Step], image_size: int) -> Any:
    """The same as albumentations' Compose, whose draws are its own. Raises UserError for what it can't say."""
    return alb.Compose([transform for step in steps for transform in _transforms(step, image_size)])


def albumentations_text(compose: Any, suffix: str, title: str = "") -> str:
    """YAML or JSON, read back before it is given out. Raises UserError for ops that albumentations doesn't know again."""
    content = json.loads(json.dumps(alb.to_dict(compose)))
    again = json.loads(json.dumps(alb.to_dict(_read_back(content))))
    if again != content:
        raise UserError("albumentations does not read this policy back as it was written")
    if suffix == ".json":
        return json.dumps(content, indent=1) + "\n"
    buffer = io.StringIO()
    alb.save(compose, buffer, data_format="yaml")
    lines = [*title.splitlines(), 'albumentations.load(path, data_format="yaml"); the seed is not in it: call set_random_seed(seed)']
    return "".join(f"# {line}".rstrip() + "\n" for line in lines) + buffer.getvalue()


def transform_of(name: str, magnitude: float, image_size: int, probability: float = 1.0) -> Any:
    """An op by itself."""
    args = {"magnitude": magnitude} if has_magnitude(name) else {}
    transform = OPS.entries[name].load()(**args, image_size=image_size)
    transform.p = probability
    return transform


def _read_back(content: Mapping[str, Any]) -> Any:
    """Some transforms warn about arguments that they wrote themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return alb.from_dict(content)


def _transforms(step: Step, image_size: int) -> list[Any]:
    if isinstance(step, Chance):
        return [_chance(step, image_size)]
    if isinstance(step, Drawn):  # SomeOf would sort what it draws
        draws = ([_any_strength(name, step.magnitudes(1), image_size) for name in step.names] for _ in range(step.num_ops))
        return [alb.OneOf(kinds, p=1.0) for kinds in draws]
    if isinstance(step, OneOf):
        subs = [[_chance(op, image_size) for op in sub if not op.is_nothing] for sub in step.subs]
        return [alb.OneOf([alb.Sequential(sub or [alb.NoOp(p=1.0)], p=1.0) for sub in subs], p=1.0)]
    raise UserError(refusal(step, "albumentations"))


def _chance(step: Chance, image_size: int) -> Any:
    return transform_of(step.name, step.magnitude.at(1), image_size, step.probability)


def _any_strength(name: str, magnitudes: Sequence[float], image_size: int) -> Any:
    """One of equally likely strengths."""
    if not has_magnitude(name) or len(magnitudes) == 1:
        return transform_of(name, magnitudes[0], image_size)
    return alb.OneOf([transform_of(name, magnitude, image_size) for magnitude in magnitudes], p=1.0)


def refusal(step: Step, form: str) -> str:
    """Why a step that has no like can't be said."""
    if isinstance(step, Published):
        return f"{form} lacks AutoAugment's published policies with torchvision's ops; export to .py, which calls torchvision's own"
    if isinstance(step, Chains):
        return f"{form} can't mix chains of ops with the picture by drawn weights, so augmix can't be said in it; export to .py"
    return f"{form} can't say {type(step).__name__}"
