"""`visiontune init` on real pictures: what it writes passes `visiontune check`, and what it can't use it tells as an ingest does."""

from __future__ import annotations

import builtins
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_schema import VALIDATOR
from picture_files import COLOUR, LABELS, png, write

import visiontune
from visiontune.cli import main
from visiontune.data.survey import Survey, survey
from visiontune.errors import UserError
from visiontune.results.checks.search_forecast import doubts
from visiontune.results.drafts import init_questions, space_draft
from visiontune.results.drafts.space_draft import Answers, draft, epochs_for, image_size_for, likely
from visiontune.spec.parse import load_study
from visiontune.spec.yaml.yaml_reader import compose, read_yaml


@pytest.fixture(autouse=True)
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 3 classes, the same as a manifest and as Parquet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    rows = ["path,label"]
    for number, (picture, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
        path = tmp_path / "pets" / f"class {label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
        rows.append(f"{path.relative_to(tmp_path)},{label}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    write(tmp_path / "pets.parquet", [png(picture) for picture in COLOUR], LABELS)
    return tmp_path / "pets"


def run(*argv: str, code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main(list(argv)) == code
    return capsys.readouterr()


@pytest.mark.parametrize(
    ("source", "study", "seen"),
    [
        ("digits", "digits", "1,797 grey pictures of 10 classes, about 8 px"),
        ("pets/", "pets", "30 colour pictures of 3 classes, about 12 px"),
        ("table.csv", "table", "30 colour pictures of 3 classes, about 12 px"),
        ("pets.parquet", "pets", "30 colour pictures of 3 classes, about 12 px"),
    ],
)
def test_what_it_writes_passes_a_check(source: str, study: str, seen: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("init", source, "test_fraction=0.2", code=0, capsys=capsys)
    assert out.startswith(seen) and f"wrote {study}.yaml" in out
    assert out.count("by default") == 4  # what nobody was asked is said
    text = Path(f"{study}.yaml").read_text()
    head = [line.partition(":")[0].lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    assert [word for word in head if word in ("What", "Command", "Cost", "Expect")] == ["What", "Command", "Cost", "Expect"]
    assert f"Written by: visiontune init {source} test_fraction=0.2" in text and f"visiontune search {study}.yaml" in text
    assert not list(VALIDATOR.iter_errors(read_yaml(Path(f"{study}.yaml"), []).plain()))
    spec = load_study(Path(f"{study}.yaml"))
    assert (spec.study, spec.data["image_size"], spec.data["test_fraction"]) == (study, 16, 0.2)
    assert spec.data["val_fraction"] == (0.1 if source == "digits" else 0.2)
    assert "good" in run("check", f"{study}.yaml", code=0, capsys=capsys)[0]


def test_a_file_is_written_over_only_by_force(capsys: pytest.CaptureFixture[str]) -> None:
    Path("pets.yaml").write_text("mine")
    _, err = run("init", "pets", code=2, capsys=capsys)
    assert err == "the file pets.yaml is there already; --force writes over it, --out FILE.yaml writes another\n"
    assert Path("pets.yaml").read_text() == "mine"
    run("init", "pets", "--out", "new/other.yaml", "--name", "cats", code=0, capsys=capsys)
    assert load_study(Path("new/other.yaml")).study == "cats"
    run("init", "pets", "--force", code=0, capsys=capsys)
    assert load_study(Path("pets.yaml")).study == "pets"
    assert not list(Path().glob(".*.tmp"))
    assert "is a folder; name the file, such as new/space.yaml" in run("init", "pets", "--out", "new", code=2, capsys=capsys)[1]
    assert "can't be written: " in run("init", "pets", "--out", "pets.yaml/x.yaml", code=2, capsys=capsys)[1]
    _, err = run("init", "pets", "--name", "../x", code=2, capsys=capsys)
    assert err.startswith("name: a name has ") and "but got '../x'" in err and len(err.splitlines()) == 1


def test_what_can_t_be_used_is_told_as_an_ingest_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("flat").mkdir()
    Path("flat/a.png").write_bytes(png(COLOUR[0]))
    Path("note.txt").write_text("x")
    for source in ("nowhere", "empty", "flat", "note.txt", "torchvision:CIFAR01"):
        _, told = run("init", source, code=2, capsys=capsys)
        assert told == run("ingest", source, code=2, capsys=capsys)[1], source
        assert told and "Traceback" not in told
    assert not list(Path().glob("*.yaml"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--hours", "0"), "hours: must be a float from 0.001 to 100000, but got 0"),
        (("--hours", "soon"), "hours: must be a float"),
        (("image_size=2",), "image_size: must be an int from 4 to 1,024"),
        (("--name", "../x"), "nearest is 'x'"),
        (("imagesize=32",), "unknown key 'imagesize'"),
    ],
)
def test_wrong_options_are_told_before_anything_is_written(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in run("init", "pets", *words, code=2, capsys=capsys)[1]
    assert not list(Path().glob("*.yaml"))


def test_four_questions_at_most_and_only_of_what_no_option_says() -> None:
    asked: list[str] = []

    def ask(question: str, default: str) -> str:
        asked.append(f"{question} [{default}]")
        return {"pixels": "32", "a mirrored": "maybe" if "maybe" not in " ".join(asked) else "no", "hours": "0.5"}.get(
            next((key for key in ("pixels", "hours") if question.startswith(key)), "a mirrored" if "mirrored" in question else ""), ""
        )

    space = visiontune.init_space("pets", ask=ask)
    assert [question.partition(" [")[0] for question in asked if "must be" not in question] == [
        "start from ResNet-18's weights from ImageNet",
        "pixels of a square's side, or of height and width in brackets",
        "a mirrored picture keeps its class",
        "hours that the search may take",
    ]
    assert sum("must be yes or no, but got 'maybe'" in question for question in asked) == 1
    assert (space.spec.data["image_size"], space.spec.budget.hours) == (32, 0.5)
    first = space.path.read_text()
    assert "image_size=32 --no-pretrained --no-mirrored --hours 0.5" in first
    again = visiontune.init_space("pets", image_size=32, pretrained=False, mirrored=False, hours=0.5, force=True)
    assert again.path.read_text() == first  # the options that it names give the same file
    assert "flip_probability: 0.0" in space.path.read_text() and str(space).count("as answered") == 4
    asked.clear()
    visiontune.init_space("pets", image_size=16, pretrained=False, mirrored=True, hours=2, force=True, ask=ask)
    assert asked == []
    assert "flip_probability: 0.5" in space.path.read_text()


@pytest.mark.parametrize(
    ("is_terminal", "words", "num"), [(True, (), 4), (True, ("--yes",), 0), (False, (), 0), (True, ("--hours", "2"), 3)]
)
def test_only_a_terminal_is_asked(
    is_terminal: bool, words: tuple[str, ...], num: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts: list[str] = []

    def ended(prompt: str) -> str:
        prompts.append(prompt)
        raise EOFError

    monkeypatch.setattr(builtins, "input", ended)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    run("init", "pets", *words, code=0, capsys=capsys)
    assert len(prompts) == num and all(prompt.endswith("]: ") for prompt in prompts)


def test_the_sizes_of_pictures_decide_that_of_training() -> None:
    assert [image_size_for(side, use_pretrained=False) for side in (4, 8, 28, 32, 33, 64, 65, 100, 3000)] == [
        16,
        16,
        32,
        32,
        48,
        64,
        64,
        96,
        96,
    ]
    assert [image_size_for(side, use_pretrained=True) for side in (32, 100, 500)] == [32, 128, 224]


SIDES, NUMS, SHARES = (8, 32, 64, 100, 700), (30, 900, 6_000, 60_000, 1_000_000), (1, 5, 50)
EACH_PAIR = [
    (side, num, SHARES[(row + column) % 3], (1, 3)[(row + column) // 2 % 2], (row + column) % 2 == 1)
    for row, side in enumerate(SIDES)
    for column, num in enumerate(NUMS)
]
"""Side, pictures, share of the rarer class, channels, pretrained: any value of one meets any of another, in 25 drafts of 300."""


def test_every_draft_is_a_study_that_the_schema_takes_too() -> None:
    for place, values in enumerate(zip(*EACH_PAIR, strict=True)):
        for other in [*zip(*EACH_PAIR, strict=True)][:place]:
            assert len({*zip(values, other, strict=True)}) == len({*values}) * len({*other})
    for side, num, share, channels, use_pretrained in EACH_PAIR:
        seen = Survey({"a": num, "b": max(1, num // share)}, channels, side, 2 * side, has_test=False)
        answers = Answers(image_size_for(side, use_pretrained=use_pretrained), use_pretrained, channels == 3, 2.5)
        content = compose(draft("x", {"source": "folder", "path": "no"}, seen, answers), "draft", []).plain()
        assert not list(VALIDATOR.iter_errors(content))
        spec = load_study(content)
        num_train = round(seen.num_pictures * (0.6 if seen.num_pictures < 1000 else 0.8))
        assert seen.num_pictures < 100 or not [*doubts(spec, num_train)]
        assert ("crop" in spec.space.tree["augmentation"]) == (channels == 3 and side > answers.image_size > 64)
        assert spec.data["path"] == "no" and spec.budget.hours == 2.5 and spec.rungs[-1] == epochs_for(seen.num_pictures)[1]
        assert spec.objective.metric == ("val_macro_recall" if share == 50 else "val_top1")
        batches = [size for _, item, _ in spec.space.places("training.batch_size") for size in getattr(item, "choices", (item,))]
        assert all(size <= max(8, seen.num_pictures // 20) for size in batches)


def test_facts_are_those_of_the_pictures(pictures: Path) -> None:
    assert survey({"source": "folder", "path": "pets"}) == Survey({f"class {k}": 10 for k in range(3)}, 3, 12, 12, has_test=False)
    assert survey({"source": "folder", "path": "pets", "max_pictures": 15}).num_pictures == 15
    for number in range(40):
        (pictures / "class 0" / f"more{number}.png").write_bytes(png(np.roll(COLOUR[number % 30], number, 0)))
    assert survey({"source": "folder", "path": "pets"}).imbalance == 5
    text = visiontune.init_space("pets").path.read_text()
    assert "balance:" in text and "5 times the pictures" in text


def test_pictures_that_can_not_be_read_are_counted(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\nall 30 pictures were decoded, and can be read\n" in run("init", "pets", code=0, capsys=capsys)[0]
    for file in sorted(pictures.rglob("*.png"))[:4]:
        file.write_bytes(file.read_bytes()[:40])
    before = Path("pets.yaml").read_text()
    words = "4 of all 30 pictures can't be read, more than data.allow_bad = 0.01 lets pass: "
    said = rf"data: {re.escape(words)}.*; data\.allow_bad=0\.14 lets them pass\n"
    _, err = run("init", "pets", "--force", code=2, capsys=capsys)
    assert re.fullmatch(said, err) and Path("pets.yaml").read_text() == before  # not what the next command would refuse
    _, err = run("check", "pets.yaml", code=2, capsys=capsys)
    assert re.fullmatch(rf"pets\.yaml:\d+: {said}", err)
    out, _ = run("init", "pets", "data.allow_bad=0.14", "--force", code=0, capsys=capsys)
    assert "\n4 of all 30 pictures can't be read: pets/class 0/" in out
    run("check", "pets.yaml", code=0, capsys=capsys)


@pytest.mark.parametrize("words", [(), ("--force",)])
def test_a_search_space_and_a_recipe_are_no_pictures(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run("init", "pets", code=0, capsys=capsys)
    rule = "SOURCE pets.yaml is a search space, which `visiontune search` takes; its section data says where its pictures are\n"
    assert run("init", "pets.yaml", *words, code=2, capsys=capsys)[1] == rule
    Path("best.yaml").write_text("model: {name: lenet5}\noptimizer: {name: sgd, lr: 0.1}\n")
    rule = "SOURCE best.yaml is a recipe, which `visiontune train` takes; its section data says where its pictures are\n"
    assert run("init", "best.yaml", *words, code=2, capsys=capsys)[1] == rule


def test_a_check_counts_the_bad_pictures_of_a_store_that_is_there(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a search does: an earlier ingest may have let more pass."""
    run("init", "pets", code=0, capsys=capsys)
    file = sorted(pictures.rglob("*.png"))[0]
    file.write_bytes(file.read_bytes()[:40])
    section = {key: value for key, value in load_study("pets.yaml").data.items() if key != "folds"}
    visiontune.ingest({**section, "allow_bad": 0.1})
    _, err = run("check", "pets.yaml", code=2, capsys=capsys)
    assert "1 of 30 pictures can't be used, more than the share that data.allow_bad = 0.01 allows" in err


def test_pictures_of_any_shape_get_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(24):
        path = Path("wide") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(np.random.default_rng(number).integers(0, 256, (110 + number, 150, 3), dtype=np.uint8)))
    out, _ = run("init", "wide", "--no-pretrained", code=0, capsys=capsys)
    assert out.startswith("24 colour pictures of 2 classes, about 121 x 150 px") and "in brackets: 96 (by default" in out
    assert "good" in run("check", "wide.yaml", code=0, capsys=capsys)[0]


def test_weights_at_hand_are_proposed_for_large_pictures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from tiny import make_store, model_section

    from visiontune.models.build import build_model
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.weights_file import save_weights

    large = Survey({"a": 300, "b": 300}, 3, 200, 300, has_test=False)
    assert likely(large, has_weights=True) == Answers(224, True, True, 1.0)
    assert not likely(large, has_weights=False).use_pretrained
    network = build_model(model_section("resnet18"), num_classes=7, in_channels=3, image_size=64, seed=0)
    before = fit_preprocessing({"name": "standardize", "colour": "stored"}, make_store(size=64, channels=3))
    save_weights(network, Path("weights.safetensors"), preprocessing=before)
    monkeypatch.setattr(space_draft, "WEIGHTS", "weights.safetensors")
    asked: dict[str, Any] = {"name": "p", "out": "p.yaml"}
    assert "from ResNet-18's weights" in visiontune.init_space("pets", pretrained=True, image_size=32, **asked).path.read_text()
    assert "good" in run("check", "p.yaml", code=0, capsys=capsys)[0]
    visiontune.init_space("digits", pretrained=True, image_size=32, force=True, **asked)
    assert load_study(Path("p.yaml")).space.tree["preprocessing"] == {"name": "as_pretrained", "colour": "rgb"}
    assert "good" in run("check", "p.yaml", code=0, capsys=capsys)[0]
    monkeypatch.setattr(space_draft, "WEIGHTS", "gone.safetensors")
    with pytest.raises(UserError, match=r"p\.yaml \(not written\): space\.transfer\.regime: .*gone\.safetensors"):
        visiontune.init_space("pets", pretrained=True, force=True, **asked)
    assert "weights.safetensors" in Path("p.yaml").read_text()


def test_weights_are_at_hand_where_torchvision_put_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    from visiontune.models.published_weights import is_at_hand

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert not is_at_hand(init_questions.WEIGHTS)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "resnet18-f37072fd.pth").touch()  # the name that torchvision documents
    assert is_at_hand(init_questions.WEIGHTS)
