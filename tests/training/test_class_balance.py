"""Orders of an epoch and weights of classes, against counting, scikit-learn and the papers' formulas."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from timm.data.distributed_sampler import RepeatAugSampler as RASampler
from tiny import make_recipe, make_store

from visiontune.training.class_balance import build_order, class_weights, problem_of_copies
from visiontune.training.input.epoch_order import copies, shuffled
from visiontune.training.loop import train

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [100, 40, 9, 1])).astype(np.int64)
COUNTS = np.bincount(LABELS)


def order(name: str, epoch: int = 1, seed: int = 0, labels_N: Any = LABELS, **args: Any) -> Any:
    balance = {"name": name, "class_weights": "none", "strength": 1.0, **args}
    return build_order(balance, labels_N, 4)(seed, epoch)


def weights(name: str, labels_N: Any = LABELS, **args: Any) -> Any:
    found = class_weights({"name": "none", "class_weights": name, "class_beta": 0.999, **args}, labels_N, 4)
    return None if found is None else found.double().numpy()


def test_without_balance_the_order_is_the_shuffle() -> None:
    assert np.array_equal(order("none", epoch=3, seed=7), shuffled(len(LABELS), 7, 3))


@pytest.mark.parametrize("num_copies", [2, 3])
def test_repeated_augmentation_shows_what_timms_sampler_shows(num_copies: int) -> None:
    """The same pictures equally often, for an epoch of the same length, in batches in which copies meet."""
    labels_N = np.zeros(768, np.int64)
    ours = build_order({"name": "none"}, labels_N, 1, num_copies)(0, 1)
    sampler = RASampler(range(768), num_replicas=1, rank=0, num_repeats=num_copies)
    theirs = np.array(list(sampler))
    assert len(ours) == len(theirs) == 768
    assert Counter(Counter(ours.tolist()).values()) == Counter(Counter(theirs.tolist()).values())
    assert np.array_equal(ours[::num_copies][:10], shuffled(768, 0, 1)[:10])
    # By copies augmentation has its keys, so none is the same picture again.
    assert set(copies(ours).tolist()) == {*range(num_copies)}


def test_copies_need_a_policy_that_makes_them_differ() -> None:
    assert problem_of_copies(1, ["none"]) is problem_of_copies(3, ["none", "trivialaugment"]) is None
    assert "needs an augmentation policy" in str(problem_of_copies(3, ["none"]))


@pytest.mark.parametrize("name", ["none", "balanced", "oversample"])
def test_an_order_is_a_function_of_its_key_and_always_of_one_length(name: str) -> None:
    orders = {(seed, epoch): tuple(order(name, epoch, seed)) for seed in (0, 1) for epoch in (1, 2)}
    np.random.seed(5)
    assert orders[0, 1] == tuple(order(name, 1, 0))
    assert len(set(orders.values())) == 4 and len({len(one) for one in orders.values()}) == 1


@pytest.mark.parametrize("batch_size", [4, 8, 20])
def test_every_balanced_batch_has_all_classes_equally_often(batch_size: int) -> None:
    order_N = order("balanced")
    assert len(order_N) == len(LABELS)
    for low in range(0, len(order_N) - batch_size + 1, batch_size):
        assert np.bincount(LABELS[order_N[low : low + batch_size]], minlength=4).tolist() == [batch_size // 4] * 4


@pytest.mark.parametrize("batch_size", [3, 7, 50])
def test_other_batch_sizes_come_close(batch_size: int) -> None:
    order_N = order("balanced")
    for low in range(len(order_N) - batch_size + 1):
        counts = np.bincount(LABELS[order_N[low : low + batch_size]], minlength=4)
        assert counts.max() - counts.min() <= 2


def test_balanced_shows_the_pictures_of_a_class_equally_often_and_all_of_them_in_time() -> None:
    for k, count in enumerate(COUNTS):
        rows = np.flatnonzero(k == LABELS)
        seen = Counter(row for row in order("balanced").tolist() if LABELS[row] == k)
        assert max(seen.values()) - min(seen[row] for row in rows.tolist()) <= 1
        later = {row for epoch in range(1, 20) for row in order("balanced", epoch).tolist() if LABELS[row] == k}
        assert len(later) == count


def test_balanced_classes_do_not_come_in_a_fixed_sequence() -> None:
    runs = LABELS[order("balanced")][:148].reshape(-1, 4)
    assert len({tuple(run) for run in runs}) > 10


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_oversampling_keeps_every_picture_and_fills_the_gap(strength: float) -> None:
    order_N = order("oversample", strength=strength)
    assert set(order_N.tolist()) == set(range(len(LABELS)))
    expected = [count + round(strength * (100 - count)) for count in COUNTS.tolist()]
    assert np.bincount(LABELS[order_N]).tolist() == expected
    for k in range(4):
        times = Counter(row for row in order_N.tolist() if LABELS[row] == k).values()
        assert max(times) - min(times) <= 1
    if strength == 0:
        assert np.array_equal(order_N, order("none"))


@pytest.mark.parametrize("name", ["none", "balanced", "oversample"])
def test_a_class_without_training_pictures_is_no_obstacle(name: str) -> None:
    labels_N = LABELS[LABELS != 2]
    assert set(labels_N[order(name, labels_N=labels_N)].tolist()) == {0, 1, 3}


def test_inverse_frequency_is_scikit_learns_balanced() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(4), y=LABELS)
    assert weights("none") is None
    assert np.allclose(weights("inverse_frequency"), expected, rtol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99, 0.9999])
def test_effective_numbers_are_the_papers(beta: float) -> None:
    """Eq. 2 of Cui et al. 2019: n different pictures of which each next one is new with a smaller chance."""
    effective = [sum(beta**j for j in range(count)) for count in COUNTS.tolist()]
    weight_K = weights("effective_number", class_beta=beta)
    ratios = weight_K * effective
    assert np.allclose(ratios, ratios[0], rtol=1e-5)


def test_the_ends_of_beta() -> None:
    assert np.allclose(weights("effective_number", class_beta=0.0), 1)
    assert np.allclose(weights("effective_number", class_beta=0.999999), weights("inverse_frequency"), rtol=1e-3)


@pytest.mark.parametrize("name", ["inverse_frequency", "effective_number"])
def test_weights_have_mean_1_over_the_pictures(name: str) -> None:
    assert weights(name)[LABELS].mean() == pytest.approx(1, rel=1e-6)
    labels_N = LABELS[LABELS != 2]
    assert weights(name, labels_N)[labels_N].mean() == pytest.approx(1, rel=1e-6) and weights(name, labels_N)[2] == 0


AUGMENTED = {"policy": "fixed", "Affine": {"probability": 0.9, "magnitude": 0.4}}
SECTIONS: dict[str, dict[str, Any]] = {
    "oversampled": {"balance": {"name": "oversample"}, "preprocessing": {"name": "zca"}},
    "balanced": {"balance": {"name": "balanced"}, "preprocessing": {"colour": "rgb"}},
    "weighted": {"balance": {"class_weights": "effective_number"}, "loss": {"name": "focal", "label_smoothing": 0.1}},
}


@pytest.mark.parametrize("name", SECTIONS)
def test_a_run_on_few_pictures_of_a_class_resumes_to_the_last_bit(name: str) -> None:
    """Copies of a picture, their augmentation, orders and weights are all a function of the recipe."""
    whole = make_store(num=120, size=8)
    rare = whole.labels_N[whole.train_idx] == 2
    store = replace(whole, train_idx=np.concatenate([whole.train_idx[~rare], whole.train_idx[rare][:3]]))
    recipe = make_recipe(sections=SECTIONS[name], augmentation=AUGMENTED, num_epochs=3, use_full_metrics=True)
    epochs = [(epoch.metrics, {key: tensor.clone() for key, tensor in epoch.model.state_dict().items()}) for epoch in train(recipe, store)]
    first = next(train(recipe, store))
    *_, last = train(recipe, store, resume=copy.deepcopy(first.state()))
    figures, weights = epochs[-1]
    times = {"epoch_s": 0, "data_wait_share": 0}
    assert {**last.metrics, **times} == {**figures, **times} and "val_macro_recall" in figures
    assert all(torch.equal(tensor, weights[key]) for key, tensor in last.model.state_dict().items())
