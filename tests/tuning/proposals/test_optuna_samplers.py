"""What a file says of its sampler reaches Optuna: each argument by what it does to proposals."""

from __future__ import annotations

import math
import statistics
from functools import cache
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler
from optuna.trial import create_trial
from simulated_search import drive, make_spec

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.search import LEARNING, SAMPLERS
from visiontune.tuning.study.open_storage import create_or_resume, open_existing

AXES = {name: FloatDistribution(0.0, 1.0) for name in "xy"}


@pytest.fixture(autouse=True)
def no_log() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def build(tmp_path):
    """A sampler as a file names it."""

    @cache
    def spec_of(name: str, *overrides: str) -> StudySpec:
        return make_spec(tmp_path / "study", sampler=name, overrides=overrides)

    def build(seed: int, **settings: Any) -> BaseSampler:
        name = settings.pop("name")
        spec = spec_of(name, *(f"sampler.{key}={value}" for key, value in settings.items()))
        entry, args = chosen(SAMPLERS, spec.sampler, "name")
        return entry.load()(spec, seed, **{key: value for key, value in args.items() if key not in LEARNING})

    return build


def past(num: int) -> list[optuna.trial.FrozenTrial]:
    """Trials on a spiral, best at x = y = 0.3."""
    points = [(0.5 + 0.5 * k / num * math.cos(k), 0.5 + 0.5 * k / num * math.sin(k)) for k in range(num)]
    return [create_trial(params={"x": x, "y": y}, distributions=AXES, value=-((x - 0.3) ** 2) - (y - 0.3) ** 2) for x, y in points]


def ask(sampler: BaseSampler, trials: list[optuna.trial.FrozenTrial]) -> dict[str, float]:
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials(trials)
    return study.ask(AXES).params


def test_by_default_tpe_proposes_as_it_did_before_there_were_arguments(build):
    trials = past(12)
    plain = [optuna.samplers.TPESampler(seed=seed, n_startup_trials=0, multivariate=True, group=True) for seed in range(3)]
    assert [ask(build(seed, name="tpe"), trials) for seed in range(3)] == [ask(sampler, trials) for sampler in plain]


def spread(proposals: list[dict[str, float]]) -> float:
    return statistics.pstdev([one["x"] for one in proposals])


def test_gamma_says_how_many_values_tpe_takes_for_good(build):
    """The best two lie at x = 0.2, the next ten at 0.8: of 40, one in twenty is the two, one in three all twelve."""
    places = [0.2] * 2 + [0.8] * 10 + [0.5] * 28
    trials = [create_trial(params={"x": x, "y": k / 40}, distributions=AXES, value=-k) for k, x in enumerate(places)]

    def num_at_best(**settings: float) -> int:
        return sum(ask(build(seed, name="tpe", **settings), trials)["x"] < 0.5 for seed in range(30))

    assert num_at_best(gamma=0.05) > 25 > 15 > num_at_best(gamma=0.3)


@pytest.mark.heavy
def test_tpe_chooses_out_of_more_candidates(build):
    """The best of many is more alike from seed to seed than the best of one, which is a draw."""
    found = [spread([ask(build(seed, name="tpe", num_candidates=num), past(60)) for seed in range(30)]) for num in (1, 1000)]
    assert found[1] < 0.7 * found[0]


@pytest.mark.heavy
def test_univariate_tpe_does_not_see_what_belongs_together(build):
    """Good where x = y: only a joint model can say so."""
    points = [(x / 7, y / 7) for x in range(8) for y in range(8)]
    trials = [create_trial(params={"x": x, "y": y}, distributions=AXES, value=-abs(x - y)) for x, y in points]

    def off(flag: str) -> float:
        proposals = [ask(build(seed, name="tpe", use_multivariate=flag), trials) for seed in range(30)]
        return statistics.fmean(abs(one["x"] - one["y"]) for one in proposals)

    assert off("true") < off("false") / 2


def test_a_study_learns_from_as_many_values_and_draws_as_often_as_told(tmp_path):
    spec = make_spec(tmp_path / "study", 12, scheduler="none", overrides=["sampler.num_startup=3", "sampler.random_every=0"])
    _, storage, _ = drive(spec, tmp_path / "study")
    num_values = 1
    for trial in storage.trials()[1:]:
        assert trial.user_attrs["proposed_by"].startswith("tpe" if num_values >= 3 else "Sobol")
        num_values += trial.state.name == "COMPLETE"


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_a_study_from_before_there_were_arguments_goes_on_and_refuses_other_values(tmp_path, sampler):
    """Its identity says of the sampler what the commit before them wrote: a name and a seed."""
    folder = tmp_path / "study"
    drive(make_spec(folder, 4, sampler=sampler), folder)
    storage = open_existing(StudyFolder(folder))
    identity = storage.attributes()["identity"]
    kept = ("sampler.name", "sampler.seed")
    before = {key: value for key, value in identity.items() if not key.startswith("sampler.") or key in kept}
    assert len(before) < len(identity)
    storage.set_attribute("identity", before)
    drive(make_spec(folder, 6, sampler=sampler), folder)
    assert len(open_existing(StudyFolder(folder)).trials()) == 6
    changed = {"tpe": "num_startup=3", "gp": "is_deterministic=true", "nsga2": "population=7"}[sampler]
    with pytest.raises(UserError, match=rf"sampler\.{changed.partition('=')[0]}: was .*, is now "):
        create_or_resume(StudyFolder(folder), make_spec(folder, 6, sampler=sampler, overrides=[f"sampler.{changed}"]))
