"""How a call names a space or a recipe: a file or its content, overrides as words or keyword arguments; one rule for all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import DIGITS, PLATFORM
from ruamel.yaml import YAML

import visiontune
from visiontune.api.inputs import spec_of
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.inspection.study_inspection import views_of
from visiontune.results.retraining.confirm_study import confirm_keys
from visiontune.results.study import open_study
from visiontune.spec.space.study_spec import StudySpec

SPACE = {
    "study": "mine",
    "data": {"source": "digits"},
    "budget": {"num_trials": 4, "max_epochs": 3},
    "space": {"model": {"name": {"choice": {"lenet5": {"width": {"int": [1, 4]}}}}}, "optimizer": {"name": "sgd", "lr": 0.1}},
}
RECIPE = {"data": {"source": "digits"}, "model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 2}}
STUDY: Any = visiontune.Study(StudyFolder(Path("none")), record=None)  # type: ignore[arg-type]


def test_a_file_and_its_content_are_the_same() -> None:
    content = YAML(typ="safe").load(DIGITS)
    assert [recipe.fingerprint for recipe in visiontune.sample(content)] == [recipe.fingerprint for recipe in visiontune.sample(DIGITS)]


def test_words_and_keyword_arguments_are_the_same() -> None:
    words = visiontune.sample(SPACE, ["space.optimizer.lr=0.5", "data.val_fraction=0.3"], n=2)
    named = visiontune.sample(SPACE, n=2, space__optimizer__lr=0.5, data__val_fraction=0.3)
    assert [recipe.to_dict() for recipe in words] == [recipe.to_dict() for recipe in named]
    assert words[0].optimizer["lr"] == 0.5


@pytest.mark.parametrize("name", ["true", "null", "12"])
def test_a_text_is_what_was_given_not_yamls_reading_of_it(name: str) -> None:
    assert spec_of(SPACE, [], {"study": name}).study == name
    assert spec_of(SPACE, [f"study={name}"], {}).study == name


@pytest.mark.parametrize("name", ["true", "2024", "1e3"])
def test_another_name_for_a_study_is_what_was_given_not_yamls_reading_of_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Begun(Exception):
        pass

    def begin(spec: StudySpec, *args: object, **more: object) -> None:
        raise Begun(spec.study)

    monkeypatch.setattr("visiontune.tuning.launch.run_search", begin)
    with pytest.raises(Begun, match=f"^{name}$"):
        visiontune.search(SPACE, name=name)
    with pytest.raises(UserError, match="study: a key may be given once"):
        visiontune.search(SPACE, ["study=mine"], name=name)


@pytest.mark.parametrize("name", [3, True, Path("x")])
def test_a_name_that_is_no_text_is_refused_as_in_a_file(name: Any) -> None:
    for call in (visiontune.search, lambda space, name: visiontune.submit(DIGITS, "http://127.0.0.1:1", name=name)):
        with pytest.raises(UserError, match=r"the name of a study is a string, but got .*; nearest is '"):
            call(SPACE, name=name)
    with pytest.raises(UserError, match="a name of pictures may have up to 100 letters"):
        visiontune.ingest("digits", name=name)


def test_arrays_are_lists() -> None:
    rates = np.array([0.1, 0.2])
    listed, given = ({"choice": one} for one in (rates.tolist(), rates))
    assert visiontune.sample(SPACE, space__optimizer__lr=given) == visiontune.sample(SPACE, space__optimizer__lr=listed)


def test_a_section_may_be_given_whole() -> None:
    recipe = visiontune.sample(SPACE, n=1, space__optimizer={"name": "adamw", "lr": 1e-3, "beta1": 0.5})[0]
    assert (recipe.optimizer["name"], recipe.optimizer["lr"], recipe.optimizer["beta1"]) == ("adamw", 0.001, 0.5)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: visiontune.sample(SPACE, space__optimzer__lr=1.0), "nearest is 'optimizer'"),
        (lambda: visiontune.sample(SPACE, "budget.num_trials=3"), r"overrides are a list, .* nearest is \['budget.num_trials=3'\]"),
        (lambda: visiontune.search(SPACE, "budget.num_trials=3"), r"overrides are a list, .* nearest is \['budget.num_trials=3'\]"),
        (
            lambda: visiontune.search(visiontune.load_recipe(RECIPE)),
            "a search space is .*, but got TrialRecipe; nearest is visiontune.train",
        ),
        (lambda: visiontune.search(SPACE, address=3), "an address of a Ray cluster is text, auto or HOST:PORT, but got 3"),
        (lambda: visiontune.search(SPACE, studies_dir=3), "a folder of studies is a path, but got 3"),
        (lambda: visiontune.check(None), "a search space is a file or its content as a mapping, but got None"),
        (lambda: visiontune.fit(STUDY), "a recipe is .*, but got Study; nearest is study.winner.recipe"),
        (lambda: visiontune.preview(STUDY), "a search space or a recipe is .*, but got Study; nearest is study.winner.recipe"),
        (lambda: visiontune.export_policy(3, "x.yaml"), "a search space or a recipe is .*, but got int"),
        (lambda: visiontune.preview(visiontune.load_recipe(RECIPE), ["training.seed=1"]), "change a TrialRecipe by load_recipe"),
        (lambda: visiontune.submit(SPACE, "127.0.0.1:1"), "must be a file, but got a mapping"),
        (lambda: visiontune.sample(SPACE, 3), "overrides are a list of strings such as 'budget.num_trials=8', but got 3"),
        (lambda: visiontune.sample(SPACE, [3]), r"overrides are a list of strings .*, but got \[3\]"),
        (lambda: visiontune.sample(SPACE, n=0), "^n must be an int from 1 to 1000000, but got 0$"),
        (lambda: visiontune.sample(SPACE, n=["data.seed=1"]), r"^n must be an int .*, but got \['data.seed=1'\]$"),
        (lambda: visiontune.preview(SPACE, num=np.int64(65)), "^num must be an int from 1 to 64, but got "),
        (lambda: visiontune.profile("lenet5", image_size=32, num_classes=10, batch_size=0), "^batch_size must be an int from 1 to"),
        (
            lambda: visiontune.profile("lenet5", image_size=0, num_classes=True),
            "^image_size must be an int .* 0\nnum_classes must be an int",
        ),
        (lambda: visiontune.open_ui(port=70_000), "^port must be an int from 1 to 65535"),
        (lambda: STUDY.leaderboard(-1), "^n must be an int from 1 to 1000000, but got -1$"),
        (lambda: visiontune.search(SPACE, name=""), "command line: study: must not be an empty string"),
        (lambda: visiontune.sample({**SPACE, "studdy": "x"}), "mapping: studdy: unknown key 'studdy'; nearest is 'study'"),
        (lambda: visiontune.sample({}), "mapping: the file is empty"),
        (lambda: visiontune.sample("no.yaml"), "no.yaml: there is no such file"),
        (lambda: visiontune.load_study("none", studies_dir="nowhere"), "no study 'none' in nowhere"),
        (lambda: visiontune.load_data("none", studies_dir="nowhere"), "none"),
        (lambda: visiontune.load_study(STUDY), "^a study is its name or its folder, but got Study; nearest is study.path$"),
        (lambda: visiontune.compare("ab"), "^studies to compare are a list of names or folders, but got 'ab'$"),
        (lambda: visiontune.compare(3), "^studies to compare are a list of names or folders, but got 3$"),
        (lambda: views_of("confusion"), r"^only is a list of views, but got 'confusion'; nearest is \['confusion'\]$"),
        (lambda: views_of(3), "^only is a list of views, but got 3$"),  # type: ignore[arg-type]
        (lambda: visiontune.preview(RECIPE, study=3), "^a study is its name or its folder, but got int$"),
        (lambda: open_study(StudyFolder(Path("none")), 3), "^storage is journal or the URL of a database, but got 3$"),  # type: ignore[arg-type]
        (lambda: STUDY.leaderboard(width=0), "^width must be an int from 1 to 1000000, but got 0$"),
        (lambda: visiontune.import_search(None), "^file is a path, but got None$"),
        (lambda: visiontune.check_plugin(None), "^a plugin is a path, but got None$"),
        (lambda: visiontune.list_entries(plugin=3), "^a plugin is a path, but got 3$"),
        (lambda: visiontune.export("none", out=3), "^out is a path, but got 3$"),
        (lambda: visiontune.export_policy(RECIPE, None), "^to is a path, but got None$"),
        (lambda: visiontune.fit(RECIPE, out=["w"]), r"^out is a path, but got \['w'\]$"),
        (lambda: STUDY.report(3), "^out is a path, but got 3$"),
        (lambda: STUDY.trial("3"), "^number must be an int from 0 to 1000000, but got '3'$"),
        (lambda: STUDY.recipe(True), "^number must be an int from 0 to 1000000, but got True$"),
        (lambda: STUDY.importance(-1), "^seed must be an int from 0 to 2147483647, but got -1$"),
        (lambda: visiontune.load_study(None), "^a study is its name or its folder, but got None$"),
        (lambda: visiontune.compare([3, 4]), "^a study is its name or its folder, but got int$"),
        (lambda: visiontune.load_data(None), "^a dataset is named by a string, but got None$"),
        (lambda: visiontune.ingest(None), "^SOURCE is a path, a name or a section `data` as a mapping, but got None$"),
        (lambda: visiontune.sample(SPACE, seed="x"), "^seed must be an int, but got 'x'$"),
        (lambda: visiontune.export("x", "tflite"), "^an export has one of these forms, but got 'tflite'; choices: onnx, "),
        (lambda: visiontune.ingest("digits", name="a/b"), "^a name of pictures may have up to 100 letters"),
        (lambda: visiontune.json_schema(plugin="no.py"), "^plugin: the plugin no.py is not there"),
        (lambda: visiontune.list_entries("modles"), "nearest is 'models'"),
        (lambda: visiontune.profile("resnet81", image_size=32, num_classes=10), "nearest is 'resnet18'"),
    ],
)
def test_mistakes_are_told_as_on_the_command_line(
    call: Callable[[], object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        call()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: visiontune.confirm("none", top=21), "^top must be an int from 1 to 20, but got 21$"),
        (lambda: visiontune.confirm("none", seeds=0), "^seeds must be an int from 1 to 100, but got 0$"),
        (lambda: visiontune.confirm("none", weights="mean"), "^weights must be best_seed or soup, but got 'mean'"),
        (lambda: visiontune.confirm("none", use_val="no"), "^use_val must be true or false, but got 'no'$"),
        (lambda: visiontune.ablate("none", seeds=101), "^seeds must be an int from 1 to 100, but got 101$"),
        (lambda: visiontune.ablate("none", budget="soon"), "^budget must be a number of epochs or a time"),
        (lambda: visiontune.replay("none", -1), "^trial must be an int from 0 to 1000000, but got -1$"),
        (lambda: visiontune.replay("none", 0, epochs=0), "^epochs must be an int from 1 to 1000000, but got 0$"),
        (lambda: visiontune.train_longer("none", 9, seeds=0), "^seeds must be an int from 1 to 1000000, but got 0$"),
        (lambda: visiontune.train_longer("none", 9, workers=0), "^workers must be an int from 1 to 64, but got 0$"),
    ],
)
def test_numbers_are_checked_before_a_study_is_read(
    call: Callable[[], object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is none: to look for it first would say that instead."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=told):
        call()


def test_numpys_numbers_are_numbers_and_can_be_kept() -> None:
    assert visiontune.sample(SPACE, seed=np.int64(3)) == visiontune.sample(SPACE, seed=3)
    keys = confirm_keys(top=np.int64(2), seeds=np.int64(3), weights=None, use_val=np.True_)  # type: ignore[arg-type]
    assert json.loads(json.dumps(keys)) == {"top": 2, "num_seeds": 3, "use_val": True}


def test_a_recipe_that_is_made_takes_no_overrides() -> None:
    (recipe,) = visiontune.sample(SPACE, n=1)
    with pytest.raises(UserError, match="change a TrialRecipe by load_recipe"):
        visiontune.load_recipe(recipe, ["training.num_epochs=1"])
    changed = visiontune.load_recipe(recipe.to_dict(), training__num_epochs=1)
    assert changed.training["num_epochs"] == 1 and changed.model == recipe.model


def test_classes_can_be_named_without_importing_what_they_hold() -> None:
    code = "import sys, visiontune; print('torch' in sys.modules); print(visiontune.Study.__name__, visiontune.TrialRecipe.__name__)"
    told = subprocess.run([sys.executable, "-c", code], cwd=PLATFORM, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False", "Study", "TrialRecipe"]
    assert all(hasattr(visiontune, name) for name in visiontune.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        visiontune.serach  # noqa: B018


@pytest.mark.heavy
def test_types_reach_the_caller(tmp_path: Path) -> None:
    """A user's mypy sees what each call gives, without a stub of its own. With the settings of `make types`, whose cache it finds."""
    script = tmp_path / "mine.py"
    script.write_text('import visiontune\n\nreveal_type(visiontune.search("a.yaml"))\nreveal_type(visiontune.ingest("pets"))\n')
    command = [sys.executable, "-m", "mypy", "--strict", str(script)]
    told = subprocess.run(command, cwd=PLATFORM.parent, capture_output=True, text=True).stdout
    assert "results.study.Study" in told and "results.pictures.dataset.Dataset" in told, told
