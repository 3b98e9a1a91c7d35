"""Costs that are known of a recipe, against the arithmetic of LeNet-5's layers."""

from __future__ import annotations

from dataclasses import replace

from tiny import make_recipe

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.known_costs import known_costs


def lenet5(**model: object) -> TrialRecipe:
    recipe = make_recipe(num_epochs=1)
    named = {"name": "lenet5", "width": 1, "dropout": 0.0, "init": "he_normal"}
    return replace(
        recipe, model={**{key: value for key, value in recipe.model.items() if key not in ("depth", "kernel_size")}, **named, **model}
    )


def test_lenet5_costs_what_its_layers_add_up_to() -> None:
    """Two convolutions of 5 x 5, three linear layers (LeCun et al. 1998, all maps connected), of a grey picture of 32 px."""
    layers = [(6 * 28 * 28, 25), (16 * 10 * 10, 6 * 25), (120, 400), (84, 120), (10, 84)]
    parameters = 6 * 26 + 16 * (6 * 25 + 1) + 120 * 401 + 84 * 121 + 10 * 85
    sizes = {"image_size": 32, "channels": 1, "num_classes": 10}
    expected = {"num_parameters": parameters, "multiply_adds": sum(out * each for out, each in layers), "weight_bytes": 4 * parameters}
    assert known_costs(lenet5(), **sizes) == expected
    assert known_costs(lenet5(dropout=0.5, init="lecun_normal"), **sizes) == expected
