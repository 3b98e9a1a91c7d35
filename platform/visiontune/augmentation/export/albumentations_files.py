"""A policy as albumentations reads it: YAML and JSON. The seed is not in them: `set_random_seed` is for what `load` gives."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import albumentations as alb

from visiontune.augmentation.apply_ops import has_magnitude
from visiontune.augmentation.export.exportable import refusal, transform_of
from visiontune.augmentation.policies.autoaugment import OneOf
from visiontune.augmentation.policies.randaugment import Drawn
from visiontune.augmentation.policy_steps import Chance, Step
from visiontune.augmentation.resized_crop import ResizedCrop
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import ImageSize, sides


def pipeline(steps: Sequence[Step], image_size: ImageSize) -> Any:
    """The steps as albumentations' Compose, which draws its own random numbers. Raises UserError for what it can't express."""
    return alb.Compose([transform for step in steps for transform in _transforms(step, image_size)])


def albumentations_text(compose: Any, suffix: str, title: str = "") -> str:
    """YAML or JSON, which was read back for a test. Raises UserError where albumentations reads another policy back."""
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


def _read_back(content: Mapping[str, Any]) -> Any:
    """Some transforms warn about arguments that they wrote themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return alb.from_dict(content)


def _transforms(step: Step, image_size: ImageSize) -> list[Any]:
    if isinstance(step, ResizedCrop):
        args: dict[str, Any] = {"size": sides(image_size), "scale": step.scale, "ratio": step.ratio}
        # A photograph is made smaller by means over areas, as an ingest makes it: interpolation alone would skip most pixels.
        return [alb.RandomResizedCrop(**args, area_for_downscale="image", p=1.0, strict=True)]
    if isinstance(step, Chance):
        return [_chance(step, image_size)]
    if isinstance(step, Drawn):  # SomeOf would sort what it draws
        draws = ([_any_strength(name, step.magnitudes(1), image_size) for name in step.names] for _ in range(step.num_ops))
        return [alb.OneOf(kinds, p=1.0) for kinds in draws]
    if isinstance(step, OneOf):
        subs = [[_chance(op, image_size) for op in sub if not op.is_nothing] for sub in step.subs]
        return [alb.OneOf([alb.Sequential(sub or [alb.NoOp(p=1.0)], p=1.0) for sub in subs], p=1.0)]
    raise UserError(refusal(step, "albumentations"))


def _chance(step: Chance, image_size: ImageSize) -> Any:
    return transform_of(step.name, step.magnitude.at(1), image_size, step.probability)


def _any_strength(name: str, magnitudes: Sequence[float], image_size: ImageSize) -> Any:
    """One of equally likely strengths."""
    if not has_magnitude(name) or len(magnitudes) == 1:
        return transform_of(name, magnitudes[0], image_size)
    return alb.OneOf([transform_of(name, magnitude, image_size) for magnitude in magnitudes], p=1.0)
