"""What can be known to be wrong before any trial: data that isn't there, networks and ops that don't fit the pictures.

Models are built on torch's meta device, so this costs the import of torch and no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from visiontune.spec.errors import Problem, UserError
from visiontune.spec.recipe import StudySpec

if TYPE_CHECKING:
    from visiontune.data.store import DataInfo


def preflight(spec: StudySpec) -> DataInfo:
    """The data's facts once every model and policy of the space fits them; else UserError with all that does not."""
    from visiontune.data.store import describe

    info = describe(spec.data)
    problems = dict.fromkeys([*_models(spec, info), *_policies(spec, info)])
    if problems:
        raise UserError(*problems)
    return info


def _models(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.models.check import problem_of

    line = spec.space.line("model.name")
    batch_size = min(training["batch_size"] for training in spec.space.corners("training"))
    shapes = {"num_classes": info.num_classes, "in_channels": info.channels, "image_size": info.image_size}
    told = set()
    for model in spec.space.corners("model"):
        rule = problem_of(model, **shapes, batch_size=batch_size)
        if rule is not None and (kind := (model["name"], rule.partition(")")[2])) not in told:  # one corner speaks for the others
            told.add(kind)
            yield Problem(spec.space.file, line, "space.model.name", rule)


def _policies(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.augmentation.policy import problem_of

    line = spec.space.line("augmentation.policy")
    for augmentation in spec.space.corners("augmentation"):
        rule = problem_of(augmentation, info.channels)
        if rule is not None:
            yield Problem(spec.space.file, line, "space.augmentation.policy", rule)
