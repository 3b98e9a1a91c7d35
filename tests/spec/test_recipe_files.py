"""A recipe's file is read back exactly, by us and by another reader of YAML 1.2."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from spec_files import FULL, load

from visiontune.errors import UserError
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.stretched import stretched
from visiontune.spec.yaml.yaml_writer import dump_recipe, to_yaml


@pytest.fixture
def recipe(tmp_path: Path) -> TrialRecipe:
    spec = load(tmp_path, FULL)
    return make_recipe(spec, spec.space.resolve(RandomParams(1)), 5)


def test_a_recipe_is_complete(recipe: TrialRecipe) -> None:
    assert recipe.training["num_epochs"] == 54
    assert recipe.training["seed"] == keyed_seed(0, "trial", 5)
    assert {*recipe.to_dict()} == {*RECIPE.fields}
    assert recipe.data["train"] == "a/train.parquet"


def test_a_recipe_and_a_search_space_are_told_apart(tmp_path: Path, recipe: TrialRecipe) -> None:
    """By one sentence: of the keys of the one the other has hardly any."""
    dump_recipe(recipe, tmp_path / "recipe.yaml")
    for load_file, text, rule in (
        (
            load_study,
            (tmp_path / "recipe.yaml").read_text(),
            "a search space was expected, but this is a recipe: `visiontune train {}` trains it",
        ),
        (load_recipe, FULL, "a recipe was expected, but this is a search space: `visiontune search {}` searches it"),
    ):
        (tmp_path / "other.yaml").write_text(text)
        with pytest.raises(UserError, match=rule.format(tmp_path / "other.yaml")) as error:
            load_file(tmp_path / "other.yaml")
        assert len(error.value.problems) == 1


def test_recipes_are_read_back_exactly(tmp_path: Path) -> None:
    spec = load(tmp_path, FULL)
    path = tmp_path / "recipe.yaml"
    for number in range(8):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(number)), number)
        dump_recipe(recipe, path, "the winner\n\nof a study: 5 % better")
        assert load_recipe(path) == recipe
        assert load_recipe(path).fingerprint == recipe.fingerprint
        assert YAML(typ="safe", pure=True).load(path) == recipe.to_dict()
    assert path.read_text().startswith("# the winner\n#\n# of a study: 5 % better\n")
    assert {file.name for file in tmp_path.iterdir()} == {"recipe.yaml", "space.yaml"}


def test_any_float_and_any_string_survives(tmp_path: Path) -> None:
    rng = random.Random(0)
    floats = [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(300)]
    strings = [
        "",
        "no",
        "1e-3",
        "null",
        "a: b",
        "#",
        "a b",
        "größe/θ.parquet",
        'quo"te\\',
        "tab\t\n",
        "-",
        "~",
        "😀",
        "\x7f\x85",
        "1",
        "y",
        "true",
    ]
    values = [*(f for f in floats if f == f and abs(f) != float("inf")), 1e16, 1e-5, 0.1, -0.0, *strings, True, False, None, 3, -7]
    tree = {f"k{number}": value for number, value in enumerate(values)}
    path = tmp_path / "values.yaml"
    path.write_text(to_yaml(tree), encoding="utf-8")
    back = YAML(typ="safe", pure=True).load(path)
    assert [repr(value) for value in back.values()] == [repr(value) for value in values]


@pytest.mark.parametrize(
    ("was", "now", "words"),
    [
        ("  lr: ", "  lr: {float: [0.1, 1]} #", "but is a domain; domains stand only under `space`"),
        ("  name: cosine", "  name: {choice: [cosine]}", "schedule.name: must name one lr schedule"),
        ("  num_epochs: 54", "  num_epoch: 54", "training.num_epoch: unknown key 'num_epoch'; nearest is 'num_epochs'"),
        ("  num_epochs: 54", "  # none", "required key 'num_epochs' is missing"),
        ("  weight_decay:", "  weight_dekay:", "nearest is 'weight_decay'"),
        ("optimizer:", "space:", "required section 'optimizer' is missing; it needs name and lr"),
    ],
)
def test_a_wrong_recipe_is_told(tmp_path: Path, recipe: TrialRecipe, was: str, now: str, words: str) -> None:
    recipe = replace(
        recipe,
        optimizer={"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.0, "lr": 0.1},
        schedule={"name": "cosine", "warmup_epochs": 0, "final_fraction": 0.0},
    )
    path = tmp_path / "recipe.yaml"
    dump_recipe(recipe, path)
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, now))
    with pytest.raises(UserError) as error:
        load_recipe(path)
    assert words in str(error.value)


def test_nesterov_without_momentum_is_refused_in_a_recipe_too(tmp_path: Path, recipe: TrialRecipe) -> None:
    path = tmp_path / "recipe.yaml"
    dump_recipe(replace(recipe, optimizer={"name": "sgd", "momentum": 0.0, "nesterov": True, "weight_decay": 0.0, "lr": 0.1}), path)
    with pytest.raises(UserError, match="momentum > 0"):
        load_recipe(path)


def test_a_recipe_that_can_t_be_written_leaves_nothing_behind(tmp_path: Path, recipe: TrialRecipe) -> None:
    (tmp_path / "recipe.yaml").mkdir()
    with pytest.raises(OSError, match="directory"):
        dump_recipe(recipe, tmp_path / "recipe.yaml")
    assert {file.name for file in tmp_path.iterdir()} == {"recipe.yaml", "space.yaml"}


PHASES = ({"after_epoch": 1, "optimizer.lr": 0.02}, {"after_epoch": 6, "model.dropout": 0.25, "optimizer.lr": 1e-5})


def test_phases_are_read_back_exactly_and_leave_recipes_without_as_they_were(tmp_path: Path, recipe: TrialRecipe) -> None:
    changing = replace(recipe, phases=PHASES)
    dump_recipe(changing, tmp_path / "recipe.yaml")
    assert load_recipe(tmp_path / "recipe.yaml") == changing and TrialRecipe(**changing.to_dict()) == changing
    assert "phases" not in recipe.to_dict() and changing.up_to(1) == recipe and changing.fingerprint != recipe.fingerprint
    rates = {epoch: changing.at(epoch).optimizer["lr"] for epoch in (1, 2, 6, 7, 54)}
    assert rates == {1: recipe.optimizer["lr"], 2: 0.02, 6: 0.02, 7: 1e-5, 54: 1e-5} and changing.at(7).model["dropout"] == 0.25
    assert [changing.changes_after(epoch) for epoch in (0, 1, 2, 6)] == [False, True, False, True]
    longer, changes = stretched(changing, 108)
    assert [phase["after_epoch"] for phase in longer.phases] == [2, 12] and changes["phases[1].after_epoch"] == (6, 12)


@pytest.mark.parametrize(
    ("phases", "words"),
    [
        ("3", "phases: must be a list of mappings such as {after_epoch: 3, optimizer.lr: 0.1}, but got 3"),
        ("[3]", "phases[0]: must be a mapping with after_epoch"),
        ("[{optimizer.lr: 0.1}]", "phases[0]: must be a mapping with after_epoch"),
        (
            "[{after_epoch: 54}]",
            "phases[0].after_epoch: must be an int, later than the phase before and before the last epoch, 1 to 53",
        ),
        ("[{after_epoch: 3}, {after_epoch: 3}]", "before the last epoch, 4 to 53, but got 3"),
        ("[{after_epoch: 53}, {after_epoch: 60}]", "phases[1].after_epoch: must be an int, later than"),
        ("[{after_epoch: 53}, {after_epoch: 60}]", "there is none, as training.num_epochs is 54, but got 60"),
        ("[{after_epoch: 3, optimizer.lr: 1000}]", "phases[0].optimizer.lr: must be a float from 1e-08 to 100"),
        ("[{after_epoch: 3, optimizer.lrr: 1}]", "unknown key of a recipe 'optimizer.lrr'; nearest is 'optimizer.lr'"),
        ("[{after_epoch: 3, optimizer.name: adam}]", "phases[0].optimizer.name: can't change while a network is trained"),
        ("[{after_epoch: 3, training.batch_size: 32}]", "training.batch_size: can't change while a network is trained"),
        ("[{after_epoch: 3, optimizer.rho: 0.5}]", "phases[0].optimizer.rho: is no key of this recipe"),
        ("[{after_epoch: 3, optimizer.weight_decay: 0.1}]", "optimizer.weight_decay: an optimizer keeps other things at 0 than above"),
    ],
)
def test_a_wrong_phase_is_told_with_its_line(tmp_path: Path, recipe: TrialRecipe, phases: str, words: str) -> None:
    recipe = replace(recipe, optimizer={"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 0.0, "lr": 0.1})
    path = tmp_path / "recipe.yaml"
    dump_recipe(recipe, path)
    path.write_text(f"phases: {phases}\n{path.read_text()}")
    with pytest.raises(UserError) as error:
        load_recipe(path)
    assert len(error.value.problems) == 1 and f"{path}:1: " in str(error.value) and words in str(error.value), str(error.value)
