"""A file of pictures with several classes: what it means without a word, and what it can't say, in one sentence each."""

from __future__ import annotations

from typing import Any

import pytest

from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study

DATA = {"source": "manifest", "path": "labels.csv", "labels": "many"}
STUDY: dict[str, Any] = {
    "study": "several",
    "data": DATA,
    "budget": {"num_trials": 2, "max_epochs": 3},
    "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": {"float": [0.01, 0.1]}}},
}
REFUSED = {
    "got 'val_top1', which is of pictures with one class, but data.labels is many; nearest is 'val_map'; choices: val_map, val_loss": {
        "objective": {"metric": "val_top1"}
    },
    "choices: val_map, val_loss, train_loss, val_macro_f1, val_micro_f1": {"objective": {"metric": "mAP"}},
    "got 'accuracy', which is val_top1 here and of pictures with one class, but data.labels is many": {"objective": {"metric": "accuracy"}},
    "got 'val_map', which is of pictures with several classes, but data.labels is one; nearest is 'val_top": {
        "data": {"source": "digits"},
        "objective": {"metric": "val_map"},
    },
    "cross_entropy takes one class for each picture, but data.labels is many; nearest is binary_cross_entropy; choices: focal, binary": {
        "space": {"loss": {"name": {"choice": ["binary_cross_entropy", "cross_entropy", "focal"]}}}
    },
    "balanced counts pictures by the one class of each": {"space": {"balance": {"name": {"choice": ["none", "balanced"]}}}},
    "inverse_frequency weighs pictures by the one class of each": {"space": {"balance": {"class_weights": "inverse_frequency"}}},
    "thresholds of several classes are chosen on validation pictures": {"confirm": {"use_val": True}},
    "test-time augmentation averages probabilities of which one class is right": {"confirm": {"test_time": "flip"}},
    "'labels' is an argument of parquet, saved_dataset, folder, manifest, voc, coco": {"data": {"source": "digits", "labels": "many"}},
}


def test_loss_and_metric_are_those_of_several_classes() -> None:
    spec = load_study(STUDY)
    assert (spec.objective.metric, spec.objective.mode) == ("val_map", "max")
    assert spec.space.values("loss.name") == ["binary_cross_entropy"]
    smoothed = load_study({**STUDY, "space": {**STUDY["space"], "loss": {"label_smoothing": {"float": [0.0, 0.1]}}}})
    assert smoothed.space.values("loss.name") == ["binary_cross_entropy"]
    recipe = load_recipe(
        {"data": DATA, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 1}}
    )
    assert recipe.loss["name"] == "binary_cross_entropy"
    assert load_study({**STUDY, "data": {**DATA, "labels": "one"}}).objective.metric == "val_top1"


@pytest.mark.parametrize("rule", REFUSED)
def test_what_has_no_meaning_is_refused(rule: str) -> None:
    more = REFUSED[rule]
    with pytest.raises(UserError) as refused:
        load_study({**STUDY, **more, "space": {**STUDY["space"], **more.get("space", {})}})
    assert rule in str(refused.value) and len(refused.value.problems) == 1
