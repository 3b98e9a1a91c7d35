"""Stratified splits, beside what scikit-learn's would give and against their own promises."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import StratifiedShuffleSplit

from visiontune.data.splits import choose_rows, plan_sizes, quota
from visiontune.spec.errors import UserError

NAMES = ("a", "b", "c", "d")
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [500, 300, 150, 50]))


def split(seed: int = 0, val_fraction: float = 0.1, test_fraction: float | None = 0.2, max_pictures: int | None = None):  # type: ignore[no-untyped-def]
    counts = np.bincount(LABELS)
    sizes = plan_sizes(counts, NAMES, val_fraction=val_fraction, test_fraction=test_fraction, max_pictures=max_pictures)
    return choose_rows(LABELS, sizes, seed)


def test_parts_are_disjoint_cover_everything_and_keep_the_shares() -> None:
    train, val, test = split()
    assert sorted(np.concatenate([train, val, test])) == list(range(1000))
    assert [len(train), len(val), len(test)] == [720, 80, 200]
    np.testing.assert_array_equal(np.bincount(LABELS[test]), [100, 60, 30, 10])
    np.testing.assert_array_equal(np.bincount(LABELS[val]), [40, 24, 12, 4])


def test_class_counts_are_those_of_scikit_learn() -> None:
    reference = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    _, rows = next(reference.split(np.zeros(1000), LABELS))
    np.testing.assert_array_equal(np.bincount(LABELS[split()[2]]), np.bincount(LABELS[rows]))


def test_seed_alone_decides() -> None:
    for first, again, other in zip(split(3), split(3), split(4), strict=True):
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_test_stays_the_same_for_any_subset_and_val_fraction() -> None:
    whole = split()[2]
    for changed in (split(max_pictures=100), split(val_fraction=0.4)):
        np.testing.assert_array_equal(changed[2], whole)


def test_max_pictures_is_exact_and_stratified() -> None:
    train, val, _ = split(max_pictures=200)
    assert len(train) + len(val) == 200
    np.testing.assert_array_equal(np.bincount(LABELS[np.concatenate([train, val])]), [100, 60, 30, 10])


def test_no_test_is_split_off_where_the_source_has_one() -> None:
    train, val, test = split(test_fraction=None)
    assert [len(train), len(val), len(test)] == [900, 100, 0]


@pytest.mark.parametrize("counts", [[3, 3], [3, 500], [3, 3, 3, 400], [4, 7, 1000]])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_every_class_is_in_every_part(counts: list[int], fraction: float) -> None:
    counts_C = np.array(counts)
    sizes = plan_sizes(counts_C, NAMES[: len(counts)], val_fraction=fraction, test_fraction=fraction, max_pictures=None)
    for part in (sizes.train_C, sizes.val_C, sizes.test_C):
        assert part.min() >= 1
    np.testing.assert_array_equal(sizes.train_C + sizes.val_C + sizes.test_C, counts_C)


def test_quota_is_exact_and_within_one_of_the_share() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        counts_C = rng.integers(20, 1000, 6)
        num = int(rng.integers(100, counts_C.sum()))
        quota_C = quota(counts_C, num, least=1)
        assert quota_C.sum() == num
        assert np.abs(quota_C - num * counts_C / counts_C.sum()).max() <= 1


def test_a_class_that_is_too_small_is_named() -> None:
    with pytest.raises(UserError, match=r"at least 3 training pictures.*'b' has 2"):
        plan_sizes(np.array([50, 2]), ("a", "b"), val_fraction=0.1, test_fraction=0.1, max_pictures=None)


def test_max_pictures_below_two_for_each_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"max_pictures must be at least 8"):
        split(max_pictures=7)
