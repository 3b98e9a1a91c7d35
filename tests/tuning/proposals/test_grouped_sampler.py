"""Params under branches are learnt about: a model for each group of params that exist together."""

from __future__ import annotations

import math
import statistics

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from simulated_search import drive, make_spec, report

from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.space.space import Space
from visiontune.tuning.proposals.grouped_sampler import groups_of, numbers_of

BRANCHES = """{choice: {
    sgd: {momentum: {float: [0.0, 0.99]}, weight_decay: {float: [0.0, 0.9]}},
    adamw: {beta1: {float: [0.5, 0.99]}}}}"""
PLACE = {"optimizer.sgd.momentum": 0.9, "optimizer.sgd.weight_decay": 0.2, "optimizer.adamw.beta1": 0.6}
WIDTH = {"optimizer.sgd.momentum": 0.99, "optimizer.sgd.weight_decay": 0.9, "optimizer.adamw.beta1": 0.49}
"""Where the optimum lies in each branch, and the width of each range."""


def spec_of(folder, sampler, num_trials, **settings):
    overrides = [f"space.optimizer.name={BRANCHES}", "space.optimizer.lr=0.01", "space.model.name=lenet5"]
    return make_spec(folder, num_trials, sampler, "none", overrides=[*overrides, *(f"sampler.{k}={v}" for k, v in settings.items())])


def value(recipe, epoch):
    """A bowl in each branch."""
    optimizer = recipe.optimizer
    off = (
        [(optimizer["momentum"] - 0.9) / 0.99, (optimizer["weight_decay"] - 0.2) / 0.9]
        if optimizer["name"] == "sgd"
        else [(optimizer["beta1"] - 0.6) / 0.49]
    )
    return 1.0 - sum(d**2 for d in off)


def off_in_branches(folder, sampler, seed, num_slots=2):
    """How far from the optimum the later proposals' params under branches are, in widths of their ranges."""
    _, storage, _ = drive(spec_of(folder, sampler, 48, seed=seed), folder, num_slots=num_slots, value=value)
    late = [t for t in storage.trials()[24:] if not t.user_attrs["proposed_by"].startswith("random: one in")]
    return statistics.fmean(abs(t.params[name] - at) / WIDTH[name] for t in late for name, at in PLACE.items() if name in t.params)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """The same for proposals at random, with two seeds."""
    return statistics.fmean(off_in_branches(tmp_path_factory.mktemp("drawn") / "study", "random", seed) for seed in range(2))


@pytest.mark.heavy
@pytest.mark.parametrize(("sampler", "share"), [("gp", 0.6), ("cmaes", 0.6), ("nsga2", 0.9)])
def test_proposals_in_branches_come_nearer_to_the_optimum_than_draws(tmp_path, drawn, sampler, share):
    assert statistics.fmean(off_in_branches(tmp_path / f"m{seed}", sampler, seed) for seed in range(2)) < share * drawn


@pytest.mark.heavy
def test_a_gaussian_process_is_not_led_astray_by_trials_on_workers(tmp_path):
    """Optuna's own way with them proposed as chance would."""
    drawn = off_in_branches(tmp_path / "r", "random", 0, num_slots=4)
    assert off_in_branches(tmp_path / "m", "gp", 0, num_slots=4) < 0.6 * drawn


@pytest.mark.parametrize("sampler", [pytest.param("gp", marks=pytest.mark.heavy), "cmaes", pytest.param("nsga2", marks=pytest.mark.heavy)])
def test_an_interrupted_study_becomes_the_one_that_was_not(tmp_path, sampler):
    """CMA-ES too, whose distribution is made again out of its generations: no pickle is in the storage."""

    def params(folder):
        return [t.params for t in drive(spec_of(folder, sampler, 30), folder, value=value)[1].trials()]

    whole, reported = params(tmp_path / "a" / "study"), 0

    def stop_now(leg, epoch, value):
        nonlocal reported
        reported += 1
        if reported == 9 * 22 + 4:
            raise KeyboardInterrupt
        return report(leg, epoch, value)

    folder = tmp_path / "b" / "study"
    with pytest.raises(KeyboardInterrupt):
        drive(spec_of(folder, sampler, 30), folder, value=value, answer=stop_now)
    assert params(folder) == whole
    assert b"cma:optimizer" not in (folder / "study.journal").read_bytes()


def test_cmaes_moves_on_by_a_generation_with_each_full_one(tmp_path):
    folder = tmp_path / "study"
    spec = make_spec(
        folder,
        40,
        "cmaes",
        "none",
        overrides=["sampler.population=6", "space.model={name: lenet5, dropout: {float: [0, 0.5]}}", "sampler.sigma0=0.05"],
    )
    _, storage, _ = drive(spec, folder, value=lambda recipe, epoch: -abs(math.log10(recipe.optimizer["lr"]) + 1))
    trials = storage.trials()[1:]
    assert [t.system_attrs["cma:generation"] for t in trials] == sorted(k // 6 for k in range(39))
    first = [math.log10(t.params["optimizer.lr"]) for t in trials[:6]]
    assert statistics.fmean(first) == pytest.approx(-2, abs=0.2) and statistics.pstdev(first) < 0.4
    assert statistics.fmean(math.log10(t.params["optimizer.lr"]) for t in trials[-6:]) > -1.6


def test_children_without_crossover_and_mutation_are_their_parents(tmp_path):
    settings = {"population": 4, "crossover_probability": 0.0}
    for mutation, num_known in ((0.0, 16), (1.0, 0)):
        folder = tmp_path / f"mutation_{mutation}"
        spec = make_spec(
            folder, 21, "nsga2", "none", overrides=[f"sampler.{k}={v}" for k, v in {**settings, "mutation_probability": mutation}.items()]
        )
        rates = [t.params["optimizer.lr"] for t in drive(spec, folder, value=lambda recipe, epoch: 0.5)[1].trials()]
        assert sum(rate in rates[1:5] for rate in rates[5:]) == num_known


def test_groups_are_params_under_the_same_choices():
    space = Space(
        {
            "model": {"name": Choice(("cnn", "lenet5"), {"cnn": {"depth": Int(1, 3), "kind": Choice((1, 2))}, "lenet5": {}})},
            "optimizer": {"lr": Float(1e-4, 1.0, log=True)},
        }
    )
    top, cnn = groups_of(space)
    assert (top.key, [*top.distributions]) == ("", ["model.name", "optimizer.lr"])
    assert (cnn.key, [*cnn.distributions]) == ("model.name=cnn", ["model.cnn.depth", "model.cnn.kind"])
    assert [[*group.distributions] for group in numbers_of([top, cnn])] == [["optimizer.lr"], ["model.cnn.depth"]]
    trial = optuna.create_study().ask()
    space.resolve(trial)
    told = {**top.distributions, **cnn.distributions}
    assert all(told[name] == distribution for name, distribution in trial.distributions.items())
    assert {type(d) for d in told.values()} == {CategoricalDistribution, FloatDistribution, IntDistribution}
