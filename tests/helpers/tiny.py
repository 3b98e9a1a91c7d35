"""Small made pictures that can be learned, and recipes out of the tables' own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.spec.declarations.declare import REQUIRED, Arg, Entry, Section
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill
from visiontune.training.checks.made_store import make_store

__all__ = ["defaults", "make_recipe", "make_store", "model_section", "section"]


def defaults(entry: Entry) -> dict[str, Any]:
    """What an entry's args are when a file names none of them."""
    return {name: arg.default for name, arg in entry.args.items() if isinstance(arg, Arg) and arg.default is not REQUIRED}


def model_section(name: str = "lenet5", activation: str = "relu", **args: Any) -> dict[str, Any]:
    """A resolved model section."""
    return section("model", {"name": name, "activation": activation, **args})


def section(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """A section of a recipe with every default filled in."""
    declared = RECIPE.fields[name]
    assert isinstance(declared, Section)
    return fill(declared.fields, values)


LEAST = {"width_factor": 0.25, "depth_factor": 0.34, "width": 1, "depth": 1, "stochastic_depth": 0.1}
"""A network of the same kind, but small and with all kinds of parts, where its entry has such an argument and allows it."""


def least_args(entry: Entry) -> dict[str, Any]:
    """The arguments of LEAST that this entry takes, within its range."""
    found = {}
    for name, value in LEAST.items():
        arg = entry.args.get(name)
        if isinstance(arg, Arg) and arg.low is not None:
            found[name] = arg.type(max(value, arg.low))
    return found


def make_recipe(
    model: Mapping[str, Any] | None = None,
    optimizer: str = "sgd",
    schedule: str = "constant",
    *,
    optimizer_args: Mapping[str, Any] | None = None,
    schedule_args: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    sections: Mapping[str, Mapping[str, Any]] | None = None,
    regularization: Mapping[str, Any] | None = None,
    augmentation: Mapping[str, Any] | None = None,
    **training: Any,
) -> TrialRecipe:
    """A resolved recipe; three epochs of batches of 16 unless told. `sections` are those without an argument of their own."""
    given = {
        **(sections or {}),
        "regularization": regularization or {},
        "optimizer": {"name": optimizer, "lr": 0.02, **(optimizer_args or {})},
        "schedule": {"name": schedule, **(schedule_args or {})},
        "augmentation": augmentation or {"policy": "none"},
        "training": {"batch_size": 16, "num_epochs": 3, "seed": 0, **training},
    }
    filled = {name: section(name, given.get(name, {})) for name in RECIPE.fields if name not in ("data", "model")}
    return TrialRecipe(data=data or {"source": "made"}, model=model or model_section(), **filled)
