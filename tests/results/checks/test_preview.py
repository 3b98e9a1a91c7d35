"""`visiontune preview` from end to end: sheets, warnings with and without a network, exports, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from places import DIGITS

from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.class_confusions import Effect, Pair
from visiontune.results.checks.label_warnings import measured_lines, notes_of, suspected_lines, verdict

FLIP = "space.augmentation={policy: fixed, VerticalFlip: {probability: 0.5}, Rotate: {magnitude: {float: [0.0, 0.4]}}}"
RECIPE = """\
data: {source: digits, image_size: 12}
model: {name: lenet5}
optimizer: {name: adamw, lr: 0.005}
augmentation: {policy: fixed, VerticalFlip: {probability: 0.5}, Rotate: {probability: 0.5, magnitude: 0.4}, mixing: cutmix}
training: {num_epochs: 2, batch_size: 32}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def run(*argv: str, code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(["preview", *argv]) == code
    return capsys.readouterr()


def test_a_file_without_a_study_is_warned_of_by_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run(str(DIGITS), FLIP, "-n", "3", code=0, capsys=capsys)
    assert out.startswith("look: VerticalFlip may make another class") and "Rotate" not in out
    assert "no network was asked: none is trained in studies/digits" in out
    assert out.splitlines()[-1] == "sheet: studies/digits/augmentation.png"
    with Image.open("studies/digits/augmentation.png") as image:
        assert image.format == "PNG" and image.width > 500


def test_a_recipe_beside_its_weights_is_asked_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way: train, lay the files down as a search does, look at the winner; another file asks it by name."""
    Path("studies/digits").mkdir(parents=True)
    Path("studies/digits/driver.lock").touch()
    Path("studies/digits/winner.yaml").write_text(RECIPE.replace("VerticalFlip: {probability: 0.5}, ", "").replace("cutmix", "none"))
    assert main(["train", "studies/digits/winner.yaml", "--out", "studies/digits/winner.safetensors"]) == 0
    capsys.readouterr()

    out, _ = run("studies/digits/winner.yaml", code=0, capsys=capsys)
    assert out.startswith("labels, asked of the winner of studies/digits on ") and "Rotate" in out
    assert out.splitlines()[-1] == "sheet: studies/digits/winner_augmentation.png"

    out, _ = run("recipe.yaml", "--study", "digits", "--out", "other.png", code=0, capsys=capsys)
    (line,) = [line for line in out.splitlines() if "VerticalFlip" in line]
    assert line.split()[0] == "look" and " as " in line and "%" in line
    assert Path("other.png").is_file()

    out, _ = run(str(DIGITS), FLIP, code=0, capsys=capsys)  # its study is the one that is there
    assert "asked of the winner of studies/digits" in out

    _, err = run("recipe.yaml", "--study", "digit", code=2, capsys=capsys)
    assert "nearest is 'digits'" in err
    _, err = run("recipe.yaml", "--study", "../digits", code=2, capsys=capsys)
    assert err.startswith("no study 'digits' in ..; ")
    shutil.copytree("studies/digits", "studies/bare", ignore=shutil.ignore_patterns("winner.*"))
    _, err = run("recipe.yaml", "--study", "bare", code=2, capsys=capsys)
    assert "none is trained in studies/bare" in err and len(err.splitlines()) == 1
    Path("studies/digits/winner.safetensors").write_bytes(b"broken")
    out, _ = run(str(DIGITS), FLIP, code=0, capsys=capsys)
    assert "no network was asked: the weights studies/digits/winner.safetensors can't be read" in out


def test_overrides_and_a_mixing_alone(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("recipe.yaml", "augmentation={policy: none, mixing: mixup}", code=0, capsys=capsys)
    assert out == "sheet: recipe_augmentation.png\n"
    out, _ = run("recipe.yaml", "augmentation={policy: randaugment, magnitude: 0.9}", "--out", "ra.png", code=0, capsys=capsys)
    with Image.open("ra.png") as randaugment, Image.open("recipe_augmentation.png") as mixing:
        assert randaugment.height > 2 * mixing.height


@pytest.mark.parametrize("suffix", [".yaml", ".json", ".py"])
def test_a_recipes_policy_is_exported(suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("recipe.yaml", "--export", f"new/policy{suffix}", code=0, capsys=capsys)
    assert out == f"policy: new/policy{suffix}\n" and not Path("recipe_augmentation.png").exists()
    if suffix == ".py":
        made: dict[str, Any] = {}
        exec(Path("new/policy.py").read_text(), made)
        assert len(made["transform"].transforms) == 3 and "12 x 12" in made["__doc__"] and "Without mixing cutmix" in made["__doc__"]
    else:
        import albumentations

        pipeline = albumentations.load(f"new/policy{suffix}", data_format=suffix[1:])
        assert [type(one).__name__ for one in pipeline.transforms] == ["VerticalFlip", "Rotate"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["none.yaml"], "none.yaml"),
        (["recipe.yaml", "augmentation.policy=fixd"], "nearest is 'fixed'"),
        (["recipe.yaml", "augmentation=null"], "nothing to show"),
        ([str(DIGITS), "space.augmentation=null"], "nothing to show"),
        (["recipe.yaml", "augmentation={policy: fixed, HueSaturationValue: {magnitude: 0.5}}"], "3 channels"),
        (["recipe.yaml", "augmentation={policy: fixed, Rotate: {magnitude: 1.5}}"], "1.5"),
        (["recipe.yaml", "--out", "sheet.jpg"], "sheet.png"),
        (["recipe.yaml", "--out", "."], "sheet.png"),
        (["recipe.yaml", "--out", "recipe.yaml/sheet.png"], "can't be written"),
        ([str(DIGITS), "--export", "policy.yaml"], "one recipe"),
        (["recipe.yaml", "--export", "policy.txt"], ".yaml"),
        (["recipe.yaml", "--export", "recipe.yaml/policy.json"], "can't be written"),
        (["recipe.yaml", "augmentation={policy: augmix}", "--export", "policy.json"], "augmix can't be said"),
        (["recipe.yaml", "augmentation={policy: fixed, Blur: {magnitude: 0.5}}", "--export", "policy.py"], "Blur"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(*argv, code=2, capsys=capsys)
    assert said in err and len(err.splitlines()) == 1 and "sheet:" not in out and "policy:" not in out
    assert not list(Path().glob("policy.*")) and not list(Path().glob("*.png"))


def effect(op: str, *pairs: Pair, before: float = 0.9, after: float = 0.5) -> Effect:
    return Effect(op, None, 100, before, after, pairs)


def test_verdicts_tell_labels_from_what_is_merely_hard() -> None:
    flip, noise, blur = effect("VerticalFlip", Pair("6", "9", 30, 60)), effect("GaussNoise", Pair("1", "8", 9, 50)), effect("Blur")
    assert [verdict(one) for one in (flip, noise, blur)] == ["look", "(hard)", "ok"]
    lines = measured_lines([blur, noise, flip], "the winner")
    assert "6 as 9 50%" in "".join(lines) and lines[-1].startswith("  (hard)") and "Blur" in lines[-2]
    assert notes_of([flip, noise, blur]) == {"VerticalFlip": "6 as 9 50%", "GaussNoise": "1 as 8 18%"}
    assert "right on 30%" in measured_lines([effect("Blur", before=0.3)], "it")[-1]
    assert suspected_lines(["Rotate"], "") == [] == measured_lines([], "it")


def test_the_best_trial_is_asked_while_a_search_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a winner, a checkpoint of the study's trials."""
    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store
    from visiontune.spec.parse import load_study
    from visiontune.tuning.legs.run_leg import run_leg
    from visiontune.tuning.search.search_run import SearchRun
    from visiontune.tuning.study.open_storage import create_or_resume

    spec = load_study(DIGITS, [FLIP, "space.model.name=lenet5", "budget.num_trials=1", "budget.max_epochs=3"])
    folder = StudyFolder(Path("studies/digits"))
    folder.path.mkdir(parents=True)
    session = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    leg = session.next_leg()
    assert leg is not None
    reports = run_leg(leg, Store.open(prepare(spec.data, Path("studies/.data"))), folder, "cpu")
    session.report(leg.key, next(iter(reports)))
    out, _ = run(str(DIGITS), FLIP, code=0, capsys=capsys)
    assert "asked of trial 0 after 1 epoch of studies/digits" in out
