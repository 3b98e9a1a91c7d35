"""What can be known to be wrong with networks before any trial: shapes, weights, regimes, teachers, the scale of their pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import product
from typing import TYPE_CHECKING, Any

from visiontune.errors import Problem, UserError
from visiontune.spec.declarations.image_size import sides
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.preprocessings import AS_PRETRAINED

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo

Rule = Callable[[StudySpec, "DataInfo"], Iterator[Problem]]


def weights_in(spec: StudySpec) -> list[str]:
    """Every file or name of weights that a trial may load; of what has none, nothing: that is told as a regime's problem."""
    from visiontune.models.published_weights import weights_of

    found: dict[str, None] = {}
    for transfer, model in product(spec.space.corners("transfer"), spec.space.corners("model")):
        with suppress(UserError):
            found |= {weights: None for weights in [weights_of(transfer, model)] if weights}
    return [*found]


def freezes(spec: StudySpec) -> bool:
    """Whether a regime may be chosen that freezes stages of any network."""
    from visiontune.training.recipe_rules import ALWAYS_FREEZE

    return any(transfer["regime"] in ALWAYS_FREEZE for transfer in spec.space.corners("transfer"))


def problem_at(spec: StudySpec, where: str, rule: str) -> Problem:
    """A rule that is broken under this key of the space."""
    return Problem(spec.space.file, spec.space.line(where), f"space.{where}", rule)


def _preprocessings(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.input.fit_preprocessing import problem_of_preprocessing

    for section in spec.space.corners("preprocessing"):
        rule = problem_of_preprocessing(section, image_size=info.image_size, channels=info.channels)
        if rule is not None:
            yield problem_at(spec, "preprocessing.name", rule)
    if any(section["name"] == AS_PRETRAINED for section in spec.space.corners("preprocessing")):
        yield from _scales(spec)


def _scales(spec: StudySpec) -> Iterator[Problem]:
    """Weights that do not say what their pictures went through, where that is asked for."""
    from visiontune.training.input.as_pretrained import stated

    for weights in weights_in(spec):
        try:
            stated(weights)
        except UserError as error:
            yield problem_at(spec, "transfer.regime", str(error))


def _models(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.models.shape_check import problem_of

    batch_size = min(min(one["batch_size"], one["micro_batch"] or one["batch_size"]) for one in spec.space.corners("training"))
    reported = set()
    for shapes, model in product(_shapes(spec, info), spec.space.corners("model")):
        rule = problem_of(model, **shapes, batch_size=batch_size)
        kind = (model["name"], rule and (rule.partition(")")[2] or rule))
        if rule is not None and kind not in reported:  # one corner of each kind is enough
            reported.add(kind)
            yield problem_at(spec, "model.name", rule)


def _sizes(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Pictures whose size changes, under frozen stages, components or a compiler that can't follow, and networks that take one size."""
    from visiontune.models.shape_check import problem_of, problem_of_other_sizes
    from visiontune.training.input.picture_sizes import other_sizes, problem_of_sizes

    use_features = freezes(spec)
    keys, length = ("batch_size", "micro_batch", "use_compile"), {"num_epochs": spec.budget.max_epochs}
    trainings = [
        {key: one[key] for key in one if key in keys or key.startswith("resize")} | length for one in spec.space.corners("training")
    ]
    deciding = {
        (json.dumps(one), json.dumps(other)): (one, other) for one, other in product(spec.space.corners("preprocessing"), trainings)
    }
    sizes = {size for pair in deciding.values() for size in other_sizes(*pair, info.image_size)}
    for pair in deciding.values():
        if rule := problem_of_sizes(*pair, image_size=info.image_size, use_features=use_features):
            yield problem_at(spec, "training", rule)
    for shapes, model in product(_shapes(spec, info), spec.space.corners("model") if sizes else ()):
        rule = None if problem_of(model, **shapes) else problem_of_other_sizes(model, sorted(sizes, key=sides), **shapes)
        if rule is not None:
            yield problem_at(spec, "model.name", rule)


def _regimes(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Weights that are missing or of another network, and what can't learn under a regime."""
    regimes = [transfer for transfer in spec.space.corners("transfer") if transfer["regime"] != "scratch"]
    if not regimes:
        return
    from visiontune.models.lp_ft import problem_of_phases
    from visiontune.models.transfer import problem_of_transfer

    for rule in dict.fromkeys(problem_of_phases(transfer, spec.budget.max_epochs) for transfer in regimes):
        if rule is not None:
            yield problem_at(spec, "transfer.regime", rule)
    for shapes, transfer, model in product(_shapes(spec, info), regimes, spec.space.corners("model")):
        rule = problem_of_transfer(transfer, model, **shapes)
        if rule is not None:
            yield problem_at(spec, "transfer.regime", rule)


def _teachers(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Networks that are no teachers for such pictures, or whose files don't belong together."""
    losses = [loss for loss in spec.space.corners("loss") if loss["teacher"] != "none"]
    if not losses:
        return
    from visiontune.spec.tables.preprocessings import channels_after
    from visiontune.training.teacher import problem_of_teacher

    use_features = freezes(spec)
    for loss, preprocessing in product(losses, spec.space.corners("preprocessing")):
        channels = channels_after(preprocessing["colour"], info.channels)
        rule = problem_of_teacher(loss, preprocessing, info, channels=channels, use_features=use_features)
        if rule is not None:
            yield problem_at(spec, "loss.teacher_from", rule)


def _shapes(spec: StudySpec, info: DataInfo) -> list[Mapping[str, Any]]:
    """What networks see, for every colour that the space can choose."""
    from visiontune.spec.tables.preprocessings import channels_after

    channels = {channels_after(section["colour"], info.channels) for section in spec.space.corners("preprocessing")}
    return [{"num_classes": info.num_classes, "in_channels": one, "image_size": info.image_size} for one in sorted(channels)]


NETWORK_RULES: tuple[Rule, ...] = (_preprocessings, _models, _sizes, _regimes, _teachers)
"""Each tries sections at their `Space.corners`, on torch's meta device."""
