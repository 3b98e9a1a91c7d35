"""Checks of pictures and labels: scikit-learn's own figures, and faults that are planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny import make_store

from visiontune.data.store.store import Store
from visiontune.training.checks.data_checks import class_counts, dummy_score, near_repeats, neighbour_score, repeats, split_names
from visiontune.training.checks.nearest_pictures import Neighbours, find_neighbours, thumbnails

STORE = make_store(num=300)


def with_pictures(store: Store, **changed: np.ndarray) -> Store:
    """The store with pictures by row, such as row12=picture."""
    images_NHWC = store.images_NHWC.copy()
    for row, picture in changed.items():
        images_NHWC[int(row.removeprefix("row"))] = picture
    return replace(store, images_NHWC=images_NHWC)


def imbalanced(num_rare: int) -> Store:
    """Of the first class only so many training pictures."""
    rare = STORE.train_idx[STORE.labels_N[STORE.train_idx] == 0]
    return replace(STORE, train_idx=np.setdiff1d(STORE.train_idx, rare[num_rare:]))


def test_the_dummys_score_is_that_of_scikit_learn() -> None:
    from sklearn.dummy import DummyClassifier

    store = imbalanced(20)
    x_N, y_N = np.zeros((len(store.labels_N), 1)), store.labels_N
    dummy = DummyClassifier(strategy="most_frequent").fit(x_N[store.train_idx], y_N[store.train_idx])
    assert dummy_score(store).figures["val_top1"] == dummy.score(x_N[store.val_idx], y_N[store.val_idx])


def test_neighbours_are_those_of_numpys_correlation() -> None:
    pixels_NP = STORE.images_NHWC[..., 0].astype(float).reshape(-1, 8, 2, 8, 2).mean((2, 4)).reshape(len(STORE.labels_N), -1)
    found = find_neighbours(STORE)
    similarity_NN = np.corrcoef(pixels_NP)[np.ix_(found.rows_N, STORE.train_idx)]
    assert (found.nearest_N == STORE.train_idx[similarity_NN.argmax(1)]).all()
    assert np.allclose(found.similarity_N, similarity_NN.max(1), atol=1e-5)
    right_N = STORE.labels_N[found.nearest_N] == STORE.labels_N[found.rows_N]
    assert neighbour_score(STORE, found).figures["val_top1"] == right_N[: len(STORE.val_idx)].mean()


def test_counts_and_imbalance() -> None:
    check = class_counts(imbalanced(5))
    count_K = np.unique(STORE.labels_N[imbalanced(5).train_idx], return_counts=True)[1]
    assert list(check.figures["train"].values()) == count_K.tolist() and check.figures["ratio"] == count_K.max() / 5
    assert check.verdict == "look" and "val_macro_recall" in check.hint
    assert class_counts(STORE).verdict == "ok"
    assert class_counts(imbalanced(0)).verdict == "bad"


def test_a_few_val_pictures_are_told_to_be_few() -> None:
    assert dummy_score(STORE).verdict == "look" and "val_fraction" in dummy_score(STORE).hint
    assert dummy_score(make_store(num=1200, size=4)).verdict == "ok"


def test_shuffled_labels_are_noticed_and_right_ones_are_not() -> None:
    shuffled = replace(STORE, labels_N=np.random.default_rng(0).permutation(STORE.labels_N))
    assert neighbour_score(STORE, find_neighbours(STORE)).verdict == "ok"
    assert neighbour_score(shuffled, find_neighbours(shuffled)).verdict == "look"


@pytest.mark.parametrize(
    ("num_right", "verdict", "words"),
    [
        (5, "look", "no better than the dummy: are labels shifted or shuffled"),
        (6, "look", "no better than the dummy: are labels shifted or shuffled"),
        (10, "look", "not surely better than the dummy: 2.6 standard errors, where 3 are sure; of 26 val pictures"),
        (11, "ok", ""),
    ],
)
def test_a_score_above_the_dummys_is_unsure_where_val_is_small(num_right: int, verdict: str, words: str) -> None:
    """Of 19 val pictures 5 have the most frequent class: (10 - 5) / 19 is 2.6 times (5/19 * 14/19 / 19) ** .5, and 3 times that of 26."""
    train_idx, val_idx = np.arange(21), np.arange(21, 40)
    labels_N = np.array([*[0] * 11, *[1] * 10, *[0] * 5, *[1] * 14])
    store = replace(STORE, labels_N=labels_N, train_idx=train_idx, val_idx=val_idx)
    is_right = np.arange(19) < num_right
    nearest_N = np.where((labels_N[val_idx] == 0) == is_right, 0, 20)
    check = neighbour_score(store, Neighbours(val_idx, nearest_N, np.ones(19)))
    assert check.verdict == verdict and check.hint.startswith(words) and bool(check.hint) == bool(words)


def test_clean_pictures_have_no_repeats() -> None:
    for check in (repeats(STORE), near_repeats(STORE, find_neighbours(STORE))):
        assert check.verdict == "ok" and check.hint == ""
    assert repeats(STORE).figures["num"] == 300


def test_planted_repeats_are_found_with_their_rows() -> None:
    train, val, test = int(STORE.train_idx[3]), int(STORE.val_idx[5]), int(STORE.test_idx[7])
    one = STORE.images_NHWC[train]
    check = repeats(with_pictures(STORE, **{f"row{val}": one, f"row{test}": one}))
    assert check.verdict == "bad" and f"train {train}" in check.said and f"val {val}" in check.said
    [group] = check.figures["groups"]
    assert {tuple(member) for member in group} == {("train", train), ("val", val), ("test", test)}
    assert (check.figures["val_in_train"], check.figures["test_in_train"], check.figures["test_in_val"]) == (1, 1, 1)
    labels = {int(STORE.labels_N[row]) for row in (train, val, test)}
    assert bool(check.figures["conflicts"]) == (len(labels) > 1)


def test_a_repeat_within_train_with_two_labels_is_a_conflict() -> None:
    first, other = (int(STORE.train_idx[STORE.labels_N[STORE.train_idx] == label][0]) for label in (0, 1))
    check = repeats(with_pictures(STORE, **{f"row{other}": STORE.images_NHWC[first]}))
    assert check.verdict == "look" and check.figures["conflicts"] == [sorted([first, other])] and check.figures["within_train"] == 1


def test_a_repeat_with_other_brightness_and_noise_is_a_near_one() -> None:
    train, test = int(STORE.train_idx[0]), [int(row) for row in STORE.test_idx[:3]]
    noise = np.random.default_rng(0).normal(0, 1, STORE.images_NHWC[train].shape)
    copies = {f"row{row}": np.clip(0.8 * STORE.images_NHWC[train] + 20 + noise, 0, 255).astype(np.uint8) for row in test}
    store = with_pictures(STORE, **copies)
    check = near_repeats(store, find_neighbours(store))
    assert check.verdict == "look" and [["test", row, "train", train] for row in test] == check.figures["pairs"]
    exact = with_pictures(STORE, **{f"row{test[0]}": STORE.images_NHWC[train]})
    assert near_repeats(exact, find_neighbours(exact)).figures["pairs"] == []


def test_small_digits_of_different_people_are_no_repeats() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images_NHWC = np.rint(digits.images * 255 / 16).astype(np.uint8)[..., np.newaxis]
    index = np.random.default_rng(0).permutation(len(images_NHWC))
    train_idx, val_idx, test_idx = (np.sort(part) for part in np.split(index, [1200, 1400]))
    parts = {"train_idx": train_idx, "val_idx": val_idx, "test_idx": test_idx}
    store = replace(STORE, images_NHWC=images_NHWC, labels_N=digits.target.astype(np.int64), **parts)
    assert find_neighbours(store).near(store) == []
    fainter = with_pictures(store, **{f"row{test_idx[0]}": images_NHWC[train_idx[0]] // 2 + 40})
    assert find_neighbours(fainter).near(fainter) == [(int(test_idx[0]), int(train_idx[0]))]


def test_thumbnails_are_unit_vectors_without_brightness_and_contrast() -> None:
    darker = with_pictures(STORE, row0=STORE.images_NHWC[0] // 2 * 2, row1=STORE.images_NHWC[0] // 2, row2=np.full((16, 16, 1), 7))
    a, b, flat = thumbnails(darker, np.arange(3))
    assert np.isclose(a @ a, 1) and np.isclose(a @ b, 1, atol=1e-5) and not flat.any()
    areas = STORE.images_NHWC[4, ..., 0].astype(float).reshape(8, 2, 8, 2).mean((1, 3)).ravel()
    assert np.corrcoef(areas, thumbnails(STORE, np.array([4]))[0])[0, 1] > 0.999999


def test_every_row_has_its_split() -> None:
    split_N = split_names(STORE)
    for rows, name in ((STORE.train_idx, "train"), (STORE.val_idx, "val"), (STORE.test_idx, "test")):
        assert (split_N[rows] == name).all()
