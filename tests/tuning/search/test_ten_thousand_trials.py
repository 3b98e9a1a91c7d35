"""What a search asks for with every report is kept in order, and is what sorting all trials anew would give."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest
from optuna.trial import TrialState, create_trial
from sample_study import row

from visiontune.spec.declarations.brackets import bracket_sizes, first_rung
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.proposals.known_lessons import MOST_LESSONS, KnownLessons
from visiontune.tuning.proposals.lessons import MOST_GOOD
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.ranked_trials import RankedTrials
from visiontune.tuning.ranking.ranking import best_of

STATES = ("running", "waiting", "complete", "pruned", "failed")
OBJECTIVES = [Objective("val_top1", "max"), Objective("val_loss", "min"), Objective("val_top1", "max", ("num_parameters",))]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_first_of_the_ranking_is_known_after_every_change(objective: Objective) -> None:
    pick, trials = random.Random(0), RankedTrials(objective)
    for _ in range(400):
        number, epoch = pick.randrange(30), pick.choice((0, 1, 3, 9))
        values = {epoch: pick.choice((0.5, pick.random()))} if epoch else {}
        trials[number] = replace(row(number, pick.choice(STATES), values, {}), costs={"num_parameters": pick.randrange(3)})
        for states in (STATES, ("complete",), ("running", "waiting")):
            found = best_of((one for one in trials.values() if one.state in states), objective)
            assert trials.best(states) == found
            own = best_of((one for one in trials.values() if one.state in states and one.number % 2), objective)
            assert trials.best(states, lambda one: one.number % 2 == 1) == own
        assert all(trials.counts[state] == sum(one.state == state for one in trials.values()) for state in STATES)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_who_is_promoted_is_the_best_of_those_that_wait(objective: Objective) -> None:
    pick, curves, waiting = random.Random(1), Curves(objective), set[int]()
    for _ in range(600):
        number = pick.randrange(60)
        curves.know_costs(number, {"num_parameters": float(number % 7)})
        done = max(curves.values.get(number, {}), default=0)
        if done < 9:
            curves.record(number, 1 if done == 0 else 3 * done, pick.choice((0.5, pick.random())))
        waiting = {one for one in curves.values if pick.random() < 0.6}
        for rung in (1, 3):
            best = curves.ranked(rung)[: len(curves.ranked(rung)) // 3]
            expected = next((one for one in best if one in waiting and max(curves.values[one]) == rung), None)
            assert curves.best_at(rung, 3, waiting) == expected


def test_who_is_promoted_of_a_bracket_is_the_best_of_its_own() -> None:
    """To look at all trials of a rung for each made Hyperband quadratic."""
    pick, sizes = random.Random(3), bracket_sizes(3, 3)
    curves = Curves(OBJECTIVES[0], brackets=sizes)
    for _ in range(900):
        number = pick.randrange(80)
        done = max(curves.values.get(number, {}), default=0)
        if done < 9:
            curves.record(number, 1 if done == 0 else 3 * done, pick.choice((0.5, pick.random())))
        waiting = {one for one in curves.values if pick.random() < 0.6}
        for rung, bracket in product((1, 3), range(3)):
            own = [one for one in curves.ranked(rung) if first_rung(one, sizes) == bracket]
            free = (one for one in own[: len(own) // 3] if one in waiting and max(curves.values[one]) == rung)
            assert curves.best_at(rung, 3, waiting, bracket) == next(free, None)
            assert [curves.rank(one, rung) for one in own] == [(place + 1, len(own)) for place in range(len(own))]


def test_a_sampler_is_given_the_good_the_newest_and_a_part_of_the_others() -> None:
    known, pick = KnownLessons(OBJECTIVES[0]), random.Random(2)
    latest: dict[int, float] = {}
    for number in [pick.randrange(4000) for _ in range(6000)]:
        latest[number] = pick.random()
        lesson = create_trial(value=latest[number], params={}, distributions={}) if number % 9 else create_trial(state=TrialState.PRUNED)
        lesson.number = number
        known.add(number, lesson)
        if len(latest) == MOST_LESSONS:
            assert [one.number for one in known.part()] == sorted(latest)
    with_values = [number for number in latest if number % 9]
    good = set(sorted(with_values, key=lambda number: -latest[number])[:MOST_GOOD])
    part = [one.number for one in known.part()]
    assert known.num_values == len(with_values) and len(latest) > 3000
    assert part == sorted(set(part)) and len(part) <= MOST_LESSONS and good <= set(part) and max(latest) in part
    assert 0.05 < sum(number % 9 == 0 for number in part) / len(part) < 0.2
