"""What `check` refuses in a space, `train` refuses in a recipe, in the same words and before any picture is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study
from visiontune.training import train_recipe
from visiontune.tuning.preflight.preflight import preflight

BASE: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
RULES = {
    "has batch normalisation, which learns nothing from batches of one": {"model": {"name": "cnn"}, "training": {"batch_size": 1}},
    "which learns nothing from batches of one: take larger ones": {"model": {"name": "cnn"}, "training": {"micro_batch": 1}},
    "too deep for pictures of 8 px": {"model": {"name": "alexnet"}},
    "warm-up must end before the full budget of 3 epochs, but takes 3; nearest is 2": {"schedule": {"name": "cosine", "warmup_epochs": 3}},
    "needs two pictures in a batch": {"augmentation": {"policy": "none", "mixing": "mixup"}, "training": {"batch_size": 1}},
    "needs pictures with 3 channels": {"augmentation": {"policy": "fixed", "Hue": {"probability": 0.5, "magnitude": 0.5}}},
    "zca takes at most": {"preprocessing": {"name": "zca"}, "data": {"source": "digits", "image_size": 128}},
    "nowhere.safetensors": {"transfer": {"regime": "linear", "weights": "nowhere.safetensors"}},
    "for pictures of 8 px can't take any of 4 px": {"training": {"resize": "progressive", "resize_multiple": 2}},
    "components have no neighbours": {"preprocessing": {"name": "pca_whitening", "eval_size_share": 0.75}, "model": {"name": "resnet18"}},
    "must leave an epoch of 3 for everything, but head_epochs=3; nearest is 2": {
        "transfer": {"regime": "lp_ft", "weights": "nowhere.safetensors", "head_epochs": 3}
    },
    "says how use_compile compiles, but use_compile is false; nearest is default": {"training": {"compile_mode": "reduce-overhead"}},
    "micro-batches add up, but compile_mode is max-autotune and micro_batch 8; nearest is default": {
        "training": {"use_compile": True, "compile_mode": "max-autotune", "micro_batch": 8}
    },
    "a target of 0.01, so target_threshold must be at least that, but got 0; nearest is 0.01": {
        "loss": {"name": "binary_cross_entropy", "label_smoothing": 0.1, "target_threshold": 0.0}
    },
    "needs gradients without a loss scale": {
        "optimizer": {"name": "sgd", "lr": 0.1, "sharpness": "sam"},
        "training": {"precision": "fp16"},
    },
}


@pytest.mark.parametrize("words", RULES)
def test_a_rule_holds_for_a_recipe_as_for_a_space(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {"data": {"source": "digits"}, **BASE, **RULES[words]}
    data = sections.pop("data")
    budget = {"num_trials": 1, "max_epochs": 3, "min_epochs": 3}
    with pytest.raises(UserError) as refusal:
        preflight(load_study({"study": "one", "data": data, "budget": budget, "space": sections}))
    told = [problem.rule for problem in refusal.value.problems]
    monkeypatch.setattr(train_recipe, "prepared", lambda *_, **__: pytest.fail("pictures were read"))
    recipe = load_recipe({"data": data, **sections, "training": {**sections.get("training", {}), "num_epochs": 3}})
    for train in (train_recipe.train_recipe, train_recipe.fit_recipe):
        with pytest.raises(UserError) as refusal:
            train(recipe, tmp_path)
        assert [problem.rule for problem in refusal.value.problems] == told
    assert any(words in rule for rule in told)
