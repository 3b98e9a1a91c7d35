"""What `check` refuses in a space, said of one recipe before it is trained: what does not fit its pictures, batches or length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from visiontune.augmentation.mixing import problem_of_mixing
from visiontune.augmentation.policy import problem_of as problem_of_policy
from visiontune.augmentation.policy import problem_of_by_class, problem_of_turning
from visiontune.augmentation.resized_crop import problem_of_crop
from visiontune.errors import Problem, UserError
from visiontune.models.lp_ft import problem_of_phases
from visiontune.models.shape_check import problem_of as problem_of_model
from visiontune.models.shape_check import problem_of_other_sizes
from visiontune.models.transfer import problem_of_transfer
from visiontune.spec.complete_recipe import completed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.reading.study_rules import problem_of_warmup
from visiontune.spec.tables.preprocessings import channels_after
from visiontune.spec.tables.several_labels import has_many, problems_of_many
from visiontune.training.class_balance import problem_of_copies
from visiontune.training.compiled import problem_of_mode
from visiontune.training.input.fit_preprocessing import problem_of_preprocessing
from visiontune.training.input.picture_sizes import other_sizes, problem_of_sizes
from visiontune.training.loss import problem_of_targets
from visiontune.training.optim.sharpness_aware import problem_of_sharpness
from visiontune.training.optim.weight_average import problem_of_averages
from visiontune.training.teacher import problem_of_teacher

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo

ALWAYS_FREEZE = ("linear", "multi_depth", "freeze_first")
"""Regimes that freeze some stages of any network."""


def refuse_unfit(recipe: TrialRecipe, info: DataInfo) -> None:
    """Raise UserError with everything that does not fit; models are built without memory, in a fraction of a second."""
    problems = [Problem("", 0, where, rule) for where, rule in _problems(completed(recipe), info) if rule is not None]
    if problems:
        raise UserError(*problems)


def _problems(recipe: TrialRecipe, info: DataInfo) -> Iterator[tuple[str, str | None]]:
    training, transfer = recipe.training, recipe.transfer
    channels = channels_after(recipe.preprocessing["colour"], info.channels)
    shapes: dict[str, Any] = {"num_classes": info.num_classes, "in_channels": channels, "image_size": info.image_size}
    at_once = min(training["batch_size"], training["micro_batch"] or training["batch_size"])
    use_features = transfer["regime"] in ALWAYS_FREEZE

    if has_many(recipe.data):
        yield from problems_of_many(recipe.to_dict())
    yield "schedule", problem_of_warmup(recipe.schedule, training["num_epochs"])
    yield "preprocessing.name", problem_of_preprocessing(recipe.preprocessing, image_size=info.image_size, channels=info.channels)
    unfit = problem_of_model(recipe.model, **shapes, batch_size=at_once)
    sizes = other_sizes(recipe.preprocessing, training, info.image_size)
    yield "model.name", unfit or problem_of_other_sizes(recipe.model, sizes, **shapes)
    yield "training", problem_of_sizes(recipe.preprocessing, training, image_size=info.image_size, use_features=use_features)
    if transfer["regime"] != "scratch":
        yield "transfer.regime", problem_of_transfer(transfer, recipe.model, **shapes)
    yield "training.compile_mode", problem_of_mode(training)
    yield "loss.target_threshold", problem_of_targets(recipe.loss, info.num_classes, has_many=has_many(recipe.data))
    taught: dict[str, Any] = {"channels": channels, "use_features": use_features}
    yield "loss.teacher_from", problem_of_teacher(recipe.loss, recipe.preprocessing, info, **taught)
    yield "transfer.regime", problem_of_phases(transfer, training["num_epochs"])
    yield "optimizer.sharpness", problem_of_sharpness(recipe.optimizer, training)
    yield problem_of_averages(recipe.regularization, recipe.optimizer) or ("regularization", None)
    policies = [recipe.augmentation["policy"], *(item["policy"] for item in recipe.augmentation.get("by_class", ()))]
    yield "training.repeated_augmentation", problem_of_copies(training["repeated_augmentation"], policies)
    yield "augmentation.policy", problem_of_policy(recipe.augmentation, info.channels)
    yield "augmentation.policy", problem_of_turning(recipe.augmentation, info.image_size)
    yield "augmentation.crop", problem_of_crop(recipe.augmentation)
    pictures: dict[str, Any] = {"image_size": info.image_size, "channels": info.channels}
    yield "augmentation.by_class", problem_of_by_class(recipe.augmentation.get("by_class", ()), info.class_names, **pictures)
    yield (
        "augmentation.mixing",
        problem_of_mixing(recipe.augmentation, batch_size=training["batch_size"], use_features=use_features),
    )
