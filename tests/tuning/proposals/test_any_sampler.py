"""Any sampler with Optuna's interface: it proposes what it would by itself, and what is wrong with it is told before anything runs."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from places import DIGITS
from simulated_search import drive, make_spec
from spec_files import GOOD

from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.tuning.proposals.any_sampler import load_class, sampler_problems

MIDDLE = """
import optuna

class Middle(optuna.samplers.BaseSampler):
    def __init__(self, at=0.5, **options):
        self.at = at
    def infer_relative_search_space(self, study, trial):
        return {}
    def sample_relative(self, study, trial, search_space):
        return {}
    def sample_independent(self, study, trial, param_name, param_distribution):
        if isinstance(param_distribution, optuna.distributions.CategoricalDistribution):
            return param_distribution.choices[0]
        return param_distribution.low + type(param_distribution.low)(self.at * (param_distribution.high - param_distribution.low))

class Needy(Middle):
    def __init__(self, points):
        if not points:
            raise ValueError("no points\\nat all")

class Late(Middle):
    def __init__(self, after, at=0.5):
        self.after, self.at = after, 0.5
        self.later = at
    def sample_independent(self, study, trial, param_name, param_distribution):
        if len(study.get_trials()) > self.after and self.later == 0.5:
            raise RuntimeError("seen enough\\nof it")
        if len(study.get_trials()) > self.after:
            self.at = self.later
        return super().sample_independent(study, trial, param_name, param_distribution)

class Other:
    pass
"""


def text_of(line: str) -> str:
    return GOOD.replace("sampler: {name: tpe}", line)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("middle.py").write_text(MIDDLE)
    Path("broken.py").write_text("import nothing_of_this_name\n")


def problems(line: str) -> list[str]:
    Path("space.yaml").write_text(text_of(line))
    return [str(problem) for problem in sampler_problems(load_study(Path("space.yaml")))]


@pytest.mark.parametrize(
    ("settings", "where", "words"),
    [
        ("class: TPESampler", "class", ("must be module.Class or path/NAME.py:Class, but got 'TPESampler'",)),
        ("class: optuna.samplers.TPESample", "class", ("optuna.samplers has no 'TPESample'", "nearest is 'TPESampler'")),
        ("class: optuna.pruners.MedianPruner", "class", ("must be a sampler", "is none")),
        ("class: no_such_package.A", "class", ("no_such_package can't be imported", "No module named")),
        ("class: broken.py:A", "class", ("broken.py can't be imported", "nothing_of_this_name")),
        ("class: absent.py:A", "class", ("absent.py can't be imported: there is no such file",)),
        ("class: middle.py:Other", "class", ("must be a sampler", "choices: Middle, Needy, Late")),
        (
            "class: optuna.samplers.TPESampler, kwargs: {n_ei_candidate: 3}",
            "kwargs.n_ei_candidate",
            ("takes no", "nearest is 'n_ei_candidates'"),
        ),
        ("class: optuna.samplers.TPESampler, kwargs: {seed: 3}", "kwargs.seed", ("sampler.seed says which",)),
        ("class: middle.py:Needy", "kwargs.points", ("Needy needs 'points'",)),
        ("class: middle.py:Needy, kwargs: {points: []}", "kwargs", ("Needy refuses them: no points",)),
        (
            "class: optuna.samplers.GridSampler, kwargs: {search_space: {a: [1]}}",
            "class",
            ("GridSampler can't propose for this space", "is not found in the given grid"),
        ),
        (
            "class: optuna.samplers.TPESampler, kwargs: {n_ei_candidates: many}",
            "class",
            ("TPESampler can't propose for this space",),
        ),
        ("class: middle.py:Late, kwargs: {after: 9}", "class", ("Late can't propose for this space: seen enough",)),
        ("class: middle.py:Late, kwargs: {after: 9, at: 1.5}", "class", ("can't propose", "isn't contained in the distribution")),
        ("class: optuna.samplers.NSGAIISampler, kwargs: {population_size: 1}", "kwargs", ("NSGAIISampler refuses them", "population_size")),
    ],
)
def test_what_is_wrong_with_a_class_is_one_sentence_with_its_line(settings: str, where: str, words: tuple[str, ...]) -> None:
    [problem] = problems(f"sampler: {{name: optuna, {settings}}}")
    assert problem.startswith(f"space.yaml:5: sampler.{where}: ")
    assert all(word in problem for word in words) and "\n" not in problem


def test_two_wrong_kwargs_are_two_sentences() -> None:
    assert len(problems("sampler: {name: optuna, class: optuna.samplers.TPESampler, kwargs: {a: 1, b: 2}}")) == 2


@pytest.mark.parametrize(
    "settings",
    ["class: middle.py:Middle, kwargs: {at: 0.25, more: {a: [1, 2]}}", "class: optuna.samplers.QMCSampler, kwargs: {scramble: true}"],
)
def test_what_can_be_built_is_fine(settings: str) -> None:
    assert problems(f"sampler: {{name: optuna, {settings}}}") == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sampler: {name: optuna}", ("sampler 'optuna' needs the argument 'class'",)),
        ("sampler: {name: optuna, class: a.B, kwargs: [1]}", ("sampler.kwargs: must be a mapping, but", "[1]")),
        ("sampler: {name: tpe, class: a.B}", ("'class' is an argument of optuna, not of tpe",)),
    ],
)
def test_the_parser_tells_what_needs_no_import(line: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as refusal:
        problems(line)
    assert all(word in str(refusal.value) for word in words)


def test_check_tells_it_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(DIGITS), "sampler={name: optuna, class: optuna.samplers.TPESample}"]) == 2
    assert "sampler.class: optuna.samplers has no 'TPESample'; nearest is 'TPESampler'" in capsys.readouterr().err


def test_a_class_of_ones_own_proposes_once_there_are_values(tmp_path: Path) -> None:
    line = "sampler={name: optuna, class: middle.py:Middle, kwargs: {at: 0.25}, num_startup: 2, random_every: 0}"
    spec = make_spec(tmp_path / "study", 8, scheduler="none", overrides=[line])
    _, storage, _ = drive(spec, tmp_path / "study")
    own = [t for t in storage.trials() if t.user_attrs["proposed_by"].startswith("optuna: from ")]
    assert len(own) >= 5
    assert all(t.params == {"model.name": "lenet5", "model.lenet5.width": 1, "optimizer.lr": pytest.approx(0.250075)} for t in own)
    identity = storage.attributes()["identity"]
    assert (identity["sampler.class"], identity["sampler.kwargs.at"]) == ("middle.py:Middle", 0.25)


@pytest.mark.parametrize(
    ("kwargs", "words"), [("{after: 14}", "seen enough"), ("{after: 14, at: 1.5}", "isn't contained in the distribution")]
)
def test_a_class_that_fails_in_the_middle_of_a_search_is_one_sentence_with_its_line(tmp_path: Path, kwargs: str, words: str) -> None:
    line = f"sampler={{name: optuna, class: middle.py:Late, kwargs: {kwargs}, num_startup: 2, random_every: 0}}"
    spec = make_spec(tmp_path / "study", 30, scheduler="none", overrides=[line])
    with pytest.raises(UserError) as refusal:
        drive(spec, tmp_path / "study")
    said = str(refusal.value)
    assert said.startswith("command line: sampler.class: middle.py:Late could not propose trial 14: ") and words in said


def test_it_learns_what_tpe_does(tmp_path: Path) -> None:
    """Optuna's TPE by its class proposes what the table's does."""
    kwargs = "{n_startup_trials: 0, multivariate: true, group: true}"
    line = f"sampler={{name: optuna, class: optuna.samplers.TPESampler, kwargs: {kwargs}, seed: 1}}"
    found = []
    for name, overrides in (("a", []), ("b", [line])):
        folder = tmp_path / name / "study"
        found.append([t.params for t in drive(make_spec(folder, 40, overrides=overrides), folder)[1].trials()])
    assert found[0] == found[1]


def test_no_pickle_gets_into_the_storage_or_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    line = "sampler={name: optuna, class: optuna.samplers.CmaEsSampler, num_startup: 0, random_every: 0}"
    overrides = [line, "space.model={name: lenet5, dropout: {float: [0, 0.5]}}"]
    _, storage, _ = drive(make_spec(folder, 30, scheduler="none", overrides=overrides), folder)
    assert max(t.system_attrs.get("cma:generation", 0) for t in storage.trials()) > 0
    assert b"cma:optimizer" not in (folder / "study.journal").read_bytes()
    last = storage.trials()[29]  # a copy of it with what would fail to load, in the storage
    attributes = {key: value for key, value in last.user_attrs.items() if key != "end"}
    system = {**last.system_attrs, "cma:optimizer:0": b"not a pickle".hex()}
    number = storage.add(last.params, last.distributions, attributes, system)
    storage.report(number, 9, 0.5)
    storage.end(number, optuna.trial.TrialState.COMPLETE, 0.5, "full budget of 9 epochs")
    assert len(drive(make_spec(folder, 33, scheduler="none", overrides=overrides), folder)[1].trials()) == 33


def test_a_class_that_is_gone_is_told_when_a_study_goes_on(tmp_path: Path) -> None:
    line = "sampler={name: optuna, class: middle.py:Middle}"
    folder = tmp_path / "study"
    drive(make_spec(folder, 3, overrides=[line]), folder)
    Path("middle.py").unlink()
    load_class.cache_clear()
    with pytest.raises(UserError, match=r"middle\.py can't be imported: there is no such file"):
        drive(make_spec(folder, 5, overrides=[line]), folder)
