"""Pictures of several classes (`data.labels: many`): what a file means that does not say it, and what has no meaning for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from visiontune.spec.declarations.declare import Arg, Field, Section
from visiontune.spec.tables.losses import LOSSES, SEVERAL_LABELS
from visiontune.spec.tables.metrics import OF_MANY, OF_ONE

ONE, MANY = "one", "many"
LOSS, METRIC = "binary_cross_entropy", "val_map"
NO_TEST_TIME = "test-time augmentation averages probabilities of which one class is right, but data.labels is many"


def has_many(data: Mapping[str, Any]) -> bool:
    """Whether pictures of that section `data` may have several classes, or none."""
    return bool(data.get("labels", ONE) == MANY)


def with_many_of(data: Mapping[str, Any], tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Sections of a recipe or a space as they were read, with the loss that several classes take where they name none."""
    loss = tree.get("loss", {})
    return {**tree, "loss": {"name": LOSS, **loss}} if has_many(data) and "name" not in loss else tree


def with_metric(data: Mapping[str, Any], objective: Mapping[str, Any]) -> Mapping[str, Any]:
    """The section `objective` as it was read, with the metric of several classes where it names none."""
    return {"metric": METRIC, **objective} if has_many(data) else objective


def with_usable_metrics(labels: Any, fields: Mapping[str, Field]) -> Mapping[str, Field]:
    """The fields of a study, in which the objective takes the metrics of pictures with such `labels`, and says of others why not."""
    if labels not in (ONE, MANY):
        return fields
    objective, known = fields["objective"], OF_MANY if labels == MANY else OF_ONE
    assert isinstance(objective, Section)
    metric = objective.fields["metric"]
    assert isinstance(metric, Arg)
    why = f"of pictures with {'one class' if labels == MANY else 'several classes'}, but data.labels is {labels}"
    others = {str(name): f"which is {why}" for name in metric.choices if name not in known}
    former = {name: f"{said} and {why}" if {*said.split()} & {*others} else said for name, said in metric.former.items()}
    usable = replace(metric, choices=known, former={**former, **others})
    return {**fields, "objective": replace(objective, fields={**objective.fields, "metric": usable})}


def problems_of_many(recipe: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Keys, and why each can't be with pictures of several classes, as one sentence; of sections that are there."""
    loss, balance, augmentation = (recipe.get(name, {}) for name in ("loss", "balance", "augmentation"))
    able = [name for name, entry in LOSSES.entries.items() if SEVERAL_LABELS in entry.traits]
    if (name := loss.get("name", LOSS)) not in able:
        rule = f"{name} takes one class for each picture, but data.labels is many; nearest is {LOSS}"
        yield "loss.name", f"{rule}; choices: {', '.join(able)}"
    if loss.get("teacher", "none") != "none":
        yield "loss.teacher", "a teacher is asked which of the classes it is, but data.labels is many; nearest is none"
    if (name := balance.get("name", "none")) != "none":
        yield "balance.name", f"{name} counts pictures by the one class of each, but data.labels is many; nearest is none"
    if (name := balance.get("class_weights", "none")) != "none":
        rule = f"{name} weighs pictures by the one class of each, but data.labels is many; nearest is none"
        yield "balance.class_weights", f"{rule}, and loss.pos_weight weighs each class"
    if augmentation.get("by_class"):
        yield "augmentation.by_class", "ops go by the one class of a picture, but data.labels is many; leave by_class out"
