"""Factors between two recipes: all of them give the second recipe, none the first, and each is whole by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visiontune.spec.factors import factors_between, mixed
from visiontune.spec.parse import load_recipe

FIRST: dict[str, Any] = {
    "data": {"source": "digits"},
    "model": {"name": "lenet5", "width": 2},
    "optimizer": {"name": "sgd", "momentum": 0.9, "lr": 0.05},
    "training": {"batch_size": 64, "num_epochs": 3},
}
OPS = {"policy": "fixed", "Affine": {"probability": 0.5, "magnitude": 0.2}, "GaussNoise": {"probability": 0.3, "magnitude": 0.1}}
SECOND = {
    **FIRST,
    "model": {"name": "cnn", "depth": 3, "activation": "leaky_relu", "slope": 0.2, "dropout": 0.1},
    "optimizer": {"name": "adamw", "weight_decay": 0.01, "lr": 0.001},
    "schedule": {"name": "cosine"},
    "augmentation": {**OPS, "mixing": "mixup", "mixup_alpha": 0.3},
    "training": {"batch_size": 64, "num_epochs": 3, "seed": 7},
}


def test_all_factors_give_the_second_recipe_and_none_the_first() -> None:
    first, second = load_recipe(FIRST), load_recipe(SECOND)
    names = [factor.name for factor in factors_between(first, second)]
    ops = ["augmentation.Affine", "augmentation.GaussNoise"]
    assert names == ["model", "model.activation", "model.dropout", "optimizer", "schedule", *ops, "augmentation.mixing"]
    for one, other in ((first, second), (second, first)):
        assert mixed(one, other, names) == replace(other, training={**other.training, "seed": one.training["seed"]})
        assert mixed(one, other, []) == one
        for name in names:
            half = mixed(one, other, [name])
            assert [factor.name for factor in factors_between(one, half)] == [name]


def test_an_op_alone_needs_a_policy_and_a_policy_without_ops_is_none() -> None:
    first, second = load_recipe(FIRST), load_recipe(SECOND)
    alone = mixed(first, second, ["augmentation.GaussNoise"])
    assert [alone.augmentation["policy"], *alone.augmentation["GaussNoise"].values()][:3] == ["fixed", 0.3, 0.1]
    assert "Affine" not in alone.augmentation
    without = mixed(second, first, ["augmentation.Affine", "augmentation.GaussNoise"])
    assert without.augmentation["policy"] == "none"
    drawn = load_recipe({**FIRST, "augmentation": {"policy": "randaugment"}})
    assert [factor.name for factor in factors_between(drawn, load_recipe({**FIRST, "augmentation": OPS}))] == ["augmentation.policy"]
