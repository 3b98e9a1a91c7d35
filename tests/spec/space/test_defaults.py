"""Where a search begins: every declared default, clipped to the space, for every file that ships."""

import inspect
from pathlib import Path

import pytest
import torch
from spec_files import BRANCHED, load

from visiontune.spec.declarations.domains import Choice, FixedParams, Float, Int
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.space.defaults import default_of, default_params
from visiontune.spec.space.space import Space
from visiontune.spec.tables.optimizers import OPTIMIZERS

FILES = sorted((Path(__file__).parents[3] / "search_spaces").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_that_ships_begins_at_a_point_of_its_own_space(file):
    spec = load_study(file)
    params = default_params(spec.space)
    sections = spec.space.resolve(FixedParams(params))  # every param that exists there has a value
    assert make_recipe(spec, sections, 0).fingerprint
    domains = {name: domain for name, domain, _ in spec.space.domains()}
    for name, value in params.items():
        domain = domains[name]
        assert value in domain.values() if isinstance(domain, Choice) or domain.num_values() else domain.low <= value <= domain.high


def test_defaults_are_clipped_and_what_has_none_suits_its_neighbour():
    space = Space(
        {
            "model": {"name": Choice(("cnn", "lenet5"), {"cnn": {}, "lenet5": {"width": Int(2, 4)}}), "dropout": Float(0.1, 0.5)},
            "optimizer": {"name": Choice(("adamw", "sgd")), "lr": Float(1e-5, 5e-4, log=True)},
            "regularization": {"l2": Float(1e-6, 1e-2, log=True)},
            "training": {"batch_size": Int(10, 50, step=20)},
        }
    )
    params = default_params(space)
    assert params == {
        "model.name": "cnn",
        "model.dropout": 0.1,
        "optimizer.name": "adamw",
        "optimizer.lr": 5e-4,
        "regularization.l2": 1e-6,
        "training.batch_size": 50,
    }


def test_a_search_begins_with_what_suits_the_entry_in_whose_branch_a_key_stands(tmp_path):
    space = load(tmp_path, BRANCHED.replace("adamw: {lr: {float: [1e-4", "adamw: {lr: {float: [1e-5")).space
    assert default_of("optimizer.adamw.lr", {"optimizer.name": "sgd"}) == 0.001
    assert default_of("model.lenet5.leaky_relu.slope", {}) == 0.01
    params = default_params(space)
    assert params["optimizer.sgd.lr"] == 0.05  # the first choice, at its own rate
    assert params["model.lenet5.leaky_relu.slope"] == 0.1 and params["model.lenet5.dropout"] == 0.0
    second = load(tmp_path, BRANCHED.replace("        sgd: {", "        radam: {lr: {choice: [0.1, 0.001]}}\n        sgd: {")).space
    assert default_params(second)["optimizer.radam.lr"] == 0.001


@pytest.mark.parametrize(("name", "theirs"), [("adamw", "AdamW"), ("adam", "Adam"), ("adagrad", "Adagrad"), ("nadam", "NAdam")])
def test_rates_to_begin_with_are_torchs(name, theirs):
    torchs = inspect.signature(getattr(torch.optim, theirs)).parameters["lr"].default
    assert default_of("optimizer.lr", {"optimizer.name": name}) == torchs


def test_every_optimizer_has_a_rate_to_begin_with():
    assert all(0 < entry.suits["lr"] <= 1 for entry in OPTIMIZERS.entries.values())
