"""Hyperband and PASHA beside ASHA: shares, compute and decisions against closed forms, definitions and uninterrupted runs."""

from __future__ import annotations

import itertools
import random
import statistics
from fractions import Fraction

import numpy as np
import pytest
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import passed, rung_lines
from visiontune.spec.declarations.brackets import bracket_sizes, first_rung, num_beginning
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.space.promotions import mean_epochs
from visiontune.spec.space.study_spec import Budget, Objective
from visiontune.tuning.proposals.lessons import counting_share
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.pasha import noise, pasha
from visiontune.tuning.ranking.trial_scheduler import GO, WAIT, Promotion, asha, hyperband
from visiontune.tuning.study.read_study import read_study

BUDGET = Budget(min_epochs=1, max_epochs=27, reduction_factor=3)
SIZES = bracket_sizes(4, 3)
HIGHER = Objective("val_top1", "max")


def test_one_trial_is_one_trial() -> None:
    curves = Curves(HIGHER)
    curves.record(0, 1, 0.5)
    assert curves.place(0, 1) == "at epoch 1 number 1 of the 1 trial that got there"


def simulate(make, values, budget=BUDGET):
    """Epochs by trial with one worker that takes the rule's promotion first, then a new trial; `values(number, epoch)`."""
    curves = Curves(HIGHER)
    rule = make(curves, budget)
    curves.brackets = getattr(rule, "brackets", (1,))
    epochs, waiting, todo = {}, set(), list(range(len(values)))
    while (number := rule.promotable(waiting)) is not None or todo:
        number = todo.pop(0) if number is None else number
        waiting.discard(number)
        for epoch in range(epochs.get(number, 0) + 1, budget.max_epochs + 1):
            epochs[number] = epoch
            curves.record(number, epoch, values[number](epoch))
            if (verdict := rule.decide(number, epoch)) != GO:
                waiting |= {number} if verdict == WAIT else set()
                break
    return epochs, rule


def constant(num, seed):
    return [lambda epoch, value=value: value for value in random.Random(seed).sample(range(10 * num), num)]


def plain_asha(curves, budget):
    return Promotion(curves, budget.rungs, budget.reduction_factor)


def plain_pasha(curves, budget):
    return pasha(curves, budget, percentile=90.0)


def test_brackets_are_those_of_the_paper():
    """Table 1 of Li et al. 2018: R = 81, eta = 3."""
    assert bracket_sizes(5, 3) == (81, 34, 15, 8, 5)
    assert SIZES == (27, 12, 6, 4)


@pytest.mark.parametrize("sizes", [SIZES, bracket_sizes(5, 3), bracket_sizes(3, 4), (1,)])
def test_trials_are_shared_among_brackets_at_any_time(sizes):
    """Whatever the number of trials, each bracket has its share of them to within one."""
    begun = [0] * len(sizes)
    for number in range(2 * sum(sizes)):
        begun[first_rung(number, sizes)] += 1
        assert begun == num_beginning(number + 1, sizes)
        assert all(abs(have - Fraction(size * (number + 1), sum(sizes))) <= 1 for have, size in zip(begun, sizes, strict=True))
    assert begun == [2 * size for size in sizes]


def test_a_trial_waits_from_the_rung_of_its_bracket_on():
    rule = hyperband(Curves(HIGHER), BUDGET)
    found = {first_rung(number, SIZES): rule.pauses(number) for number in range(49)}
    assert found == {0: (1, 3, 9), 1: (3, 9), 2: (9,), 3: ()}
    late = next(number for number in range(49) if first_rung(number, SIZES) == 2)
    assert [rule.decide(late, epoch) for epoch in (1, 3, 9, 27)] == [GO, GO, WAIT, GO]


@pytest.mark.parametrize("seed", range(5))
def test_each_bracket_is_an_asha_by_itself(seed):
    values = constant(98, seed)
    epochs, _ = simulate(hyperband, values)
    for bracket, rung in enumerate(BUDGET.rungs):
        members = [number for number in range(98) if first_rung(number, SIZES) == bracket]
        alone, _ = simulate(plain_asha, [values[number] for number in members], Budget(min_epochs=rung, max_epochs=27, reduction_factor=3))
        assert [epochs[number] for number in members] == [alone[place] for place in range(len(members))]


def test_the_forecast_of_brackets_is_what_they_take(tmp_path):
    """Halving, which knows all before it promotes one, takes 27 + 9 * 2 + 3 * 6 + 18, 12 * 3 + 4 * 6 + 18, 6 * 9 + 2 * 18 and 4 * 27."""
    spec = make_spec(tmp_path / "study", 49, scheduler="hyperband", overrides=["budget.max_epochs=27"])
    assert (spec.rungs, spec.brackets, counting_share(spec)) == ((1, 3, 9, 27), SIZES, Fraction(9 + 12 + 6 + 4, 49))
    spent = [sum(simulate(hyperband, constant(49, seed))[0].values()) for seed in range(20)]
    assert min(spent) >= 81 + 78 + 90 + 108
    assert sum(mean_epochs(num, spec.rungs[first:], 3) for first, num in enumerate(SIZES)) == pytest.approx(
        statistics.fmean(spent), rel=0.05
    )
    assert cost(spec).expected_epochs == pytest.approx(statistics.fmean(spent) + 26, rel=0.05)  # the defaults run straight through


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize(("num", "top"), [(3, 9), (10, 27), (24, 9), (100, 27), (60, 81)])
def test_the_forecast_is_what_promotion_takes(stop, num, top):
    """By the trial scheduler itself, on values in random order that no epoch changes."""
    budget = Budget(min_epochs=1, max_epochs=top, reduction_factor=3)
    spent = [sum(simulate(lambda *of: asha(*of, stop=stop), constant(num, seed), budget)[0].values()) for seed in range(60)]
    found = mean_epochs(num, budget.rungs, 3, at_least=1, can_wait=not stop)
    assert found == pytest.approx(statistics.fmean(spent), rel=0.1)


@pytest.mark.parametrize("name", ["hyperband", "pasha"])
def test_rungs_must_meet_the_full_budget(tmp_path, name):
    with pytest.raises(UserError, match=rf"{name} needs max_epochs = .*nearest max_epochs is 27 \(rungs 1, 3, 9, 27\)"):
        make_spec(tmp_path / "study", scheduler=name, overrides=["budget.max_epochs=26"])


def wobbling(recipe, epoch):
    """Rankings change with every epoch."""
    return random.Random(recipe.training["seed"] * 1000 + epoch).random()


def steady(recipe, epoch):
    """Rankings never change."""
    return (random.Random(recipe.training["seed"]).random() + 0.001 * epoch) / 2


@pytest.mark.parametrize(
    ("scheduler", "sampler", "value"),
    [("hyperband", "random", steady), ("hyperband", "tpe", wobbling), ("pasha", "random", wobbling), ("pasha", "tpe", steady)],
)  # any two of the three meet
def test_a_search_that_goes_on_decides_what_one_without_a_break_does(tmp_path, scheduler, sampler, value):
    def contents(folder):
        storage = drive(make_spec(folder, 40, sampler, scheduler), folder, value=value)[1]
        return [(t.params, t.intermediate_values, t.state, t.user_attrs["proposed_by"]) for t in storage.trials()]

    whole, folder = contents(tmp_path / "a" / "study"), tmp_path / "b" / "study"
    total = sum(len(values) for _, values, _, _ in whole)
    for share in (3, 2):
        left = [total // share]

        def stop_now(leg, epoch, found, left=left):
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt
            return report(leg, epoch, found)

        with pytest.raises(KeyboardInterrupt):
            drive(make_spec(folder, 40, sampler, scheduler), folder, value=value, answer=stop_now)
    assert contents(folder) == whole


def test_trials_of_a_later_bracket_do_not_count_at_rungs_that_they_run_through(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 40, "random", "hyperband"), folder, value=steady)
    study = read_study(StudyFolder(folder))
    sizes = bracket_sizes(3, 3)
    begun = num_beginning(40, sizes)
    assert next(reached for _, reached, _ in passed(study)) == begun[0]
    ends = [{t.epoch for t in study.trials if first_rung(t.number, sizes) == bracket} for bracket in range(3)]
    assert ends == [{1, 3, 9}, {3, 9}, {9}]
    waiting = [t for t in study.trials if t.state == "waiting"]
    assert {t.epoch for t in waiting} == {1, 3}
    assert all(f" of the {begun[0]} trials of its bracket that got there" in t.reason for t in waiting if t.epoch == 1)


def test_pasha_stays_low_while_rankings_agree_and_the_winner_is_trained_in_full(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 40, "random", "pasha", overrides=["budget.max_epochs=27"]), folder, value=steady)
    study = read_study(StudyFolder(folder))
    beyond = [trial.number for trial in study.trials if trial.epoch > 3]
    assert study.highest_rung == 3 and set(beyond) <= {0, study.best.number}
    assert study.best.epoch == 27 and study.best.value == max(t.values[27] for t in study.trials if 27 in t.values)
    assert "promoted up to 3 epochs: more did not change the ranking (pasha)" in rung_lines(study)


def test_pasha_is_asha_where_rankings_never_agree(tmp_path):
    found = []
    for scheduler in ("asha", "pasha"):
        folder = tmp_path / scheduler / "study"
        overrides = ["budget.max_epochs=27"] + ["trial_scheduler.percentile=0"] * (scheduler == "pasha")
        drive(make_spec(folder, 60, "random", scheduler, overrides=overrides), folder, value=wobbling)
        found.append(read_study(StudyFolder(folder)))
    spent = [sum(trial.epoch for trial in study.trials) for study in found]
    assert found[1].highest_rung > 3
    assert not any("pasha" in line for line in rung_lines(found[0]))
    assert spent[1] <= spent[0]


@pytest.mark.parametrize("seed", range(3))
def test_pasha_never_spends_more_than_asha_does(seed):
    draw = random.Random(seed)
    finals = [draw.random() for _ in range(60)]
    noises = [[draw.gauss(0, 0.05) for _ in range(28)] for _ in range(60)]
    curves = [lambda epoch, n=n: finals[n] * (1 - 0.5 / epoch) + noises[n][epoch] for n in range(60)]
    spent = {make: sum(simulate(make, curves)[0].values()) for make in (plain_asha, plain_pasha)}
    assert spent[plain_pasha] <= spent[plain_asha]


def test_the_highest_rung_rises_one_by_one_by_hand():
    """Three trials: the order at 3 is not that at 1, nobody swapped twice, so the rung of 9 opens; there it agrees with 3."""
    curves = Curves(HIGHER)
    rule = plain_pasha(curves, BUDGET)
    for number, values in enumerate([(0.1, 0.2, 0.5), (0.2, 0.3, 0.4), (0.3, 0.35, 0.3)]):
        for epoch, value in enumerate(values, 1):
            curves.record(number, epoch, value)
        assert rule.highest() == (3 if number == 0 else 9)
    assert rule.highest() == 9
    assert rule.promotable({0, 1, 2}) == 0
    for number, value in ((0, 0.7), (1, 0.6)):
        for epoch in range(4, 10):
            curves.record(number, epoch, value)
    assert rule.highest() == 9
    assert rule.promotable({0, 1, 2}) is None


def test_noise_is_the_percentile_of_differences_of_pairs_that_swapped_and_swapped_back():
    """Against the definition, pair by pair, and a case by hand: 1 and 2 swap back, 3 never does."""
    by_hand = np.array([[0.1, 0.4, 0.30], [0.2, 0.3, 0.35], [0.0, 0.0, 0.0]])
    assert noise(by_hand, 90.0) == pytest.approx(0.05)
    assert noise(by_hand[[0, 2]], 90.0) == 0.0
    for seed in range(5):
        curves = np.random.default_rng(seed).random((9, 5))
        differences = []
        for a, b in itertools.combinations(curves, 2):
            signs = [np.sign(x - y) for x, y in zip(a, b, strict=True)]
            back = any(signs[low] == signs[-1] != signs[mid] for mid in range(1, 4) for low in range(mid))
            differences += [abs(a[-1] - b[-1])] if back else []
        assert noise(curves, 80.0) == pytest.approx(np.percentile(differences, 80.0))


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_a_search_trains_about_as_much_as_was_forecast(name, tmp_path):
    trained = []
    for seed in range(3):
        folder = tmp_path / f"study{seed}"
        spec = make_spec(folder, 20, sampler="random", num_seeds=0, overrides=[f"trial_scheduler.name={name}", f"sampler.seed={seed}"])
        drive(spec, folder)
        trained.append(sum(trial.epoch for trial in read_study(StudyFolder(folder)).trials))
    assert 0.75 < cost(spec).expected_epochs / statistics.mean(trained) < 1.25
