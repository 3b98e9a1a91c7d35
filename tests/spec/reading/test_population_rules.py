"""What of a recipe may change while it is trained, and what a file must be to make a population of its trials."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from population_file import SPACE, with_space
from tiny import least_args, model_section

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.results.checks.search_forecast import population_lines, rungs
from visiontune.spec.parse import load_study
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.changing import changing_params, fixed_params
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.tables.models import MODELS


def test_what_may_change_is_what_leaves_the_tensors_as_they_are() -> None:
    space = load_study(
        with_space(
            model={"name": {"choice": {"cnn": {}, "lenet5": {}}}, "dropout": {"float": [0, 0.5]}},
            optimizer={
                "name": "sgd",
                "lr": {"choice": [0.1, 0.2]},
                "momentum": {"float": [0, 0.9]},
                "weight_decay": {"float": [1e-4, 0.1]},
            },
            augmentation={"policy": {"choice": {"randaugment": {"magnitude": {"float": [0, 1]}}, "none": {}}}},
            regularization={"l2": {"float": [0, 0.1]}, "ema_decay": 0.9},
            training={"batch_size": {"choice": [32]}},
        )
        | {"trial_scheduler": {"name": "none"}}
    ).space
    assert {*changing_params(space)} == {
        "model.dropout",
        "optimizer.lr",
        "optimizer.weight_decay",
        "augmentation.randaugment.magnitude",
        "regularization.l2",
    }
    assert {*fixed_params(space)} == {"model.name", "optimizer.momentum", "augmentation.policy", "training.batch_size"}


WITH_RATES = [
    (name, key)
    for name, entry in MODELS.entries.items()
    for key in ("inner_dropout", "stochastic_depth")
    if key in entry.args and "model" not in entry.args
]


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "key"), WITH_RATES)
def test_a_rate_that_may_change_adds_no_tensor_to_any_network(name: str, key: str) -> None:
    """So that weights of a network without it are those of one with it."""
    with torch.device("meta"):
        found = [
            build_model({**model_section(name, **least_args(MODELS.entries[name])), key: rate}, num_classes=3, in_channels=3, image_size=64)
            for rate in (0.0, 0.2)
        ]
    shapes = [{one: tensor.shape for one, tensor in network.state_dict().items()} for network in found]
    assert shapes[0] == shapes[1]


def test_a_file_says_how_a_population_is_searched() -> None:
    spec = load_study(with_space(model={"name": {"choice": ["cnn", "lenet5"]}}))
    assert (spec.leg_ends, spec.rungs, cost(spec).expected_epochs) == ((3, 6, 9), (9,), 72)
    assert "after 3, 6 of 9 epochs" in rungs(spec)
    assert population_lines(spec) == (
        "optimizer.lr changes where a trial takes another's weights",
        "model.name stays as drawn: 2 groups, in each of which trials go on from each other's weights",
    )
    assert load_study({**SPACE, "trial_scheduler": "pbt", "budget": {"num_trials": 8, "max_epochs": 81}}).leg_ends[:2] == (10, 20)
    assert spec_of_identity(spec.identity()).identity() == spec.identity(), "the size of a population is part of it"


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"budget": {"hours": 1, "max_epochs": 9}}, "num_trials, at least 4, but the file does not say it; nearest is 4"),
        ({"budget": {"num_trials": 3, "max_epochs": 9}}, "num_trials, at least 4, but got 3"),
        ({"budget": {"num_trials": 8, "max_epochs": 1}, "trial_scheduler": {"name": "pbt"}}, "before the last of 1, but got auto"),
        (with_space(model={"name": "cnn", "depth": {"int": [1, 3]}}), "equal in model.depth, which parts the 8 trials into 3 groups"),
        (with_space(training={"batch_size": {"int": [8, 512]}}), "equal in training.batch_size, which parts the 8 trials into 8 groups"),
        (with_space(optimizer={"name": "sgd", "lr": 0.1, "momentum": {"float": [0, 0.9]}}), "space.optimizer.momentum: weights go only to"),
        (with_space(optimizer={"name": "sgd", "lr": 0.1, "momentum": {"float": [0, 0.9]}}), "begin its range above 0"),
        (
            {"space": {"model": {"name": {"choice": ["cnn", "lenet5"]}}, "optimizer": {"name": "sgd", "lr": 0.1}}},
            "here nothing may change: model.name stays as it is; nearest is asha",
        ),
    ],
)
def test_a_file_that_makes_no_population_is_told_so(sections: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        load_study({**SPACE, **sections})
    assert len(error.value.problems) == 1 and words in str(error.value), str(error.value)
