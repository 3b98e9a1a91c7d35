"""What can be known to be wrong before any trial: data that isn't there, networks, weights and ops that don't fit, no such sampler.

Models are built on torch's meta device, so this costs the import of torch and no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

from visiontune.errors import Problem, UserError, plural
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.several_labels import has_many
from visiontune.tuning.preflight.network_preflight import NETWORK_RULES, Rule, freezes, problem_at

if TYPE_CHECKING:
    from visiontune.data.source import Source
    from visiontune.data.store.store import DataInfo


def preflight(spec: StudySpec, source: Source | None = None) -> tuple[DataInfo, Source]:
    """What is known of the pictures, once all that the space may choose fits them and the sampler can be built; and what reads them.

    `source` as in `describe`. Raises UserError with everything that does not. Each section is tried at its `Space.corners`.
    """
    from visiontune.data.prepare import describe, source_of, with_defaults

    try:
        source = source or source_of(with_defaults(spec.data))
        info = describe(spec.data, source)
    except UserError as error:
        raise spec.placed(error, "data") from error
    rules: tuple[Rule, ...] = (
        _sampler,
        *NETWORK_RULES,
        _policies,
        _mixings,
        _targets,
        _compiling,
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
        from visiontune.tuning.proposals.any_sampler import sampler_problems

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
        rule = (
            f"{plural(spec.num_folds, 'fold')} need at least {2 * spec.num_folds} training pictures of each class, which {small[0]!r} lacks"
        )
        yield Problem("", 0, "data.folds", rule)


def _policies(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.augmentation.policy import problem_of, problem_of_by_class, problem_of_turning
    from visiontune.augmentation.resized_crop import problem_of_crop
    from visiontune.training.class_balance import problem_of_copies

    for augmentation in spec.space.corners("augmentation"):
        rule = problem_of(augmentation, info.channels) or problem_of_turning(augmentation, info.image_size)
        if rule is not None:
            yield problem_at(spec, "augmentation.policy", rule)
        if (rule := problem_of_crop(augmentation)) is not None:
            yield problem_at(spec, "augmentation.crop", rule)
        items = augmentation.get("by_class", ())
        rule = problem_of_by_class(items, info.class_names, image_size=info.image_size, channels=info.channels)
        if rule is not None:
            yield problem_at(spec, "augmentation.by_class", rule)
    copies = max(training["repeated_augmentation"] for training in spec.space.corners("training"))
    own = [item["policy"] for augmentation in spec.space.corners("augmentation") for item in augmentation.get("by_class", ())]
    rule = problem_of_copies(copies, [*(str(policy) for policy in spec.space.values("augmentation.policy")), *own])
    if rule is not None:
        yield problem_at(spec, "training.repeated_augmentation", rule)


def _mixings(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """For `fine_tune_last` only the network knows whether anything is frozen: what is wrong then shows in the trial."""
    from visiontune.augmentation.mixing import problem_of_mixing

    batch_size = min(training["batch_size"] for training in spec.space.corners("training"))
    use_features = freezes(spec)
    for augmentation in spec.space.corners("augmentation"):
        rule = problem_of_mixing(augmentation, batch_size=batch_size, use_features=use_features)
        if rule is not None:
            yield problem_at(spec, "augmentation.mixing", rule)


def _targets(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.loss import problem_of_targets

    for loss in spec.space.corners("loss"):
        rule = problem_of_targets(loss, info.num_classes, has_many=has_many(spec.data))
        if rule is not None:
            yield problem_at(spec, "loss.target_threshold", rule)


def _compiling(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.compiled import problem_of_mode

    for training in spec.space.corners("training"):
        rule = problem_of_mode(training, has_gpu=spec.resources.gpus_per_trial != 0)
        if rule is not None:
            yield problem_at(spec, "training.compile_mode", rule)


def _sharpness(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.optim.sharpness_aware import problem_of_sharpness

    for optimizer, training in product(spec.space.corners("optimizer"), spec.space.corners("training")):
        rule = problem_of_sharpness(optimizer, training)
        if rule is not None:
            yield problem_at(spec, "optimizer.sharpness", rule)


def _averages(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    from visiontune.training.optim.weight_average import problem_of_averages

    for regularization, optimizer in product(spec.space.corners("regularization"), spec.space.corners("optimizer")):
        problem = problem_of_averages(regularization, optimizer)
        if problem is not None:
            yield problem_at(spec, *problem)


def _workers(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """What several workers can't train together."""
    from visiontune.training.ranks import problem_of_ranks

    for training in spec.space.corners("training"):
        keys = {key: training[key] for key in ("batch_size", "use_compile")}
        rule = problem_of_ranks(spec.resources.workers_per_trial, **keys)
        if rule is not None:
            yield problem_at(spec, "training", rule)


def _constraints(spec: StudySpec, info: DataInfo) -> Iterator[Problem]:
    """Bounds that no recipe keeps, and recipes of the file that cost too much."""
    from visiontune.tuning.ranking.constraints import draw, shown, too_dear

    if (found := draw(spec, info)) is None:
        return
    for recipe, rule in too_dear(spec, info):
        yield Problem(recipe.file, recipe.line, "start.recipes", f"{recipe.name} costs too much for the constraints: {rule}")
    for name, least in found.least.items():
        if least > spec.constraints[name]:
            file, line = spec.places.get(f"constraints.{name}", (spec.space.file, 0))
            rule = f"none of {plural(found.num, 'recipe')} drawn at random costs so little: the least is {shown(least)}"
            got = f"but got <= {shown(spec.constraints[name])}; nearest is '<= {least:.12g}'"
            yield Problem(file, line, f"constraints.{name}", f"{rule}, {got}")
