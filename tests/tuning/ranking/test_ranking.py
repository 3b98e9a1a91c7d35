"""The one ranking against orders made by hand; leaderboard, best and winner are its first."""

from __future__ import annotations

import math
from dataclasses import replace

from sample_study import RECORD, TRIALS, row

from visiontune.results.tables.leaderboard import leaderboard, to_json
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.ranking.ranking import best_of, ranked

HIGHER = Objective("val_top1", "max")


def order(trials: object, objective: Objective = HIGHER) -> list[int]:
    return [trial.number for trial in ranked(trials, objective)]  # type: ignore[arg-type]


def test_a_lucky_first_epoch_never_stands_above_a_full_budget() -> None:
    assert order(TRIALS) == [2, 0, 4, 1, 3, 5]


def test_min_turns_the_order_within_one_epoch() -> None:
    assert order(TRIALS, Objective("val_loss", "min")) == [0, 2, 4, 1, 3, 5]


def test_an_early_stopped_winner_stands_above_what_it_beats_everywhere() -> None:
    """It ran its recipe to the end, after 4 epochs; those of 9 epochs are no further."""
    early = row(6, "complete", {1: 0.5, 4: 0.97}, {"optimizer.lr": 0.02})
    trials = (*TRIALS, early)
    best = best_of(trials, HIGHER)
    assert best is not None and best.number == order(trials)[0] == 6
    record = replace(RECORD, trials=trials, best=best)
    assert leaderboard(record).splitlines()[2].split()[0] == "6" and to_json(record)["trials"][0]["number"] == 6


def test_of_equals_the_older_is_first_and_what_has_no_finite_value_is_never_best() -> None:
    twins = [row(number, "complete", {9: 0.5}, {}) for number in (3, 1, 2)]
    assert order(twins) == [1, 2, 3]
    lost = [row(0, "running", {1: math.nan}, {}), row(1, "running", {}, {}), row(2, "failed", {1: 0.9}, {})]
    assert best_of(lost, HIGHER) is None and order([*lost, row(3, "pruned", {1: 0.1}, {})])[0] == 3
