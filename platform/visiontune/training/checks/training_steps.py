"""A recipe set up as the train loop does it, for a few steps on real pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import Tensor

from visiontune.errors import UserError
from visiontune.models.transfer import train_mode
from visiontune.spec.declarations.declare import Section, Table
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill
from visiontune.training.setup import Setup

FAILURES = (UserError, RuntimeError, ValueError)
"""What setting up or training raises for a recipe that can't be; running out of memory is a RuntimeError."""


def without_augmentation(recipe: TrialRecipe, **sections: Mapping[str, Any]) -> TrialRecipe:
    """The recipe without augmentation, compiling and changes of size, which cost seconds and no verdict, and with these values on top."""
    changed: dict[str, Mapping[str, Any]] = {"augmentation": {"crop": "none", "policy": "none", "mixing": "none"}, **sections}
    changed["training"] = {"use_compile": False, "compile_mode": "default", "resize": "none", **changed.get("training", {})}
    merged: dict[str, Any] = {key: {**getattr(recipe, key), **values} for key, values in changed.items()}
    return replace(recipe, **merged)


def unregularized(recipe: TrialRecipe, batch_size: int, lr: float) -> TrialRecipe:
    """The recipe's network and preprocessing, with nothing that would keep it from memorising a batch; Adam at `lr`."""
    off = {key: 0.0 for key, value in recipe.model.items() if isinstance(value, float) and ("dropout" in key or key == "stochastic_depth")}
    sections: dict[str, Any] = {
        "regularization": _section("regularization"),
        "balance": _section("balance"),
        "loss": _section("loss", name="cross_entropy"),
        "optimizer": _section("optimizer", name="adam", lr=lr),
    }
    return replace(without_augmentation(recipe, model=off, training={"batch_size": batch_size, "micro_batch": 0}), **sections)


def model_words(recipe: TrialRecipe) -> str:
    """The entries that the model section names, such as "cnn relu he_normal"."""
    return " ".join(str(recipe.model[key]) for key, field in _declared("model").fields.items() if isinstance(field, Table))


def make_step(setup: Setup, seed: int, *, is_one_batch: bool = False) -> Callable[[float], float]:
    """lr -> cross-entropy before a step at that rate: on the next batch of ever new epochs, or always on the very first."""
    numbered = enumerate(_batches(setup, seed, is_one_batch))
    torch.manual_seed(keyed_seed(seed, "check"))  # dropout's
    train_mode(setup.tail)

    def step(lr: float) -> float:
        number, (x_NCHW, y_N) = next(numbered)
        with setup.arithmetic.set_flags():
            return setup.stepper.step(x_NCHW, y_N, lr, number).item()

    return step


def _batches(setup: Setup, seed: int, is_one_batch: bool) -> Iterator[tuple[Tensor, Tensor]]:
    if is_one_batch:
        [batch] = setup.train_set.batches(setup.order(seed, 1), setup.bounds[:2], 1)
        while True:
            yield batch
    for epoch in count(1):
        yield from setup.train_set.batches(setup.order(seed, epoch), setup.bounds, epoch)


def finite(value: float) -> float | None:
    """The value, or None where it is not finite: JSON has no NaN."""
    return value if math.isfinite(value) else None


def _section(key: str, **values: Any) -> dict[str, Any]:
    return fill(_declared(key).fields, values)


def _declared(key: str) -> Section:
    section = RECIPE.fields[key]
    assert isinstance(section, Section)
    return section
