"""What can be known to be wrong before any trial: data that isn't there, networks, weights and ops that don't fit, no such sampler.

Models are built on torch's meta device, so this costs the import of torch and no memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from visiontune.errors import Problem, UserError
from visiontune.spec.image_size import sides
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.tables.preprocessings import AS_PRETRAINED

if TYPE_CHECKING:
    from visiontune.data.source import Source
    from visiontune.data.store.store import DataInfo


def preflight(spec: StudySpec) -> tuple[DataInfo, Source]:
    """What is known of the pictures, once all that the space may choose fits them and the sampler can be built; and what reads them.

    Raises UserError with everything that does not. Each section is tried at its `Space.corners`.
    """
    from visiontune.data.prepare import describe, source_of, with_defaults

    try:
        source = source_of(with_defaults(spec.data))
        info = describe(spec.data, source)
    except UserError as error:
        raise spec.placed(error, "data") from error
    rules = (
        _sampler,
        _preprocessings,
        _models,
        _sizes,
        _regimes,
        _policies,
        _mixings,
        _teachers,
        _sharpness,
        _averages,
        _workers,
        _constraints,
        partial(_folds, source),
    )
    problems = dict.fromkeys(problem for rule in rules for problem in rule(spec, info))
    if problems:
        raise UserError(*problems)
    return info, source


def _sampler(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    if spec.sampler["name"] == "optuna":
        from visiontune.tuning.any_sampler import sampler_problems

        yield from sampler_problems(spec)


def _folds(source: Source, spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Groups, of which a store does not know, and classes that are too small."""
    if spec.num_folds == 1:
        return
    if source.groups("train") is not None:
        rule = "folds part pictures, but these stay together in groups (group_column, or objects of one file); leave folds out"
        yield Problem("", 0, "data.folds", rule)
    small = [name for name, count in zip(info.class_names, source.counts_C.tolist(), strict=True) if 0 < count < 2 * spec.num_folds]
    if small:
        rule = f"{spec.num_folds} folds need at least {2 * spec.num_folds} training pictures of each class, which {small[0]!r} lacks"
        yield Problem("", 0, "data.folds", rule)


def _preprocessings(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.input.fit_preprocessing import problem_of_preprocessing

    for section in spec.space.corners("preprocessing"):
        rule = problem_of_preprocessing(section, image_size=info.image_size, channels=info.channels)
        if rule is not None:
            yield _problem(spec, "preprocessing.name", rule)
    if any(section["name"] == AS_PRETRAINED for section in spec.space.corners("preprocessing")):
        yield from _scales(spec)


def _scales(spec: StudySpec) -> Iterator[Problem]:
    """Weights that do not say what their pictures went through, where that is asked for."""
    from visiontune.training.input.as_pretrained import stated

    for weights in weights_in(spec):
        try:
            stated(weights)
        except UserError as error:
            yield _problem(spec, "transfer.regime", str(error))


def weights_in(spec: StudySpec) -> list[str]:
    """Every file or name of weights that a trial may load; of what has none, nothing: that is told as a regime's problem."""
    from visiontune.models.published_weights import weights_of

    found: dict[str, None] = {}
    for transfer, model in product(spec.space.corners("transfer"), spec.space.corners("model")):
        with suppress(UserError):
            found |= {weights: None for weights in [weights_of(transfer, model)] if weights}
    return [*found]


def _models(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.models.shape_check import problem_of

    batch_size = min(min(one["batch_size"], one["micro_batch"] or one["batch_size"]) for one in spec.space.corners("training"))
    reported = set()
    for shapes, model in product(_shapes(spec, info), spec.space.corners("model")):
        rule = problem_of(model, **shapes, batch_size=batch_size)
        kind = (model["name"], rule and (rule.partition(")")[2] or rule))
        if rule is not None and kind not in reported:  # one corner of each kind is enough
            reported.add(kind)
            yield _problem(spec, "model.name", rule)


def _sizes(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Pictures whose size changes, under frozen stages, components or a compiler that can't follow, and networks that take one size."""
    from visiontune.models.shape_check import problem_of, problem_of_other_sizes
    from visiontune.training.input.picture_sizes import other_sizes, problem_of_sizes

    use_features = _freezes(spec)
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
            yield _problem(spec, "training", rule)
    for shapes, model in product(_shapes(spec, info), spec.space.corners("model") if sizes else ()):
        rule = None if problem_of(model, **shapes) else problem_of_other_sizes(model, sorted(sizes, key=sides), **shapes)
        if rule is not None:
            yield _problem(spec, "model.name", rule)


def _regimes(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Weights that are missing or of another network, and what can't learn under a regime."""
    regimes = [transfer for transfer in spec.space.corners("transfer") if transfer["regime"] != "scratch"]
    if not regimes:
        return
    from visiontune.models.lp_ft import problem_of_phases
    from visiontune.models.transfer import problem_of_transfer

    for rule in dict.fromkeys(problem_of_phases(transfer, spec.budget.max_epochs) for transfer in regimes):
        if rule is not None:
            yield _problem(spec, "transfer.regime", rule)
    for shapes, transfer, model in product(_shapes(spec, info), regimes, spec.space.corners("model")):
        rule = problem_of_transfer(transfer, model, **shapes)
        if rule is not None:
            yield _problem(spec, "transfer.regime", rule)


def _policies(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.augmentation.policy import problem_of, problem_of_turning
    from visiontune.augmentation.resized_crop import problem_of_crop
    from visiontune.training.class_balance import problem_of_copies

    for augmentation in spec.space.corners("augmentation"):
        rule = problem_of(augmentation, info.channels) or problem_of_turning(augmentation, info.image_size)
        if rule is not None:
            yield _problem(spec, "augmentation.policy", rule)
        if (rule := problem_of_crop(augmentation)) is not None:
            yield _problem(spec, "augmentation.crop", rule)
    copies = max(training["repeated_augmentation"] for training in spec.space.corners("training"))
    rule = problem_of_copies(copies, [str(policy) for policy in spec.space.values("augmentation.policy")])
    if rule is not None:
        yield _problem(spec, "training.repeated_augmentation", rule)


def _mixings(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """For `fine_tune_last` only the network knows whether anything is frozen: what is wrong then shows in the trial."""
    from visiontune.augmentation.mixing import problem_of_mixing

    batch_size = min(training["batch_size"] for training in spec.space.corners("training"))
    use_features = _freezes(spec)
    for augmentation in spec.space.corners("augmentation"):
        rule = problem_of_mixing(augmentation, batch_size=batch_size, use_features=use_features)
        if rule is not None:
            yield _problem(spec, "augmentation.mixing", rule)


def _teachers(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Networks that are no teachers for such pictures, or whose files don't belong together."""
    losses = [loss for loss in spec.space.corners("loss") if loss["teacher"] != "none"]
    if not losses:
        return
    from visiontune.spec.tables.preprocessings import channels_after
    from visiontune.training.teacher import problem_of_teacher

    use_features = _freezes(spec)
    for loss, preprocessing in product(losses, spec.space.corners("preprocessing")):
        channels = channels_after(preprocessing["colour"], info.channels)
        rule = problem_of_teacher(loss, preprocessing, info, channels=channels, use_features=use_features)
        if rule is not None:
            yield _problem(spec, "loss.teacher_from", rule)


def _sharpness(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.optim.sharpness_aware import problem_of_sharpness

    for optimizer, training in product(spec.space.corners("optimizer"), spec.space.corners("training")):
        rule = problem_of_sharpness(optimizer, training)
        if rule is not None:
            yield _problem(spec, "optimizer.sharpness", rule)


def _averages(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.optim.weight_average import problem_of_averages

    for regularization, optimizer in product(spec.space.corners("regularization"), spec.space.corners("optimizer")):
        rule = problem_of_averages(regularization, optimizer)
        if rule is not None:
            yield _problem(spec, "regularization", rule)


def _workers(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """What several workers can't train together."""
    from visiontune.training.ranks import problem_of_ranks

    for training in spec.space.corners("training"):
        keys = {key: training[key] for key in ("batch_size", "use_compile")}
        rule = problem_of_ranks(spec.resources.workers_per_trial, **keys)
        if rule is not None:
            yield _problem(spec, "training", rule)


def _constraints(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Bounds that no recipe keeps, and recipes of the file that cost too much."""
    from visiontune.tuning.constraints import draw, shown, too_dear

    if (found := draw(spec, info)) is None:
        return
    for recipe, rule in too_dear(spec, info):
        yield Problem(recipe.file, recipe.line, "start.recipes", f"{recipe.name} costs too much for the constraints: {rule}")
    for name, least in found.least.items():
        if least > spec.constraints[name]:
            file, line = spec.places.get(f"constraints.{name}", (spec.space.file, 0))
            rule = f"none of {found.num} recipes drawn at random costs so little: the least is {shown(least)}"
            got = f"but got <= {shown(spec.constraints[name])}; nearest is '<= {least:.12g}'"
            yield Problem(file, line, f"constraints.{name}", f"{rule}, {got}")


def _freezes(spec: StudySpec) -> bool:
    """Whether a regime may be chosen that freezes stages of any network."""
    from visiontune.training.recipe_rules import ALWAYS_FREEZE

    return any(transfer["regime"] in ALWAYS_FREEZE for transfer in spec.space.corners("transfer"))


def _shapes(spec: StudySpec, info: DataInfo) -> list[Mapping[str, Any]]:
    """What networks see, for every colour that the space can choose."""
    from visiontune.spec.tables.preprocessings import channels_after

    channels = {channels_after(section["colour"], info.channels) for section in spec.space.corners("preprocessing")}
    return [{"num_classes": info.num_classes, "in_channels": one, "image_size": info.image_size} for one in sorted(channels)]


def _problem(spec: StudySpec, where: str, rule: str) -> Problem:
    return Problem(spec.space.file, spec.space.line(where), f"space.{where}", rule)
