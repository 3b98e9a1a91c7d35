"""The race for the winner: its probabilities against the t distribution, and who is trained next."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from visiontune.tuning.ranking.race import Runner, leader, next_runners, probabilities


def test_of_two_it_is_the_paired_t_test() -> None:
    """The noise is that of all differences, the search's too, the mean that of the fresh seeds."""
    first, second = [0.91, 0.93, 0.92, 0.95], [0.90, 0.94, 0.90, 0.93]
    runners = [Runner(one[0], dict(enumerate(one[1:]))) for one in (first, second)]
    differences = np.subtract(first, second)
    fresh = differences[1:]
    expected = stats.t.cdf(fresh.mean() / (differences.std(ddof=1) / np.sqrt(len(fresh))), len(fresh))
    assert probabilities(runners)[0] == pytest.approx(expected, abs=0.02)  # 4,000 draws
    assert sum(probabilities(runners)) == pytest.approx(1.0)


def test_recipes_that_are_equal_in_every_value_are_equally_likely() -> None:
    """As on a small validation split: nothing is left over to measure noise by, and the first of them was sure to be the best."""
    same = Runner(1.0, {0: 1.0, 1: 0.9})
    assert probabilities([same, same, Runner(0.9, {0: 0.9, 1: 0.8})]) == pytest.approx([0.5, 0.5, 0.0])
    assert next_runners([same, same], 3) == [0, 1]


def test_what_a_seed_does_to_all_is_taken_off() -> None:
    """The third has the lowest mean of its own values, as it alone has the hard seed; beside the others it is ahead."""
    easy, hard = 0.9, 0.7
    runners = [Runner(0.9, {0: easy, 1: hard}), Runner(0.9, {0: easy - 0.01, 1: hard - 0.02}), Runner(0.9, {1: hard + 0.05})]
    assert leader(runners) == 2


def test_seeds_go_where_the_order_is_open() -> None:
    """All have a first seed; then the two that are close, and of the third, far behind, no more; at last only the winner's own."""
    assert next_runners([Runner(value, {}) for value in (0.96, 0.95, 0.95)], 3) == [0, 1, 2]
    close = [Runner(0.961, {0: 0.95}), Runner(0.96, {0: 0.951}), Runner(0.90, {0: 0.89})]
    assert next_runners(close, 3) == [1, 0]
    assert next_runners([Runner(0.96, {0: 0.95}), Runner(0.9, {0: 0.89, 1: 0.9})], 3) == [0]
    assert next_runners([Runner(0.9, {0: 0.9, 1: 0.9}), Runner(0.9, {0: 0.7})], 2) == []


def test_whoever_fails_on_a_seed_does_not_win() -> None:
    runners = [Runner(0.9, {0: 0.95}, failed=(1,)), Runner(0.9, {0: 0.8, 1: 0.8})]
    assert leader(runners) == 1 and probabilities(runners) == [0.0, 1.0]
    assert next_runners(runners, 3) == [1]
    assert next_runners([Runner(0.9, {}, failed=(0,)), Runner(0.9, {}, failed=(0,))], 3) == [0]


def test_where_all_have_failed_who_shares_no_seed_is_not_compared() -> None:
    """Of the others it is not known what the seed did."""
    runners = [Runner(0.9, {1: 0.9, 2: 0.8}, failed=(0,)), Runner(0.9, {0: 0.99}, failed=(1,)), Runner(0.9, {2: 0.85}, failed=(0,))]
    assert leader(runners) == 2 and probabilities(runners)[1] == 0.0


def test_recipes_of_a_front_that_have_no_seed_in_common_yet_are_not_compared() -> None:
    """Each waits for none of the others' seeds: of the one nobody knows what the other's seed did."""
    apart = [Runner(0.9, {1: 0.7}, (0,)), Runner(0.8, {0: 0.8}, (1,))]
    assert leader(apart) == 0 and probabilities(apart) == [1.0, 0.0]
    assert leader([*apart, Runner(0.8, {0: 0.7, 1: 0.75})]) == 1
