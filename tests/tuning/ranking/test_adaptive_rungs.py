"""The lowest rung that rises where it misleads: against SciPy, where first epochs say the contrary of the last, and by hand."""

from __future__ import annotations

import random
import statistics

import numpy as np
import pytest
from scipy.stats import spearmanr
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import rung_lines
from visiontune.spec.space.study_spec import Budget, Objective
from visiontune.tuning.ranking.adaptive_rungs import adaptive_rungs, agreement
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import WAIT, asha
from visiontune.tuning.study.read_study import read_study

BUDGET = Budget(min_epochs=1, max_epochs=27, reduction_factor=3)
HIGHER = Objective("val_top1", "max")
LAST = ["budget.max_epochs=27"]


def misleading(recipe, epoch):
    """The better a trial ends, the worse it begins."""
    final = random.Random(recipe.training["seed"]).random()
    return final if epoch > 1 else 1 - final


def steady(recipe, epoch):
    return random.Random(recipe.training["seed"]).random()


def curves_of(low_N, high_N, passed):
    curves = Curves(HIGHER)
    for number, value in enumerate(low_N):
        curves.record(number, 1, float(value))
        if number in passed:
            curves.record(number, 3, float(high_N[number]))
    return curves


@pytest.mark.parametrize("rho", [-0.5, 0.2, 0.8])
def test_agreement_is_that_of_all_trials_where_only_the_best_and_a_few_others_went_on(rho):
    """Spearman's by SciPy; over those that went on alone it is nearer to 0."""
    rng, found, plain = np.random.default_rng(1), [], []
    for _ in range(40):
        low_N, high_N = rng.multivariate_normal((0, 0), ((1, rho), (rho, 1)), 150).T
        whole = spearmanr(low_N, high_N)[0]
        assert agreement(curves_of(low_N, high_N, range(150)), 1, 3, 3)[0] == pytest.approx(whole)
        best = set(np.argsort(-low_N)[:50].tolist())
        on = sorted(best | {number for number in range(150) if rng.random() < 0.1})
        found.append(agreement(curves_of(low_N, high_N, on), 1, 3, 3)[0] - whole)
        plain.append(spearmanr(low_N[on], high_N[on])[0] - whole)
    assert abs(statistics.fmean(found)) < 0.04 < abs(statistics.fmean(plain))


def searched(make, values):
    """Epochs by trial with one worker; `values` are functions of the epoch."""
    curves, epochs, waiting, todo = Curves(HIGHER), {}, set(), list(range(len(values)))
    rule = make(curves)
    while (number := rule.promotable(waiting)) is not None or todo:
        number = todo.pop(0) if number is None else number
        waiting.discard(number)
        for epoch in range(epochs.get(number, 0) + 1, 28):
            epochs[number] = epoch
            curves.record(number, epoch, values[number](epoch))
            if rule.decide(number, epoch) == WAIT:
                waiting.add(number)
                break
    return epochs


def test_a_search_whose_first_rung_misleads_is_saved_and_any_other_pays_little():
    """The best of 100 random orders gets the full budget; ASHA's does in none. A steady one pays next to nothing."""
    spent, saved = {True: 0, False: 0}, {True: 0, False: 0}
    for seed in range(10):
        finals = random.Random(seed).sample(range(1000), 100)
        best = finals.index(max(finals))
        for is_adaptive, make in (
            (True, lambda curves: adaptive_rungs(curves, BUDGET, 10, 0.5)),
            (False, lambda c: asha(c, BUDGET, stop=False)),
        ):
            spent[is_adaptive] += sum(searched(make, [lambda epoch, final=final: final for final in finals]).values())
            turned = [lambda epoch, final=final: final if epoch > 1 else -final for final in finals]
            saved[is_adaptive] += searched(make, turned)[best] == 27
    assert saved == {True: 10, False: 0}
    assert spent[True] <= 1.02 * spent[False]


@pytest.mark.heavy
def test_show_says_from_where_on_trials_are_compared(tmp_path):
    for value, said in (
        (misleading, ["compared from 3 epochs on: ranks before say too little of those after (adaptive_rungs)"]),
        (steady, []),
    ):
        folder = tmp_path / value.__name__ / "study"
        run = drive(make_spec(folder, 40, "random", "adaptive_rungs", overrides=LAST), folder, value=value)[0]
        found = read_study(StudyFolder(folder))
        assert [line for line in rung_lines(found) if line.startswith("compared")] == said
        assert found.lowest_rung == run.snapshot().lowest_rung == (3 if said else 1)


@pytest.mark.heavy
def test_a_search_that_goes_on_decides_what_one_without_a_break_does(tmp_path):
    def contents(folder, **more):
        storage = drive(make_spec(folder, 40, "tpe", "adaptive_rungs", overrides=LAST), folder, value=misleading, **more)[1]
        return [(t.params, t.intermediate_values, t.state, t.user_attrs["proposed_by"]) for t in storage.trials()]

    whole, folder, left = contents(tmp_path / "a" / "study"), tmp_path / "b" / "study", [90]

    def stop_now(leg, epoch, found):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return report(leg, epoch, found)

    with pytest.raises(KeyboardInterrupt):
        contents(folder, answer=stop_now)
    assert contents(folder) == whole


def test_a_rung_is_back_once_its_ranks_agree():
    """Twelve trials from worst to best: first they end in the contrary order, then a hundred in the same."""
    values_N = np.arange(12.0)
    curves = curves_of(values_N, -values_N, range(12))
    rule = adaptive_rungs(curves, Budget(1, 9, 3), random_every=10, min_agreement=0.5)
    assert rule.lowest() == 3 and rule.promotable({11}) is None
    curves.record(12, 1, 0.5)
    assert rule.promotable({12}) == 12  # runs through
    for number in range(13, 113):
        curves.record(number, 1, float(number))
        curves.record(number, 3, float(number))
    assert rule.lowest() == 1 and rule.promotable({12}) is None


def test_all_that_the_rule_takes_is_checked(tmp_path):
    with pytest.raises(UserError, match=r"trial_scheduler.random_every.* 1"):
        make_spec(tmp_path / "study", scheduler="adaptive_rungs", overrides=["trial_scheduler.random_every=1"])
