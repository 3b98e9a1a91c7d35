"""Recipes to begin with: what a file may say of them, and where they lie in a space."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import BRANCHED, load

from visiontune.errors import UserError
from visiontune.spec.declarations.domains import Choice, FixedParams, Float, Int
from visiontune.spec.declarations.fingerprint import flatten
from visiontune.spec.parse import load_recipe, load_start_recipe, load_study, make_recipe
from visiontune.spec.reading.items_reader import declared_at
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import Space
from visiontune.spec.space.tree_walk import recipe_key
from visiontune.spec.tables.portfolios import PORTFOLIOS
from visiontune.spec.yaml.yaml_writer import dump_recipe

FILES = sorted((Path(__file__).parents[3] / "search_spaces").glob("*.yaml"))
SPACE = Space(
    {
        "model": {"name": Choice(("cnn", "lenet5"), {"cnn": {"depth": Int(2, 4, step=2)}, "lenet5": {}}), "dropout": 0.1},
        "optimizer": {
            "name": Choice(("adamw", "sgd"), {"adamw": {}, "sgd": {"momentum": Float(0.5, 0.9)}}),
            "lr": Float(1e-3, 0.1, log=True),
        },
        "augmentation": {"policy": "fixed", "Affine": {"magnitude": Float(0.0, 0.5)}},
        "training": {"batch_size": Choice((32, 128))},
    }
)


def study(folder: Path, start: object) -> dict[str, object]:
    space = {"model": {"name": "cnn"}, "optimizer": {"name": "sgd", "lr": {"float": [1e-3, 0.1], "log": True}}}
    return {
        "study": "s",
        "data": {"source": "digits"},
        "budget": {"num_trials": 4, "max_epochs": 9},
        "space": space,
        "start": start,
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_recipe_of_a_space_that_ships_is_a_point_of_it_again(file: Path) -> None:
    """A round trip: params, recipe, params."""
    from visiontune.spec.declarations.domains import RandomParams

    spec = load_study(file)
    for seed in range(20):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(seed)), seed)
        fitted = fit_to_space(spec.space, recipe.flat())
        again = make_recipe(spec, spec.space.resolve(FixedParams(fitted.params)), seed)
        assert again.flat() == recipe.flat()
        assert fitted.said == () and fitted.num_moved == 0


@pytest.mark.parametrize(
    ("wanted", "param", "value", "said"),
    [
        ({"optimizer.lr": 5.0}, "optimizer.lr", 0.1, "optimizer.lr 5 -> 0.1"),
        ({"optimizer.name": "sgd", "optimizer.momentum": 0.99}, "optimizer.sgd.momentum", 0.9, "optimizer.momentum 0.99 -> 0.9"),
        ({"model.depth": 5}, "model.cnn.depth", 4, "model.depth 5 -> 4"),
        ({"training.batch_size": 100}, "training.batch_size", 128, "training.batch_size 100 -> 128"),
        ({"model.name": "resnet18"}, "model.name", "cnn", "model.name resnet18 -> cnn"),
        ({"optimizer.momentum": 0.8}, "optimizer.name", "adamw", "optimizer.momentum has no use"),
        ({"model.dropout": 0.5}, "model.name", "cnn", "model.dropout 0.5 -> 0.1"),
        ({"augmentation.Affine.magnitude": 0.9}, "augmentation.Affine.magnitude", 0.5, "augmentation.Affine.magnitude 0.9 -> 0.5"),
    ],
)
def test_what_does_not_fit_is_the_nearest_that_does_and_said(wanted: dict, param: str, value: object, said: str) -> None:
    fitted = fit_to_space(SPACE, wanted)
    assert fitted.params[param] == value
    assert fitted.said == (said,)


def test_what_a_study_sets_itself_is_no_matter() -> None:
    fitted = fit_to_space(SPACE, {"data.source": "folder", "training.seed": 5, "training.num_epochs": 7, "optimizer.lr": 0.01})
    assert (fitted.said, fitted.num_kept, fitted.params["optimizer.lr"]) == ((), 1, 0.01)


def test_nested_and_dotted_keys_and_those_of_params_are_the_same(tmp_path: Path) -> None:
    flat = {"optimizer.lr": 0.02, "optimizer.sgd.momentum": 0.8}
    forms = [flat, {"optimizer": {"lr": 0.02, "momentum": 0.8}}, {"optimizer": {"lr": 0.02, "sgd": {"momentum": 0.8}}}]
    found = [load_study(study(tmp_path, [form])).start.recipes[0].values for form in forms]
    assert found == [{"optimizer.lr": 0.02, "optimizer.momentum": 0.8}] * 3


def test_a_list_is_short_for_recipes_and_a_file_is_a_recipe(tmp_path: Path) -> None:
    spec = load_study(study(tmp_path, None))
    recipe = make_recipe(spec, spec.space.resolve(FixedParams({"optimizer.lr": 0.05})), 3)
    dump_recipe(recipe, tmp_path / "good.yaml", header="one")
    for start in ([str(tmp_path / "good.yaml")], {"recipes": [str(tmp_path / "good.yaml")]}):
        (one,) = load_study(study(tmp_path, start)).start.recipes
        assert one.values == load_recipe(tmp_path / "good.yaml").flat() == recipe.flat()


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ([{"optimizer.lrr": 1}], "unknown key of a recipe 'optimizer.lrr'; nearest is 'optimizer.lr'"),
        ([{"optimizer.lr": "fast"}], "must be a float from 1e-08 to 100, but got 'fast'"),
        ([{"model.name": "lenet6"}], "must name one model, but got 'lenet6'; nearest is 'lenet5'"),
        ([{}], "says nothing; write keys of a recipe"),
        ([7], "must be one of files and mappings of recipe keys, but got 7"),
        ("good.yaml", "must be a list of files and mappings of recipe keys, but got 'good.yaml'; nearest is ['good.yaml']"),
        ({"recipes": "good.yaml"}, "nearest is ['good.yaml']"),
        (["none.yaml"], "the recipe none.yaml: there is no such file"),
        ([{"optimizer.lr": 50.0}], "optimizer.lr=50.0 lies wholly outside the space: optimizer.lr 50 -> 0.1"),
        ([{"model.width": 8}], "model.width=8 lies wholly outside the space"),
        ({"portfolio": "smal_pictures"}, "nearest is 'small_pictures'"),
        ({"studies": "digits"}, "must be none, auto or a list of names, but got 'digits'; nearest is ['digits']"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, start: object, said: str) -> None:
    with pytest.raises(UserError) as error:
        load_study(study(tmp_path, start))
    assert len(error.value.problems) == 1
    assert said in str(error.value)


def test_a_recipe_with_mistakes_is_told_at_its_own_lines(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(
        "data: {source: digits}\nmodel: {name: cnn}\noptimizer: {name: sgd, lr: 1, speed: 3}\ntraining: {num_epochs: 3}"
    )
    with pytest.raises(UserError) as error:
        load_study(study(tmp_path, [str(tmp_path / "old.yaml"), {"optimizer.lr": -1}]))
    assert [str(one).partition(": ")[0] for one in error.value.problems] == [f"{tmp_path}/old.yaml:3", "mapping"]
    assert "as a start recipe: unknown key 'speed'" in str(error.value)


def test_a_search_space_in_place_of_a_recipe_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_study(study(tmp_path, [str(FILES[0])]))
    assert [str(one) for one in error.value.problems] == [
        f"mapping: start.recipes: the recipe {FILES[0]} is a search space, no recipe: name one such as studies/NAME/winner.yaml"
    ]


def test_on_the_command_line_a_part_of_a_recipe_is_enough() -> None:
    assert load_start_recipe(None, ["optimizer.lr=0.1", "model.name=cnn"]).values == {"optimizer.lr": 0.1, "model.name": "cnn"}
    with pytest.raises(UserError, match=r"unknown key of a recipe 'optimiser\.lr'"):
        load_start_recipe(None, ["optimiser.lr=0.1"])


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_portfolios_are_made_of_what_recipes_are_made_of(name: str) -> None:
    assert 1 <= len(PORTFOLIOS[name]) <= 4
    for known in PORTFOLIOS[name]:
        for key, value in known.values.items():
            declared = [field for _, field in declared_at(key.split("."), RECIPE.fields)]
            assert declared, key
            assert any(value in getattr(field, "entries", ()) or type(value) is getattr(field, "type", None) for field in declared), key
        for key in ("optimizer.name", "optimizer.lr", "training.batch_size"):
            assert key in known.values


def test_rates_go_with_the_batch_as_their_sources_say() -> None:
    sgd, adam = PORTFOLIOS["from_scratch"][0], PORTFOLIOS["fine_tuning"][1]
    assert sgd.for_batch(256)["optimizer.lr"] == pytest.approx(sgd.values["optimizer.lr"] / 4)  # Goyal et al. 2017
    assert adam.for_batch(512)["optimizer.lr"] == pytest.approx(adam.values["optimizer.lr"] * 2)
    assert flatten(sgd.for_batch(1024)) == dict(sgd.values)


def test_a_recipe_fits_into_the_branch_of_its_choice(tmp_path: Path) -> None:
    space = load(tmp_path, BRANCHED).space
    wanted = {"optimizer.name": "adamw", "optimizer.lr": 0.5, "model.name": "lenet5", "model.activation": "leaky_relu", "model.slope": 0.2}
    fitted = fit_to_space(space, wanted)
    assert fitted.params["optimizer.adamw.lr"] == 1e-2 and "optimizer.sgd.lr" not in fitted.params
    assert fitted.params["model.lenet5.activation"] == "leaky_relu" and fitted.params["model.lenet5.leaky_relu.slope"] == 0.2
    assert fitted.said == ("optimizer.lr 0.5 -> 0.01",)
    assert (fitted.num_kept, fitted.num_moved) == (4, 1)
    for name, domain, given in space.domains():
        if name.endswith(("lr", "slope", "dropout")):
            assert recipe_key(name, given).count(".") == 1, (name, domain)
