"""Splits by hashes: against binomial chance, against their own promises, and as pictures come and go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from visiontune.data.split import LEFT_OUT, TEST, TRAIN, VAL, quota, split_rows
from visiontune.errors import UserError

NAMES = ("a", "b", "c", "d")
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [500, 300, 150, 50]))
KEYS = [f"{label}/picture {number}.png" for number, label in enumerate(LABELS)]


def split(
    labels: np.ndarray = LABELS,
    keys: Sequence[str] = KEYS,
    groups: Sequence[str] | None = None,
    seed: int = 0,
    val_fraction: float | None = 0.1,
    test_fraction: float | None = 0.2,
    max_pictures: int | None = None,
) -> np.ndarray:
    fractions = {"val_fraction": val_fraction, "test_fraction": test_fraction}
    return split_rows(labels, keys, groups, NAMES, seed=seed, max_pictures=max_pictures, **fractions)


def test_shares_of_every_class_are_as_chance_would_have_them() -> None:
    """Over 40 seeds the counts of each class are binomial: their mean, their spread, and none beyond 1 in 10^6."""
    found = np.array([[np.bincount(LABELS[split(seed=seed) == TEST], minlength=4)] for seed in range(40)])[:, 0]
    for label, num in enumerate([500, 300, 150, 50]):
        assert abs(found[:, label].mean() - 0.2 * num) < 4 * np.sqrt(num * 0.16 / 40)
        assert binom.ppf(1e-6, num, 0.2) <= found[:, label].min() and found[:, label].max() <= binom.isf(1e-6, num, 0.2)
        assert 0.6 < found[:, label].std() / np.sqrt(num * 0.16) < 1.4
    val = np.array([(split(seed=seed) == VAL).sum() for seed in range(40)])
    assert abs(val.mean() - 80) < 6


def test_seed_and_key_alone_decide() -> None:
    order = np.random.default_rng(1).permutation(1000)
    np.testing.assert_array_equal(split(seed=3)[order], split(LABELS[order], [KEYS[row] for row in order], seed=3))
    assert 0.5 < (split(seed=3) == split(seed=4)).mean() < 0.8  # as two independent splits agree: .72^2 + .08^2 + .2^2 = .56


def test_adding_pictures_moves_no_old_one() -> None:
    old = split()
    labels, keys = np.concatenate([LABELS, LABELS]), [*KEYS, *(f"new {key}" for key in KEYS)]
    np.testing.assert_array_equal(split(labels, keys)[:1000], old)
    np.testing.assert_array_equal(split(LABELS[:500], KEYS[:500]), old[:500])


def test_the_test_stays_the_same_for_any_subset_and_val_fraction() -> None:
    whole = split() == TEST
    for changed in (split(max_pictures=100), split(val_fraction=0.4)):
        np.testing.assert_array_equal(changed == TEST, whole)


def test_a_larger_fraction_holds_the_smaller_one() -> None:
    small, large = split(test_fraction=0.1) == TEST, split(test_fraction=0.3) == TEST
    assert (large[small]).all() and large.sum() > small.sum()


def test_max_pictures_is_exact_stratified_and_grows_by_adding() -> None:
    whole, part, smaller = split(), split(max_pictures=200), split(max_pictures=100)
    is_kept = (part == TRAIN) | (part == VAL)
    assert is_kept.sum() == 200 and (part[~is_kept & (whole != TEST)] == LEFT_OUT).all()
    share = np.bincount(LABELS[whole != TEST]) / (whole != TEST).sum()
    assert np.abs(np.bincount(LABELS[is_kept]) - 200 * share).max() <= 1
    assert is_kept[(smaller == TRAIN) | (smaller == VAL)].all()
    np.testing.assert_array_equal(part[is_kept], whole[is_kept])


def test_what_the_source_splits_itself_is_not_split_again() -> None:
    assert set(split(test_fraction=None)) == {TRAIN, VAL}
    assert set(split(val_fraction=None)) == {TRAIN, TEST}
    assert set(split(val_fraction=None, test_fraction=None)) == {TRAIN}


@pytest.mark.parametrize("counts", [[3, 3], [3, 500], [3, 3, 3, 400], [4, 7, 1000]])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_every_class_is_in_every_part(counts: list[int], fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    for seed in range(5):
        code = split(labels, [str(row) for row in range(len(labels))], seed=seed, val_fraction=fraction, test_fraction=fraction)
        for part in (TRAIN, VAL, TEST):
            assert set(labels[code == part]) == set(range(len(counts)))


def test_groups_stay_together_also_across_classes() -> None:
    groups = [f"patient {number // 5}" for number in range(1000)]
    code = split(groups=groups)
    assert all(len(set(code[start : start + 5])) == 1 for start in range(0, 1000, 5))
    assert abs((code == TEST).mean() - 0.2) < 4 * np.sqrt(0.16 / 200)
    # Half of a group joins later: it goes where the others are.
    code = split(groups=groups, val_fraction=0.3)
    np.testing.assert_array_equal(split(LABELS[::2], KEYS[::2], groups[::2], val_fraction=0.3), code[::2])
    part = split(groups=groups, max_pictures=333)
    assert ((part == TRAIN) | (part == VAL)).sum() == 333
    assert all(len(set(part[start : start + 5]) - {LEFT_OUT}) <= 1 for start in range(0, 1000, 5))


def test_a_class_of_few_groups_is_covered_or_named() -> None:
    labels = np.array([0] * 100 + [1] * 30)
    keys = [str(row) for row in range(130)]
    three = [str(row) for row in range(100)] + [f"g{row % 3}" for row in range(30)]
    code = split(labels, keys, three)
    assert all((labels[code == part] == 1).sum() == 10 for part in (TRAIN, VAL, TEST))
    with pytest.raises(UserError, match=r"at least 3 groups.*'b'"):
        split(labels, keys, [str(row) for row in range(100)] + [f"g{row % 2}" for row in range(30)])


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
        split(np.array([0] * 50 + [1] * 2), [str(row) for row in range(52)])


def test_max_pictures_below_two_for_each_class_is_refused() -> None:
    with pytest.raises(UserError, match=r"max_pictures must be at least 8"):
        split(max_pictures=7)
