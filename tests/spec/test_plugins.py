"""Plugins: who names one has its rows and nobody else does; what is wrong with one is a sentence at its line, before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from places import PLATFORM

from visiontune.api.inputs import spec_to_go_on
from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec import plugins
from visiontune.spec.declarations.domains import FixedParams, RandomParams
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.plugins import in_use, keep
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.models import MODELS
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.tuning.study.open_storage import create_or_resume

PLUGIN = """\
from visiontune.spec.declarations.declare import Arg, Entry


def net(*, num_classes, in_channels, image_size, width):
    return width


def asgd(parameters, *, decay):
    return parameters


def dots(*, image_size, magnitude):
    return magnitude


MODELS = {
    "my_net": Entry("mine", net, {"width": Arg(int, "channels", 8, 1, 64)}),
}
OPTIMIZERS = {"my_sgd": Entry("mine", asgd, {"decay": Arg(float, "of weights", 0.0, 0.0, 1.0)}, suits={"lr": 0.03})}
OPS = {"Dots": Entry("mine", dots, {"probability": Arg(float, "chance", 0.5, 0.0, 1.0), "magnitude": Arg(float, "how", 0.5, 0.0, 1.0)})}
"""

STUDY = """\
study: mine
plugins: [rows.py]
data: {source: digits}
budget: {num_trials: 4, max_epochs: 3}
space:
  model: {name: {choice: {my_net: {width: {int: [2, 64]}}, lenet5: {}}}}
  optimizer: {name: my_sgd, lr: {float: [1e-4, 1.0], log: true}}
  augmentation: {policy: fixed, Dots: {magnitude: {float: [0, 1], when: {model.name: my_net}, otherwise: 0}}}
"""


THREE_TIMES = """
import sys
from pathlib import Path
from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe

winner, (kept,) = Path(sys.argv[1]), Path(sys.argv[2]).iterdir()
there = winner.parent / "plugins" / kept.name
there.parent.mkdir()
for content in (b"", kept.read_bytes() + b"# changed", kept.read_bytes()):
    content and there.write_bytes(content)
    try:
        print(load_recipe(winner).fingerprint)
    except UserError as error:
        print(error)
"""


def write(folder: Path, plugin: str = PLUGIN, study: str = STUDY) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "rows.py").write_text(plugin)
    (folder / "study.yaml").write_text(study)
    return folder / "study.yaml"


def sampled(spec: StudySpec, number: int = 0) -> dict[str, object]:
    with in_use(spec.plugins):
        return make_recipe(spec, spec.space.resolve(RandomParams(number)), number).flat()


def test_rows_are_there_for_who_names_them_and_for_nobody_else(tmp_path: Path) -> None:
    """Two studies of one process have rows of the same name from two versions of a file, as after a change in a notebook."""
    one = load_study(write(tmp_path / "one"))
    changed = PLUGIN.replace("8, 1, 64", "512, 65, 512").replace('"width"', '"channels"').replace("width", "channels")
    other = load_study(write(tmp_path / "other", changed, STUDY.replace("width: {int: [2, 64]}", "channels: {int: [65, 512]}")))
    point = {"model.name": "my_net", "model.my_net.width": 3, "optimizer.lr": 0.1, "augmentation.Dots.magnitude": 0.2}
    with in_use(one.plugins):
        with in_use(other.plugins):
            second = other.space.resolve(FixedParams({**point, "model.my_net.channels": 70}))
        first = one.space.resolve(FixedParams(point))
    assert first["model"]["width"] == 3 and first["optimizer"]["decay"] == 0.0
    assert second["model"]["channels"] == 70 and "width" not in second["model"]
    assert "my_net" not in MODELS.entries
    with pytest.raises(UserError, match=r"must name one model, but got 'my_net'"):
        load_study(write(tmp_path / "none", PLUGIN, STUDY.replace("plugins: [rows.py]\n", "")), ["space.augmentation.policy=none"])


def test_the_file_is_part_of_what_a_study_and_a_recipe_are(tmp_path: Path) -> None:
    file = write(tmp_path / "study")
    spec = load_study(file)
    (key,) = spec.identity()["plugins"]
    assert key.startswith("rows.py@sha256:") and spec_of_identity(spec.identity()).identity() == spec.identity()
    with in_use(spec.plugins):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(1)), 1)
    assert recipe.flat()["plugins"] == [key]
    file.with_name("rows.py").write_text(PLUGIN + "# changed\n")
    assert load_study(file).identity()["plugins"] != [key]
    without = STUDY.replace("plugins: [rows.py]\n", "").replace("my_sgd", "sgd").partition("  augmentation")[0]
    plain = load_study(write(tmp_path / "plain", study=without.replace("my_net: {width: {int: [2, 64]}}, ", "")))
    assert "plugins" not in plain.identity() and "plugins" not in make_recipe(plain, plain.space.resolve(RandomParams(0)), 0).to_dict()


def test_another_process_reads_a_winner_with_the_copy_beside_it_and_with_no_other(tmp_path: Path) -> None:
    spec = load_study(write(tmp_path / "study"))
    with in_use(spec.plugins):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(1)), 1)
    winner = tmp_path / "elsewhere" / "winner.yaml"
    dump_recipe(recipe, winner)
    keep(spec.plugins, tmp_path / "kept")
    told = subprocess.run(
        [sys.executable, "-c", THREE_TIMES, winner, tmp_path / "kept"], env={"PYTHONPATH": str(PLATFORM)}, capture_output=True, text=True
    )
    gone, changed, right = told.stdout.splitlines()
    assert "winner.yaml:2: plugins[0]: the plugin rows.py is not there" in gone, told.stderr
    assert "winner.yaml:2: plugins[0]: the plugin rows.py has changed: its SHA-256 must be" in changed
    assert right == recipe.fingerprint == load_recipe(winner).fingerprint


def test_a_study_goes_on_with_its_copy_of_a_plugin_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a new process too, under its own name alone; a file that is there is taken as it is now."""
    file, studies = write(tmp_path / "there"), StudiesFolder(tmp_path / "studies")
    spec, folder = load_study(file), studies.study("mine")
    folder.path.mkdir(parents=True)
    create_or_resume(folder, spec)
    file.with_name("rows.py").unlink()
    for loaded in (dict(plugins._loaded), {}):
        monkeypatch.setattr(plugins, "_loaded", loaded)
        assert spec_to_go_on(file, (), {}, studies).identity() == spec.identity()
    assert f"there is no {file.with_name('rows.py')} any more: the study's copy takes its place, rows.py@sha256:" in caplog.text
    with pytest.raises(UserError, match=r"the plugin rows.py is not there: "):
        spec_to_go_on(file, ["study=other"], {}, studies)
    file.with_name("rows.py").write_text(PLUGIN + "# changed\n")
    assert spec_to_go_on(file, (), {}, studies).identity() != spec.identity()


def test_an_installed_package_has_plugins_by_the_name_of_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, info = tmp_path / "their_rows", tmp_path / "their_rows-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tables.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their_rows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[visiontune.plugins]\ntheirs = their_rows.tables\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write(tmp_path / "study", study=STUDY.replace("rows.py", "theirs"))
    (key,) = load_study(file).plugins
    assert key.startswith("theirs@sha256:") and sampled(load_study(file))["plugins"] == [key]
    with pytest.raises(UserError, match=r"study.yaml:2: plugins\[0\]: a plugin is a file that ends in .py, .* nearest is 'theirs'"):
        load_study(write(tmp_path / "study", study=STUDY.replace("rows.py", "their")))


class Wrong(NamedTuple):
    """What of the plugin is replaced by what, the line at which it is told, and words of it."""

    old: str
    new: str
    line: int
    words: tuple[str, ...]


WRONG = [
    Wrong("MODELS = {", "MODELS = {{", 16, ("can't be imported: SyntaxError",)),
    Wrong("return width\n", "return width\n\n\n1 / 0\n", 8, ("can't be imported: ZeroDivisionError: division by zero",)),
    Wrong("from visiontune", "import not_there\nfrom visiontune", 1, ("can't be imported: ModuleNotFoundError: ",)),
    Wrong("OPS =", "POS =", 20, ("POS: no table POS takes rows of a plugin; nearest is 'OPS'",)),
    Wrong('"my_net": E', '"resnet18": E', 17, ("MODELS['resnet18']: the model 'resnet18' is visiontune's own; choose another name",)),
    Wrong('"my_net": E', '"my.net": E', 17, ("a name begins with a letter",)),
    Wrong(
        "image_size, width):",
        "image_size):",
        4,
        (
            "its builder net is called with",
            "image_size, width, but does not take width",
        ),
    ),
    Wrong(
        "image_size, width):",
        "image_size, width, depth):",
        4,
        ("builder net needs depth, which is neither given nor declared",),
    ),
    Wrong("(parameters, *, decay)", "(parameters)", 8, ("its builder asgd is called with parameters, decay, but does not take decay",)),
    Wrong('{"width": Arg', '{"dropout": Arg', 17, ("'dropout' is a key of the section model already; choose another name",)),
    Wrong("8, 1, 64", "80, 1, 64", 17, ("the default of width must be of type int, within its range and choices, but is 80",)),
    Wrong('"magnitude": Arg', '"strength": Arg', 20, ("an op has the arguments probability and, where it has a strength, magnitude",)),
    Wrong('Entry("mine", net,', 'Entry("mine", "math:nothing",', 17, ("the builder 'math:nothing' can't be had",)),
    Wrong(PLUGIN, "MODELS = {}\n", 1, ("MODELS: must be a dict of Entry by name with at least one, but is {}",)),
    Wrong(PLUGIN, "x = 1\n", 1, ("declares nothing; a plugin has at least one of MODELS, ACTIVATIONS",)),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda one: one.words[0][:60])
def test_a_wrong_plugin_is_a_sentence_at_its_line(wrong: Wrong, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wrong.old in PLUGIN
    file = write(tmp_path, PLUGIN.replace(wrong.old, wrong.new))
    assert main(["sample", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"{tmp_path / 'rows.py'}:{wrong.line}: ") and told.count("\n") == 1, told
    assert all(word in told for word in wrong.words), told


@pytest.mark.parametrize(
    ("plugins", "words"),
    [
        ("[gone.py]", "study.yaml:2: plugins[0]: the plugin gone.py is not there: "),
        ("rows.py", "study.yaml:2: plugins: must be a list of names, but got 'rows.py'; nearest is ['rows.py']"),
        ("[rows.py, copy.py]", "study.yaml:2: plugins: rows.py and copy.py both declare the model 'my_net'; one of them must go"),
    ],
)
def test_a_wrong_list_is_told_where_it_stands(plugins: str, words: str, tmp_path: Path) -> None:
    file = write(tmp_path, study=STUDY.replace("[rows.py]", plugins))
    (tmp_path / "copy.py").write_text(PLUGIN.split("OPTIMIZERS =")[0] + "# another\n")
    with pytest.raises(UserError) as caught:
        load_study(file)
    assert words in str(caught.value)
