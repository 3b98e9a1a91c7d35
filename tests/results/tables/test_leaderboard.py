"""The leaderboard against counts made by hand from the same six trials."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from sample_study import RECIPE, RECORD, TRIALS, row
from scipy.stats import spearmanr

from visiontune.results.screens.text import recipe_line
from visiontune.results.tables import leaderboard as board


def test_rungs_and_failures_are_counted() -> None:
    assert board.passed(RECORD) == [(1, 5, 4), (3, 3, 2)]
    assert board.failures(RECORD) == {"diverged": 1, "infeasible": 1}
    assert board.rung_lines(RECORD)[-1] == "full budget of 9 epochs: 2 reached it"


def test_the_text_has_a_line_for_each_trial_shown_and_says_what_is_left_out() -> None:
    lines = board.leaderboard(RECORD, n=2).splitlines()
    assert lines[0] == "study digits: 6 of 6 trials: 2 complete, 2 pruned, 2 failed"
    assert lines[2].split()[:4] == ["2", "complete", "0.95", "9"]
    assert "lr=0.01" in lines[2] and "width=32" in lines[2]
    assert "... and 4 more" in lines
    assert "best: trial 2, val_top1 0.95 after 9 epochs" in lines


def test_rows_are_cut_only_where_a_width_is_given_and_the_best_recipe_never() -> None:
    lines = board.leaderboard(RECORD, width=40).splitlines()
    assert max(map(len, lines[1:8])) == 40
    assert lines[-1].strip() == recipe_line(RECIPE)
    assert max(map(len, board.leaderboard(RECORD).splitlines()[1:8])) > 60


def test_a_study_without_trials_and_one_without_a_value_can_be_shown() -> None:
    assert "no trials yet" in board.leaderboard(replace(RECORD, trials=(), best=None))
    text = board.leaderboard(replace(RECORD, trials=TRIALS[5:], best=None))
    assert "1 infeasible" in text and "best:" not in text
    proposed = replace(RECORD, trials=(replace(TRIALS[5], proposed_by="tpe: from 5 values"),), best=None)
    assert board.source_lines(proposed) == ["proposed by tpe: 1, none of them with a value"]


def test_params_that_all_share_are_left_out() -> None:
    same = tuple(replace(row, params={**row.params, "training.batch_size": 64}) for row in TRIALS)
    assert board.differing(same) == ["optimizer.lr", "model.name", "model.cnn.width"]


@pytest.mark.parametrize(
    ("keys", "short"),
    [
        (["optimizer.lr", "model.name", "optimizer.name"], ["lr", "model.name", "optimizer.name"]),
        (["augmentation.fixed.Affine.magnitude", "augmentation.fixed.GaussNoise.magnitude"], ["Affine.magnitude", "GaussNoise.magnitude"]),
        (["a.lr", "lr"], ["a.lr", "lr"]),
        (["optimizer.sgd.lr", "optimizer.adamw.lr", "optimizer.sgd.momentum"], ["sgd.lr", "adamw.lr", "momentum"]),
    ],
)
def test_short_names_stay_unique(keys: list[str], short: list[str]) -> None:
    assert list(board.short_names(keys).values()) == short


def test_json_is_strict_and_complete() -> None:
    read = json.loads(json.dumps(board.to_json(RECORD), allow_nan=False))
    assert read["best"] == 2 and len(read["trials"]) == 6
    diverged = next(trial for trial in read["trials"] if trial["number"] == 3)
    assert diverged["values"] == {"1": 0.3, "2": None} and diverged["kind"] == "diverged"
    assert read["rungs"][0] == {"epochs": 1, "num_reached": 5, "num_passed": 4}


def test_a_recipe_in_one_line_names_what_is_no_default() -> None:
    line = "cnn width=64 prelu | l2=0.0001 | sgd momentum=0.95 lr=0.1 | cosine warmup_epochs=1 | fixed Affine(0.5, 0.3)"
    assert recipe_line(RECIPE) == line + " | num_epochs=9"


@pytest.mark.parametrize(
    ("high", "said"), [([3, 1, 2, 4, 5, 6, 8, 7], "ranks agree by 0.90"), ([8, 7, 6, 5, 4, 3, 2, 1], "by -1.00: below one half")]
)
def test_rungs_say_how_far_their_rankings_agree(high: list[int], said: str) -> None:
    """Spearman by hand: 1 - 6 * sum of d^2 / (n (n^2 - 1)), with d^2 of 4, 1, 1, 0, 0, 0, 1, 1 in the first."""
    trials = tuple(row(n, "complete", {1: n / 10, 3: high[n] / 10, 9: 0.5}, {}) for n in range(8))
    lines = board.rung_lines(replace(RECORD, trials=trials))
    assert said in lines[0] and "of 8 that reached epoch 3 too" in lines[0]
    assert "agree" not in lines[1]  # all values are equal there
    assert "agree" not in board.rung_lines(replace(RECORD, trials=trials[:7]))[0]


def test_agreement_is_scipys_spearman() -> None:
    values = [(0.1, 0.5), (0.2, 0.5), (0.2, 0.1), (0.4, 0.9), (0.3, 0.9), (0.7, 0.9)]  # with ties
    trials = tuple(row(n, "complete", {1: low, 3: high, 9: 0.5}, {}) for n, (low, high) in enumerate(values))
    diverged = (row(6, "failed", {1: 0.6, 3: math.nan}, {}, "diverged"), row(7, "failed", {1: math.nan}, {}, "diverged"))
    for more in ((), diverged):  # which have no rank
        found, num = board.agreement(replace(RECORD, trials=(*diverged[: len(more)], *trials)), 1, 3)
        assert found == pytest.approx(spearmanr(*zip(*values, strict=True)).statistic) and num == 6
