"""`visiontune check FILE --run` from end to end: lines, JSON, a picture, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from places import DIGITS
from spec_files import GOOD

from visiontune.cli import main
from visiontune.data.prepare import num_train_about, source_of, with_defaults
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.results.checks import label_check as label_check_module
from visiontune.results.checks.lr_range_plot import plot_range_tests
from visiontune.results.checks.search_forecast import doubts, doubts_of_gpu, doubts_of_room, epochs, proposals, rungs
from visiontune.results.checks.study_check import lines, summary
from visiontune.spec.parse import load_study
from visiontune.spec.space.epoch_forecast import cost
from visiontune.training.checks.check import Check
from visiontune.training.checks.lr_range_test import NUM_STEPS

SMALL = ("data.max_pictures=400", "data.image_size=8", "space.model.name=lenet5", "space.optimizer.name=sgd")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)


@pytest.mark.heavy
def test_a_good_file_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DIGITS), "--run", *SMALL, "--studies-dir", "s"]) == 0
    out = capsys.readouterr().out
    assert "216 at worst" in out
    of_data = ("classes", "dummy", "neighbours", "repeats", "contradictions", "near repeats")
    for name in (*of_data, "loss at step 0: lenet5", "gradients at step 0: lenet5"):
        assert f"  {name}: " in out
    assert "one batch: lenet5: loss 0.0" in out and "learning rate: lenet5 with sgd: falls from " in out
    assert "  cost: an epoch takes " in out
    assert "  labels: no network of this study is trained yet" in out
    assert "12 checks: " in out and " 0 bad in " in out
    assert out.splitlines()[-1] == "  learning-rate range tests: s/digits/lr_range.png"
    assert Path("s/digits/lr_range.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.heavy
def test_json_holds_figures_and_rates_that_are_too_high(capsys: pytest.CaptureFixture[str]) -> None:
    rates = ("space.optimizer.lr={float: [50, 100], log: true}", "space.optimizer.name={choice: {sgd: {momentum: 0.0}}}")
    assert main(["check", str(DIGITS), *SMALL[:3], *rates, "--run", "--json"]) == 0
    [file] = json.loads(capsys.readouterr().out)["files"]
    assert (file["study"], file["verdict"], file["picture"]) == ("digits", "look", "studies/digits/lr_range.png")
    verdicts = {check["name"]: check["verdict"] for check in file["checks"]}
    assert verdicts["learning rate: lenet5 with sgd"] == "look" and "bad" not in verdicts.values()
    figures = next(check["figures"] for check in file["checks"] if check["name"].startswith("learning rate"))
    assert figures["file"] == [50, 100] and figures["edge"] < 50 and 0 < len(figures["lrs"]) == len(figures["losses"]) <= NUM_STEPS


def test_a_wrong_file_is_told_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DIGITS), "none.yaml", "--run"]) == 2
    told = capsys.readouterr()
    assert "none.yaml" in told.err and "checks:" not in told.out and not Path("studies").exists()


def test_json_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DIGITS), "--json"]) == 2
    assert "--run" in capsys.readouterr().err


def test_a_network_that_cannot_be_built_is_a_bad_check_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("the weights are on another machine")

    monkeypatch.setattr("visiontune.training.checks.initial_checks.set_up", refuse)
    monkeypatch.setattr("visiontune.training.checks.all_checks.set_up", refuse)
    assert main(["check", str(DIGITS), "--run", *SMALL]) == 2
    out = capsys.readouterr().out
    assert out.count("can't be set up or trained: the weights are on another machine") == 2 and "repeats" in out and "lr_range" not in out


def test_a_check_is_a_line_and_its_hint_another() -> None:
    checks = [Check("classes", "ok", "ten"), Check("dummy", "bad", "0.9", "do this")]
    assert lines(checks[0]) == ["  ok    classes: ten"]
    assert lines(checks[1]) == ["  bad   dummy: 0.9", "        -> do this"]
    assert summary(checks) == "2 checks: 1 ok, 0 look, 1 bad"


def test_no_range_test_no_picture(tmp_path: Path) -> None:
    assert plot_range_tests([Check("classes", "ok", "ten")], tmp_path / "a.png") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("sampler.name=random", "the tables' defaults, then random"),
        ("sampler.name=tpe", "the tables' defaults, a Sobol sequence for about 24 trials, then 32 of 64 by tpe and 7 at random"),
        (
            "sampler={name: tpe, num_startup: 2, random_every: 0}",
            "the tables' defaults, a Sobol sequence for about 6 trials, then 57 of 64 by tpe",
        ),
        ("sampler={name: gp, num_startup: 0}", "the tables' defaults, then 51 of 64 by gp, a model for each branch and 12 at random"),
        ("sampler.name=cmaes", "the tables' defaults, then 3 numbers by cmaes, a distribution for each branch; choices by tpe"),
        ("sampler.name=nsga2", "the tables' defaults, then nsga2, generations of 4 values for each branch"),
        ("sampler={name: nsga2, population: 9}", "the tables' defaults, then nsga2, generations of 9 values for each branch"),
        (
            "sampler={name: optuna, class: a.B, random_every: 0}",
            "the tables' defaults, a Sobol sequence for about 24 trials, then 39 of 64 by a.B",
        ),
    ],
)
def test_who_proposes_is_told_with_what_it_leaves_to_others(settings: str, said: str) -> None:
    branches = "space.optimizer.name={choice: {sgd: {momentum: {float: [0.8, 0.99]}}, adamw: {}}}"
    model = "space.model={name: cnn, depth: {int: [1, 3]}}"
    path = Path("space.yaml")
    path.write_text(GOOD)
    assert proposals(load_study(path, [settings, branches, model, "budget.num_trials=64"])) == said


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ("asha", "rungs at 1, 3, 9 epochs"),
        ("none", "rungs at 9 epochs"),
        ("none budget.max_epochs=1", "rungs at 1 epoch"),
        ("hyperband", "rungs at 1, 3, 9 epochs; of 17 trials 9 at 1, 5 at 3, 3 at 9 begin"),
        ("pasha", "rungs at 1, 3, 9 epochs, those above 3 if rankings ask for them"),
        ("adaptive_rungs", "rungs at 1, 3, 9 epochs, the lowest left out while ranks there say too little"),
    ],
)
def test_rungs_are_told_with_who_begins_there(scheduler: str, said: str) -> None:
    path = Path("space.yaml")
    path.write_text(GOOD)
    assert rungs(load_study(path, f"trial_scheduler.name={scheduler}".split())) == said


@pytest.mark.parametrize(
    ("budget", "said"),
    [("hours: 1", "what 1 hour allows"), ("hours: 2", "what 2 hours allow"), ("hours: 1, epochs: 1", "what 1 epoch and 1 hour allow")],
)
def test_what_a_budget_allows_is_told_with_its_number(budget: str, said: str) -> None:
    path = Path("space.yaml")
    path.write_text(GOOD)
    spec = load_study(path, [f"budget={{max_epochs: 9, {budget}}}"])
    assert epochs(cost(spec), spec).endswith(said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], []),
        (
            ["data.max_pictures=300"],
            ["the first rung is after 3 steps of 64", "no rung before the last is after so many: take smaller batches"],
        ),
        (["data.max_pictures=300", "budget.max_epochs=81", "budget.min_epochs=1"], ["budget.min_epochs=27 is after 81"]),
        (["data.max_pictures=70"], ["batches of 64 are more than the training split, about 56 pictures"]),
        (["space.schedule={name: cosine, warmup_epochs: {int: [0, 2]}}"], ["warm-up takes up to 2 epochs, and the first rung is at 1"]),
        (["space.schedule={name: cosine, warmup_share: 0.1}"], []),
        (["data.max_pictures=300", "trial_scheduler.name=none"], []),
    ],
)
def test_what_speaks_against_the_first_rung_is_told(settings: list[str], said: list[str]) -> None:
    path = Path("space.yaml")
    path.write_text(GOOD)
    epochs, size = [] if "budget.max_epochs=81" in settings else ["budget.max_epochs=9"], 64 if said else 16
    spec = load_study(path, [*epochs, f"space.training.batch_size={size}", *settings])
    found = " ".join(doubts(spec, num_train_about(spec.data, source_of(with_defaults(spec.data)))))
    assert all(part in found for part in said) and bool(found) == bool(said)


@pytest.mark.parametrize(("setting", "wanted"), [("workers_per_trial=8", 8), ("cpus_per_trial=4", 4), ("cpus_per_trial=2", 0)])
def test_resources_beyond_this_machine_are_told(setting: str, wanted: int) -> None:
    path = Path("space.yaml")
    path.write_text(GOOD)
    found = [*doubts_of_room(load_study(path, [f"resources.{setting}"]), 2)]
    assert bool(found) == bool(wanted) and all(f"a trial takes {wanted} processors and this machine has 2" in one for one in found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["resources.gpus_per_trial=0.5"], ["a trial takes 0.5 GPUs and this machine has none: a search here is refused"]),
        (["space.training.use_compile=true", "space.training.compile_mode=reduce-overhead"], ["CUDA graphs, and this machine has no GPU"]),
        (["space.training.precision={choice: [fp32, tf32]}"], ["tf32 is for GPUs: trials on CPUs compute in fp32 in its place"]),
        (["resources.gpus_per_trial=0", "space.training.precision=tf32"], ["tf32 is for GPUs"]),
        ([], []),
    ],
)
def test_what_a_machine_without_a_gpu_refuses_or_does_otherwise_is_told(settings: list[str], said: list[str]) -> None:
    Path("space.yaml").write_text(GOOD)
    spec = load_study(Path("space.yaml"), settings)
    found = [*doubts_of_gpu(spec, has_gpu=False)]
    assert len(found) == len(said) and all(words in one for words, one in zip(said, found, strict=True))
    assert not [*doubts_of_gpu(spec, has_gpu=True)]


def test_ops_that_make_a_network_take_one_class_for_another_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes are told by which half is light, so mirroring exchanges them; darkening does not."""
    is_right_N = np.arange(60) % 2
    images_NHWC = np.zeros((60, 8, 8, 1), np.uint8)
    for image_HWC, is_right in zip(images_NHWC, is_right_N, strict=True):
        image_HWC[:, 4 * is_right : 4 + 4 * is_right] = 200

    def predict(x_NHWC: np.ndarray) -> np.ndarray:
        return (x_NHWC[:, :, 4:].mean((1, 2, 3)) > x_NHWC[:, :, :4].mean((1, 2, 3))).astype(np.int64)

    store = SimpleNamespace(val_idx=np.arange(60), images_NHWC=images_NHWC, labels_N=is_right_N, class_names=("left", "right"))
    monkeypatch.setattr(label_check_module, "ask", lambda *_: (SimpleNamespace(name="the winner", predict=predict), store))
    info = SimpleNamespace(channels=1, num_classes=2, class_names=store.class_names)
    found: list[Check | None] = []
    spared = "{policy: fixed, HorizontalFlip: {}, by_class: [{classes: [left], policy: none}]}"
    for op in ("{policy: fixed, HorizontalFlip: {}}", "{policy: fixed, Solarize: {magnitude: 0.1}}", "{policy: none}", spared):
        Path("one.yaml").write_text(GOOD.replace("augmentation: {policy: none}", f"augmentation: {op}"))
        found.append(label_check_module.label_check(load_study(Path("one.yaml")), StudiesFolder(Path("s")), info))  # type: ignore[arg-type]
    flip, solarize, none, of_right = found
    assert of_right is not None and "right as left" in of_right.said and "left as right" not in of_right.said
    assert flip is not None and flip.verdict == "look" and "left as right 100%" in flip.said
    assert solarize is not None and solarize.verdict == "ok" and none is None
