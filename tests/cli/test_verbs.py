"""The command line as a shell sees it: exit codes, what stands on which stream, what is imported for it."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_schema import SCHEMA
from places import DIGITS, ROOT, SOURCE
from simulated_search import drive, make_spec

import visiontune
from visiontune.cli import arguments, entry_point, main
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder


def run(*argv: str, code: int, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Streams of one call that must end with `code`."""
    assert main(argv) == code
    return capsys.readouterr()


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)


@pytest.mark.parametrize(
    "verb",
    [
        "ingest",
        "data",
        "search",
        "check",
        "preview",
        "sample",
        "train",
        "show",
        "enqueue",
        "list",
        "schema",
        "ui",
        "submit",
        "profile",
        "predict",
        "evaluate",
        "replay",
        "studies",
        "compare",
        "import",
    ],
)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0 and f"visiontune {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("serch x", ": there is no verb 'serch'; nearest is 'search'; choices: init, ingest, "),
        ("--versio", ": there is no option --versio; nearest is '--version'; choices: --help, --debug, --version"),
        ("train r.yaml --epoch 3", " train: there is no option --epoch; nearest is '--epochs'; choices: --help, --debug, --epochs, "),
        ("show a --studies_dir=x", " show: there is no option --studies_dir; nearest is '--studies-dir'; choices: "),
        ("search f.yaml --num_trials 3", "; what a file says is changed without dashes, by budget.num_trials=VALUE"),
        ("search f.yaml --retries 3", " there is no option --retries; choices: --help, "),
        ("ingest pictures --allow-bad 0.1", "; what a file says is changed without dashes, by allow_bad=VALUE"),
        ("evaluate a --tta flip", " evaluate: there is no option --tta; nearest is '--test-time'; choices: "),
        ("check f.yaml --budget.num_trials=3", "; what a file says is changed without dashes, by budget.num_trials=VALUE"),
        ("profile cnn --image-size 32x", "--image-size must be pixels of a side, or of height and width such as 24x32, but got '32x'"),
        ("predict a b --top 3", " predict: there is no option --top; nearest is '--classes'; choices: "),
        ("profile cnn --classes 3", " profile: there is no option --classes; nearest is '--num-classes'; choices: "),
        ("profile cnn --channels 3", " profile: there is no option --channels; nearest is '--in-channels'; choices: "),
        ("rehearse a --workers 3", " rehearse: there is no option --workers; nearest is '--max-concurrent-trials'; choices: "),
        ("confirm a --retries 3", " there is no option --retries; choices: --help, "),
        ("sample f.yaml --num 2", " sample: there is no option --num; nearest is '-n'; choices: "),
        ("--studies-dir studies show mine", ": --studies-dir stands behind the verb: visiontune show mine --studies-dir studies"),
        ("--studies-dir other show digits", ": --studies-dir stands behind the verb: visiontune show digits --studies-dir other"),
        ("--debug --plain search mine.yaml", ": --plain stands behind the verb: visiontune --debug search mine.yaml --plain"),
        ("--depth 0 255 --csv predict a b", ": visiontune predict a b --depth 0 255 --csv"),
        ("--plain", ": --plain stands behind the verb: visiontune VERB --plain"),
        ("--json show mine", ": --json stands behind the verb: visiontune show mine --json"),
        ("--tables show mine", ": there is no option --tables; choices: --help, --debug, --version"),
        ("search f.yaml --plian", "nearest is '--plain'"),
        ("show a -m 3", " show: there is no option -m; choices: -h, "),
        ("search", " search: FILE (search-space file) must be given"),
        ("import", " import: FILE (W&B's YAML, Optuna's journal or SQLite file, Ray Tune's params.json) must be given"),
        ("profile resnet18", " and --num-classes N (classes that it tells apart) must be given"),
        ("enqueue a", " enqueue: RECIPE|KEY=VALUE (a recipe, such as "),
        ("enqueue a one.yaml two.yaml", " enqueue: one RECIPE is taken, but got 2: one.yaml, two.yaml"),
        ("check", " check: FILE must be given"),
        ("show a --trial", " show: --trial needs N (the life of this one, from its proposal to its end)"),
        ("predict a b --depth 1", " predict: --depth needs LOW HIGH (values of files"),
        (
            "ablate a --budget -1h",
            " 30m or 2h (no limit)), but '-1h' begins as an option does",
        ),
        (
            "ablate a --seeds --json",
            " --seeds needs N (paired seeds that every recipe is trained on (3)), but '--json' begins as an",
        ),
        ("confirm a --top 21", " confirm: --top must be an int from 1 to 20, but got '21'"),
        ("confirm a --seeds 101", " confirm: --seeds must be an int from 1 to 100, but got '101'"),
        ("ablate a --seeds 0", " ablate: --seeds must be an int from 1 to 100, but got '0'"),
        ("importance a --seed -1", " importance: --seed must be an int from 0 to 2147483647, but got '-1'"),
        ("show a -n -1", " show: -n must be an int from 1 to 1000000, but got '-1'"),
        ("sample f.yaml --seed x", " sample: --seed must be an int, but got 'x'"),
        ("predict a b --depth 1 x", " predict: --depth must be a number, but got 'x'"),
        ("show a --json=x", " show: --json takes no value, but got 'x'"),
        ("predict a b --csv --json", " predict: --json is not allowed with --csv"),
        ("studies --studies-dir=", " studies: --studies-dir must name a folder, but got ''"),
        ("show a b=1", " show: 'b=1' is one word too many; it takes STUDY"),
        ("studies x", " studies: 'x' is one word too many; it takes only options"),
    ],
)
def test_wrong_arguments_are_one_sentence_with_the_nearest_of_the_verb(argv: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, err = run(*argv.split(), code=2, capsys=capsys)
    assert err.startswith("visiontune") and said in err and len(err.splitlines()) == 1 and out == ""


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("check digits.yaml budget.num_trials 8", "budget.num_trials"),
        ("check digits.yaml budget.num_trials = 8", "budget.num_trials"),
        ("check budget.num_trials =8 digits.yaml", "budget.num_trials"),
        ("check digits.yaml num_trials 8", "num_trials"),
        ("search digits.yaml budget.num_trials =8", "budget.num_trials"),
        ("enqueue one optimizer.lr 8", "optimizer.lr"),
    ],
)
def test_an_override_with_a_space_is_one_mistake(words: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DIGITS, "digits.yaml")
    drive(make_spec(Path("studies/one"), 2), Path("studies/one"))
    Path("studies/one/driver.lock").touch()
    _, err = run(*words.split(), code=2, capsys=capsys)
    assert err == f"command line: {key}: an override is written key=value without spaces; nearest is {key}=8\n"


@pytest.mark.parametrize(
    ("words", "key"),
    [("check digits.yaml budget.num_trials", "budget.num_trials"), ("check digits.yaml space.optimizer.lr", "space.optimizer.lr")],
)
def test_a_key_without_its_value_is_no_second_file(words: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DIGITS, "digits.yaml")
    _, err = run(*words.split(), code=2, capsys=capsys)
    assert err == f"command line: {key}: an override is written key=value; nearest is {key}=VALUE\n"


def test_a_file_behind_a_key_without_its_value_is_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(DIGITS, "digits.yaml")
    _, err = run("check", "space.optimizer.lr", "digits.yaml", code=2, capsys=capsys)
    assert err == "command line: space.optimizer.lr: an override is written key=value; nearest is space.optimizer.lr=VALUE\n"
    _, err = run("check", "digits.yaml", "data.path", "digits.yaml", code=2, capsys=capsys)
    assert "nearest is data.path=digits.yaml" in err, "a text may be a file's name"


OF_OTHER_PROGRAMS = ("timm_strings.py", "init_space.py", "mlflow_ui.py")
"""Files that name an option of timm's, or put commands together."""


def sentences(path: Path) -> Iterator[str]:
    """Texts of a file of Python, docstrings left out; X stands for what is put into one."""
    tree = ast.parse(path.read_text())
    said = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    joined = [one for one in ast.walk(tree) if isinstance(one, ast.JoinedStr)]
    said |= {id(part) for one in joined for part in one.values}
    yield from ("".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in one.values) for one in joined)
    yield from (one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in said)


def test_what_is_told_below_the_command_line_is_an_argument_of_pythons_and_an_option_here() -> None:
    """Users of Python read the same sentences: `name=NAME` becomes --name NAME here; a whole command may stand in either."""
    options = {action.dest for verb in arguments.make_parser()._subparsers._group_actions[0].choices.values() for action in verb._actions}
    calls = [getattr(visiontune, name) for name in visiontune.__all__]
    params = {name for call in calls if inspect.isfunction(call) for name in inspect.signature(call).parameters}
    below = [path for path in SOURCE.rglob("*.py") if "cli" not in path.parts and re.search(r"[ \"(]--[a-z]|`[a-z_]+=", path.read_text())]
    told = set()
    for path in below:
        for text in sentences(path):
            told |= {*re.findall(r"`([a-z_]+)=", text)}
            is_command = re.fullmatch("--[a-z-]+", text) or re.search(r"(visiontune|ray) .*--", text)
            assert is_command or path.name in OF_OTHER_PROGRAMS or not re.search(r"(^|[ (])--[a-z]", text), (path, text)
    assert len(told) > 10 and told <= options and told <= params


def test_hints_are_as_the_program_was_typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("best.yaml").write_text("model: {name: lenet5}\noptimizer: {name: sgd, lr: 0.1}\n")
    said = "a search space was expected, but this is a recipe: `{} train best.yaml` trains it\n"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["here/bin/visiontune"])
    assert run("check", "best.yaml", code=2, capsys=capsys)[1] == f"best.yaml:1: {said.format('here/bin/visiontune')}"
    assert "`here/bin/visiontune list ops --costs`" in run("check", str(slow_ops()), code=0, capsys=capsys)[0]
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/visiontune")
    assert run("check", "best.yaml", code=2, capsys=capsys)[1] == f"best.yaml:1: {said.format('visiontune')}"


def slow_ops() -> Path:
    """A search space with an op that is applied picture by picture."""
    file = Path("slow.yaml")
    file.write_text(DIGITS.read_text().replace("GaussNoise:", "Emboss:"))
    return file


def test_no_verb_is_answered_with_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"^    search +Search a space", run(code=2, capsys=capsys)[1], re.MULTILINE)


def test_overrides_may_stand_anywhere() -> None:
    args = arguments.parse(["search", "f.yaml", "a.b=1", "--plain", "c.d=2", "--name", "n", "e=-3"])
    assert args.overrides == ["a.b=1", "c.d=2", "e=-3"] and args.plain and args.name == "n"
    assert args.command_line.partition(" search ")[2] == "f.yaml a.b=1 --plain c.d=2 --name n e=-3"


def test_check_tells_the_problems_of_all_files_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(DIGITS.read_text().replace("num_trials", "num_trails"))
    out, err = run("check", "none.yaml", str(bad), code=2, capsys=capsys)
    assert out == "" and "none.yaml" in err and "num_trails" in err and "num_trials" in err and "Traceback" not in err


def test_an_override_may_be_longer_than_a_file_name(capsys: pytest.CaptureFixture[str]) -> None:
    choices = ", ".join(f"{rate / 1000:.9f}" for rate in range(1, 40))
    out, _ = run("check", str(DIGITS), "space.optimizer.name=sgd", f"space.optimizer.lr={{choice: [{choices}]}}", code=0, capsys=capsys)
    assert f"{DIGITS}: good" in out


@pytest.mark.parametrize("verb", ["search", "train", "preview", "show", "data", "ingest"])
def test_a_name_too_long_to_be_one_is_input_that_is_not_there(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The system has an error of its own for it."""
    Path("studies").mkdir()
    _, err = run(verb, "a" * 300, code=2, capsys=capsys)
    assert "a" * 40 in err and len(err.splitlines()) == 1
    assert "up to 100 letters" in run("ingest", "digits", "--name", "a" * 300, code=2, capsys=capsys)[1]


def test_what_fails_while_arguments_are_read_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry_point, "parse", lambda argv: 1 / 0)
    assert run("show", "x", code=1, capsys=capsys)[1].startswith("visiontune: division by zero\n")


def test_check_tells_cost_and_finds_a_network_too_deep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / "deep.yaml"
    deep.write_text(DIGITS.read_text().replace("depth: {int: [2, 3]}", "depth: {int: [2, 8]}"))
    out, err = run("check", str(DIGITS), str(deep), code=2, capsys=capsys)
    assert "216 at worst" in out  # 24 trials of 9 epochs
    assert "rungs at 1, 3, 9" in out
    told = err.removeprefix(f"{deep}:")
    line, _, rule = told.partition(": space.model.name: ")
    assert "depth: {int: [2, 8]}" in deep.read_text().splitlines()[int(line) + 1]  # name, choice, lenet5, then cnn
    assert "cnn" in rule and "smallest that work" in rule and len(err.splitlines()) == 1


def test_check_finds_a_colour_op_on_grey_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "colour.yaml"
    file.write_text(DIGITS.read_text().replace("GaussNoise:", "HueSaturationValue:"))
    _, err = run("check", str(file), code=2, capsys=capsys)
    assert "HueSaturationValue needs pictures with 3 channels" in err and len(err.splitlines()) == 1


def test_check_tells_which_ops_are_applied_picture_by_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = run("check", str(DIGITS), str(slow_ops()), code=0, capsys=capsys)
    assert [line.split(":")[0].split() for line in out.splitlines() if "slow ops" in line] == [["slow", "ops", "Emboss"]]


def test_samples_are_recipes_that_train_would_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from visiontune.spec.parse import load_recipe

    argv = ("sample", str(DIGITS), "-n", "3", "--seed", "7")
    out, _ = run(*argv, code=0, capsys=capsys)
    documents = out.split("--- ")[1:]
    assert len(documents) == 3
    for number, text in enumerate(documents):
        path = tmp_path / f"{number}.yaml"
        path.write_text("# " + text)
        assert f"fingerprint {load_recipe(path).fingerprint}" in text
    assert run(*argv, code=0, capsys=capsys)[0] == out
    assert run("sample", str(DIGITS), "-n", "3", "--seed", "8", code=0, capsys=capsys)[0] != out


def test_train_prints_a_curve_and_saves_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors import safe_open

    out, _ = run("sample", str(DIGITS), "-n", "1", "space.augmentation.policy=none", "space.model.name=lenet5", code=0, capsys=capsys)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(out.split("\n", 1)[1])
    words = ["training.num_epochs=2", "--out", "w/net.safetensors", "--device", "cpu"]
    out, _ = run("train", str(recipe), *words, code=0, capsys=capsys)
    data = [line for line in out.splitlines() if line.startswith("data: ")]
    lines = out.splitlines()[len(data) :]
    assert data[0].startswith("data: 1,797 pictures of 10 classes: train ") and "image_size 16 x 16 enlarges 100% " in data[-1]
    assert re.fullmatch(r"pictures: all 1,\d{3} pictures stay on cpu", lines[1])
    assert lines[0] == "precision: fp32 on cpu"
    assert [line.split()[0] for line in lines[2:4]] == ["epoch=1", "epoch=2"] and "test_top1=" in lines[4]
    with safe_open("w/net.safetensors", "pt") as file:
        assert len(list(file.keys())) > 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("digits", "no study 'digits' in studies; "),
        ("../digits", "no study 'digits' in ..; "),
        ("..", "no study"),
        ("a/b", "no study 'b' in a; "),
        ("/etc", "no study"),
        ("", "no study ''"),
    ],
)
def test_show_refuses_what_is_no_study(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = run("show", name, code=2, capsys=capsys)
    assert err.startswith(said) and len(err.splitlines()) == 1


NO_WEIGHTS = "there is no file studies/mine/winner.safetensor; nearest is 'studies/mine/winner.safetensors'"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict mine.onx x", "there is no file mine.onx; nearest is 'mine.onnx'"),
        ("evaluate studies/mine/winner.safetensor", NO_WEIGHTS),
        ("export studies/mine/winner.safetensor", NO_WEIGHTS),
        ("export nofile.safetensors", "there is no file nofile.safetensors"),
        ("show studies/mine/winner.yaml", "studies/mine/winner.yaml is no study, but within the folder of one; nearest is 'studies/mine'"),
        ("train nothing", "there is no recipe nothing, and no study 'nothing' in studies; choices: mine"),
        ("train winer.yaml", "winer.yaml: there is no such file; nearest is 'studies/mine/winner.yaml'; choices: studies/mine/winner.yaml"),
    ],
)
def test_what_is_not_there_is_told_with_what_the_verb_would_take(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    mine = Path("studies/mine")
    mine.mkdir(parents=True)
    for name in ("driver.lock", "winner.safetensors"):
        (mine / name).touch()
    (mine / "winner.yaml").write_text("model: {name: lenet5}\n")
    Path("mine.onnx").touch()
    shutil.copy(DIGITS, "digits.yaml")
    _, err = run(*words.split(), code=2, capsys=capsys)
    assert err == f"{said}\n"


def test_the_folder_that_one_is_in_may_be_a_study(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    drive(make_spec(Path("studies/one"), 2), Path("studies/one"))
    Path("studies/one/driver.lock").touch()
    monkeypatch.chdir("studies/one")
    assert "study one" in run("show", ".", code=0, capsys=capsys)[0].lower()


def test_show_names_the_nearest_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "studies" / "digits").mkdir(parents=True)
    (tmp_path / "studies" / "digits" / "driver.lock").touch()
    _, err = run("show", "digit", code=2, capsys=capsys)
    assert "nearest is 'digits'" in err


def test_enqueue_says_what_is_tried_next_and_whether_there_is_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "studies" / "one"
    drive(make_spec(folder, 2), folder)
    (folder / "driver.lock").touch()
    shutil.move(tmp_path / "studies" / "one.yaml", tmp_path / "one.yaml")
    out, _ = run("enqueue", "one", "optimizer.lr=3", "model.name=cnn", code=0, capsys=capsys)
    assert out.splitlines() == [
        "queued: optimizer.lr=3.0, model.name=cnn (optimizer.lr 3 -> 1)",
        "study one has begun all its 2 trials: search it with budget.num_trials=3",
    ]
    _, err = run("enqueue", "one", "optimizer.lr=fast", "model.nam=cnn", code=2, capsys=capsys)
    assert len(err.splitlines()) == 2 and "nearest is 'model.name'" in err
    _, err = run("enqueue", "one", "none.yaml", code=2, capsys=capsys)
    assert err == "none.yaml: there is no such file; nor is any recipe there\n"


def test_list_has_a_line_for_each_entry(capsys: pytest.CaptureFixture[str]) -> None:
    from visiontune.results.entry_lists import SECTIONS
    from visiontune.spec.space.sections import TABLES

    for name, table in TABLES.items():
        out, _ = run("list", name, code=0, capsys=capsys)
        assert [line.split()[0] for line in out.splitlines()] == list(table.entries)
    for name, section in SECTIONS.items():
        out, _ = run("list", name, code=0, capsys=capsys)
        assert [line.split()[0] for line in out.splitlines()] == list(section.fields)
    assert "nearest is 'models'" in run("list", "modles", code=2, capsys=capsys)[1]


def test_list_as_markdown_has_ranges(capsys: pytest.CaptureFixture[str]) -> None:
    rows = run("list", "optimizers", "--markdown", code=0, capsys=capsys)[0].splitlines()
    assert rows[:2] == ["| name | what | arguments |", "| --- | --- | --- |"]
    assert "| `sgd` |" in rows[2] and "`momentum` 0.9 (0 to 0.9999; auto 0.8 to 0.99)" in rows[2]
    assert "| `batch_size` | 64 (1 to 65,536; auto 32, 64, 128) |" in run("list", "training", "--markdown", code=0, capsys=capsys)[0]
    assert "--markdown is for one table" in run("list", "--markdown", code=2, capsys=capsys)[1]


def test_schema_is_the_one_that_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema", code=0, capsys=capsys)[0] == json.dumps(SCHEMA, indent=1) + "\n"


def test_a_failure_is_one_sentence_and_a_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(entry_point.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("visiontune.api.inputs.load_study", lambda *_: 1 / 0)
    _, err = run("sample", "f.yaml", code=1, capsys=capsys)
    first, second = err.splitlines()
    assert first == "visiontune: division by zero"
    assert "ZeroDivisionError" in Path(second.removeprefix("details: ")).read_text()
    assert "Traceback" in run("--debug", "sample", "f.yaml", code=1, capsys=capsys)[1]
    assert "Traceback" in run("sample", "f.yaml", "--debug", code=1, capsys=capsys)[1]


def test_a_full_disk_is_told_in_the_systems_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "studies/x")

    monkeypatch.setattr("visiontune.api.inputs.load_study", full)
    assert run("sample", "f.yaml", code=1, capsys=capsys)[1].startswith("visiontune: No space left on device: studies/x; ")


def test_ctrl_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("visiontune.api.inputs.load_study", stop)
    _, err = run("search", "my file.yaml", "a=1", code=1, capsys=capsys)
    last = err.splitlines()[-1]
    assert last.startswith("interrupted; go on: ") and "visiontune" in last and last.endswith(" search 'my file.yaml' a=1")


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ("inspect mine --folds 3", "go on"),
        ("inspect mine --folds=3", "go on"),
        ("inspect mine", "from its start again"),
        ("train best.yaml --out w.safetensors", "go on"),
        ("train best.yaml", "from its start again"),
        ("--debug search f.yaml", "go on"),
        ("export mine --out w.onnx", "from its start again"),
    ],
)
def test_ctrl_c_says_what_is_kept(words: str, how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A training for a file of weights lies beside it; what a verb keeps does not depend on the options before it."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    Path("best.yaml").touch()
    for name in ("inspect", "load_recipe", "search", "export"):
        monkeypatch.setattr(f"visiontune.api.{name}", stop)
    assert run(*words.split(), code=1, capsys=capsys)[1].splitlines()[-1].startswith(f"interrupted; {how}: ")


def test_a_cluster_that_does_not_answer_is_one_sentence_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as silent:  # bound, but not listening
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        _, err = run("search", str(DIGITS), "--address", address, code=1, capsys=capsys)
    assert err.startswith(f"visiontune: no Ray cluster answers at {address} (Connection refused)\n")
    assert not (tmp_path / "studies").exists()


def test_all_problems_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(*_: object) -> None:
        raise UserError("one", "two")

    monkeypatch.setattr("visiontune.api.inputs.load_study", wrong)
    assert run("sample", "f.yaml", code=2, capsys=capsys)[1] == "one\ntwo\n"


@pytest.mark.heavy
def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m visiontune schema | head -1; echo ${{PIPESTATUS[0]}}"
    told = subprocess.run(
        [shutil.which("bash") or "bash", "-c", command],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT / "platform"), "PATH": "/usr/bin:/bin"},
    )
    assert told.stderr == "" and told.stdout.splitlines()[0] == "{" and told.stdout.splitlines()[-1] == "0"


def test_an_exit_code_is_the_same_where_nobody_reads_why() -> None:
    command = f"exec 3> >(true); wait $!; {sys.executable} -m visiontune check none.yaml 2>&3"
    environment = {"PYTHONPATH": str(ROOT / "platform"), "PATH": "/usr/bin:/bin"}
    assert subprocess.run([shutil.which("bash") or "bash", "-c", command], env=environment).returncode == 2


def test_a_pipe_that_breaks_elsewhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process's does that died: no reader of the output has left."""
    code = (
        "import sys; from visiontune.cli import arguments, entry_point, main\n"
        "def broken(argv): raise BrokenPipeError(32, 'Broken pipe')\n"
        "entry_point.parse = broken\n"
        "sys.exit(main(['schema']))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "platform")})
    assert told.returncode == 1 and told.stderr.startswith("visiontune: Broken pipe\n")


def test_a_wrong_file_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys; from visiontune.cli.entry_point import main\n"
        "for argv in (['search', 'none.yaml'], ['train', 'none.yaml'], ['submit', 'none.yaml', '--address', 'x'], ['show', 'none']):\n"
        "    assert main(argv) == 2\n"
        "print(*{'torch', 'ray', 'mlflow', 'optuna', 'albumentations', 'numpy', 'rich'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "platform")}, check=True
    )
    assert told.stdout.strip() == ""


def test_studies_outlive_a_ray_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert StudiesFolder.of().path == Path("studies")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert StudiesFolder.of().path == tmp_path / "visiontune-studies"
    monkeypatch.setenv("VISIONTUNE_STUDIES", "~/shared")
    assert StudiesFolder.of().path == tmp_path / "shared"


@pytest.mark.parametrize("verb", ["check", pytest.param("search", marks=pytest.mark.ray)])
def test_what_is_wrong_with_pictures_is_told_at_its_line_and_leaves_no_study(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = DIGITS.read_text().replace("data: {source: digits,", "data: {source: folder, path: gone,")
    (tmp_path / "wrong.yaml").write_text(text)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if one.startswith("data:"))
    _, err = run(verb, "wrong.yaml", code=2, capsys=capsys)
    assert err.startswith(f"wrong.yaml:{line}: data.path: ") and len(err.splitlines()) == 1
    assert StudiesFolder.of().names() == []


def test_train_has_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread for torch would also be one core to whoever decides about processes that make pictures."""
    seen: list[str] = []

    def fit(*_: object, **__: object) -> None:
        seen.append(os.environ.get("OMP_NUM_THREADS", "all"))
        raise UserError("enough")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("visiontune.api.load_recipe", lambda *_: None)
    monkeypatch.setattr("visiontune.api.fit", fit)
    assert main(["train", "recipe.yaml"]) == 2 and seen == ["all"]
