"""Portfolios against examples by hand, against every subset of small cases, and against SciPy's ranks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import rankdata

from visiontune.tuning.proposals.portfolio import greedy_portfolio, normalised_ranks

NAN = float("nan")


def mean_best(ranks_TN: np.ndarray, chosen: tuple[int, ...]) -> float:
    """What a portfolio is judged by."""
    return float(ranks_TN[:, list(chosen)].min(1).mean())


def test_the_all_rounder_comes_first_then_who_helps_where_it_is_bad() -> None:
    """Recipe 1 has the best mean (0.3); then task 2 gains 0.6 by recipe 2, tasks 0 and 1 gain 0.2 by recipe 0."""
    ranks = np.array(
        [
            [0.0, 0.1, 0.9, 0.2],
            [0.1, 0.2, 0.9, 0.2],
            [1.0, 0.6, 0.0, 0.6],
        ]
    )
    assert greedy_portfolio(ranks, 1) == [1]
    assert greedy_portfolio(ranks, 3) == [1, 2, 0]
    assert greedy_portfolio(ranks, 9) == [1, 2, 0, 3]


def test_one_task_gives_its_best_recipes_in_order() -> None:
    """The second adds nothing to the first there: then the better one by itself is next."""
    assert greedy_portfolio(np.array([[0.75, 0.0, 0.25, 0.5, 1.0]]), 4) == [1, 2, 3, 0]


def test_of_equals_the_first_comes_first_whatever_the_order_of_tasks() -> None:
    ranks = np.array([[0.1, 0.3, 0.2], [0.2, 0.1, 0.3], [0.3, 0.2, 0.1]])
    for order in itertools.permutations(range(3)):
        assert greedy_portfolio(ranks[list(order)], 1) == [0]


def test_what_was_not_tried_counts_as_the_worst_and_a_task_without_ranks_not_at_all() -> None:
    ranks = np.array([[0.0, 0.4], [NAN, 0.5], [NAN, NAN]])
    assert greedy_portfolio(ranks, 2) == greedy_portfolio(np.array([[0.0, 0.4], [0.5, 0.5]]), 2) == [0, 1]


@pytest.mark.parametrize("shape", [(0, 3), (3,)])
def test_no_task_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        greedy_portfolio(np.zeros(shape), 1)


@pytest.mark.parametrize("seed", range(20))
def test_greedy_against_every_subset(seed: int) -> None:
    """Each step is the best extension there is; one recipe is the best one; the whole saves (1 - 1/e) of what any portfolio saves."""
    ranks_TN = normalised_ranks(np.random.default_rng(seed).integers(0, 6, (4, 7)).astype(float))
    chosen = tuple(greedy_portfolio(ranks_TN, 3))
    for k in range(3):
        extensions = [mean_best(ranks_TN, (*chosen[:k], other)) for other in range(7) if other not in chosen[:k]]
        assert mean_best(ranks_TN, chosen[: k + 1]) == pytest.approx(min(extensions))
    best = min(mean_best(ranks_TN, subset) for subset in itertools.combinations(range(7), 3))
    assert 1 - mean_best(ranks_TN, chosen) >= (1 - 1 / np.e) * (1 - best) - 1e-12


def test_ranks_against_scipy() -> None:
    """Ties share the rank of the best of them; NaN has none."""
    values_TN = np.random.default_rng(0).integers(0, 9, (5, 12)).astype(float)
    assert np.allclose(normalised_ranks(values_TN), (rankdata(-values_TN, "min", axis=1) - 1) / 11)
    assert np.array_equal(
        normalised_ranks(np.array([[NAN, 3.0, 5.0, 1.0], [NAN, NAN, 2.0, NAN]])), [[NAN, 0.5, 0, 1], [NAN, NAN, 0, NAN]], True
    )


@pytest.mark.parametrize("seed", range(5))
def test_accuracies_and_losses_choose_the_same(seed: int) -> None:
    """The better end is the same end in both: choosing by losses as if they were accuracies is a known mistake of others."""
    top1_TN = np.random.default_rng(seed).random((3, 8))
    loss_TN = 1 - top1_TN
    by_loss = greedy_portfolio(normalised_ranks(-loss_TN), 4)
    assert by_loss == greedy_portfolio(normalised_ranks(top1_TN), 4)
    assert mean_best(-top1_TN, tuple(by_loss)) == pytest.approx(-top1_TN.max(1).mean(), abs=0.1)
