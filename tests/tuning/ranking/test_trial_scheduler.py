"""Trial schedulers against closed forms: what successive halving promotes, what a median stops."""

import random
import statistics

import pytest

from visiontune.spec.space.study_spec import Budget, Objective
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import GO, STOP, WAIT, Median, asha, none

BUDGET = Budget(num_trials=27, min_epochs=1, max_epochs=27, reduction_factor=3)
HIGHER = Objective("val_top1", "max")


class Counted(dict):
    """Counts what is looked up, one by one or in turn."""

    num = 0

    def __getitem__(self, key):
        self.num += 1
        return super().__getitem__(key)

    def items(self):
        self.num += len(self)
        return super().items()


def simulate(rule, curves, values, num_workers=1):
    """Successive halving with workers that take the rule's promotion first, then a new trial; returns epochs by trial."""
    epochs, waiting, todo = {}, set(), list(range(len(values)))
    rungs = BUDGET.rungs
    while True:
        number = rule.promotable(waiting)
        if number is None:
            if not todo:
                return epochs
            number = todo.pop(0)
        waiting.discard(number)
        for epoch in range(epochs.get(number, 0) + 1, rungs[-1] + 1):
            epochs[number] = epoch
            curves.record(number, epoch, values[number])
            if rule.decide(number, epoch) == WAIT:
                waiting.add(number)
                break


@pytest.mark.parametrize(
    ("first", "last", "eta", "rungs"),
    [(1, 27, 3, (1, 3, 9, 27)), (1, 243, 3, (1, 3, 9, 27, 81, 243)), (2, 128, 4, (2, 8, 32, 128)), (5, 5, 3, (5,))],
)
def test_rungs_are_exact_integers(first, last, eta, rungs):
    assert Budget(first, last, eta).rungs == rungs


def test_promotion_finds_the_best_and_counts_as_successive_halving():
    """Algorithm 2 of Li et al. 2020 on 27 trials and constant curves: at least 9, 3 and 1 get on, and the best to the end."""
    for seed in range(20):
        values = random.Random(seed).sample(range(1000), 27)
        curves = Curves(HIGHER)
        epochs = simulate(asha(curves, BUDGET, stop=False), curves, values)
        best = max(range(27), key=values.__getitem__)
        assert epochs[best] == 27
        assert [sum(e >= rung for e in epochs.values()) >= num for rung, num in ((1, 27), (3, 9), (9, 3), (27, 1))] == [True] * 4
        assert sum(e >= 3 for e in epochs.values()) <= 18


def test_promotion_prefers_the_highest_rung():
    curves = Curves(HIGHER)
    rule = asha(curves, BUDGET, stop=False)
    for number in range(6):
        curves.record(number, 1, number)
    for number in (3, 4, 5):
        curves.record(number, 3, number)
    assert rule.promotable({0, 1, 2, 3, 4, 5}) == 5
    assert rule.promotable({0, 1, 2, 3, 4}) is None


def test_the_best_of_few_waits_at_the_first_rung_alone():
    """By the paper's floor it would take 27 trials until one goes beyond epoch 9."""
    curves = Curves(HIGHER)
    assert simulate(asha(curves, BUDGET, stop=False), curves, [5, 9, 7, 1]) == {0: 1, 1: 27, 2: 1, 3: 1}
    curves = Curves(HIGHER)
    assert simulate(asha(curves, BUDGET, stop=False), curves, [5, 4, 3, 6, 7, 2])[4] == 27  # it passed the first to get there


def test_worse_is_better_when_minimised():
    curves = Curves(Objective("val_loss", "min"))
    rule = asha(curves, BUDGET, stop=False)
    for number, value in enumerate([0.3, 0.1, 0.2]):
        curves.record(number, 1, value)
    assert rule.promotable({0, 1, 2}) == 1


def test_stopping_kind_stops_for_good():
    curves = Curves(HIGHER)
    rule = asha(curves, BUDGET, stop=True)
    decisions = []
    for number, value in enumerate([5, 4, 3, 9, 1, 8]):
        curves.record(number, 1, value)
        decisions.append(rule.decide(number, 1))
    assert decisions == [GO, STOP, STOP, GO, STOP, GO]
    assert rule.decide(0, 2) == GO
    assert rule.promotable(set(range(6))) is None


def test_median_stops_what_is_below_the_median_of_running_means():
    """Running means of the others at epoch 2 are 1.5, 2.5, 3.5, 4.5: their median is 3."""
    curves = Curves(HIGHER)
    for number in range(4):
        curves.record(number, 1, number + 1.0)
        curves.record(number, 2, number + 2.0)
    rule = Median(curves, min_epochs=2)
    for number, value, expected in ((4, 2.9, STOP), (5, 3.1, GO)):
        curves.values.pop(4, None)
        curves.record(number, 1, 0.0)
        assert rule.decide(number, 1) == GO
        curves.record(number, 2, value)
        assert rule.decide(number, 2) == expected


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_median_is_that_of_all_others_whoever_was_decided_on(mode):
    """As statistics.median says, while trials report in any order, half of them without a decision, to one rule and to one made anew."""
    pick, curves = random.Random(0), Curves(Objective("val_loss", mode))
    rule = Median(curves, min_epochs=2)
    for _ in range(400):
        number = pick.randrange(40)
        epoch = max(curves.values.get(number, {}), default=0) + 1
        curves.record(number, epoch, pick.choice((0.5, pick.random())))
        if pick.random() < 0.5:
            others = [curve for one, curve in curves.values.items() if one != number and epoch in curve]
            means = [statistics.fmean(value for e, value in curve.items() if e <= epoch) for curve in others]
            best = (max if mode == "max" else min)(curves.values[number].values())
            is_worse = len(means) >= 4 and curves.objective.is_better(statistics.median(means), best)
            expected = STOP if is_worse and epoch >= 2 else GO
            assert [rule.decide(number, epoch), rule.decide(number, epoch), Median(curves, 2).decide(number, epoch)] == [expected] * 3


def test_deciding_by_the_median_takes_no_longer_with_more_trials():
    """Values that are looked up for one decision among 200 trials and among 2,000: all of them were, so that a search was quadratic."""
    looked_up = []
    for num in (200, 2000):
        curves = Curves(HIGHER)
        rule = Median(curves, 1)
        for number in range(num):
            curves.record(number, 1, number % 7)
            rule.decide(number, 1)
        curves.values = Counted(curves.values)
        curves.record(num, 1, 3.0)
        rule.decide(num, 1)
        looked_up.append(curves.values.num)
    assert looked_up[0] == looked_up[1]


def test_none_never_ends_anything():
    rule = none(Curves(HIGHER), BUDGET)
    assert {rule.decide(0, epoch) for epoch in range(1, 28)} == {GO}
