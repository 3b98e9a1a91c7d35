"""Several networks of one trial: each is what training it alone gives, after a resume too; folds part the pictures they are given."""

from __future__ import annotations

import copy
import re
import statistics
from dataclasses import replace

import numpy as np
import pytest
from tiny import make_recipe, make_store, model_section

from visiontune.data.folds import fold_of, refuse_folds
from visiontune.errors import UserError
from visiontune.spec.declarations.network_names import seed_of_repeat, values_of
from visiontune.training.checks.made_store import in_memory
from visiontune.training.loop import train
from visiontune.training.several_networks import train_repeats

STORE = make_store()
RECIPE = make_recipe(model_section("lenet5", dropout=0.3), data={"source": "digits", "seed": 0}, num_epochs=3)


@pytest.mark.heavy
@pytest.mark.parametrize("is_folded", [False, True])
def test_every_network_is_the_one_that_is_trained_alone_and_goes_on_from_a_checkpoint(is_folded: bool) -> None:
    alone = []
    for number in range(3):
        own = replace(RECIPE, training={**RECIPE.training, "seed": seed_of_repeat(RECIPE.training["seed"], number)})
        store = fold_of(STORE, 3, number, RECIPE.data["seed"]) if is_folded else STORE
        alone.append([epoch.metrics for epoch in train(own, store)])
    states, together = [], []
    for epoch in train_repeats(RECIPE, STORE, num=3, is_folded=is_folded):
        states.append(copy.deepcopy(epoch.state()))
        together.append(epoch)
    assert [epoch.is_last for epoch in together] == [False, False, True]
    for place, epoch in enumerate(together):
        for metric in ("val_loss", "val_top1"):
            values = [metrics[place][metric] for metrics in alone]
            assert values_of(epoch.metrics, metric) == values and epoch.metrics[metric] == statistics.fmean(values)
    resumed = list(train_repeats(RECIPE, STORE, num=3, is_folded=is_folded, resume=states[0]))
    assert [values_of(one.metrics, "val_loss") for one in resumed] == [values_of(one.metrics, "val_loss") for one in together[1:]]
    assert states[2]["history"][:1] == states[0]["history"] and len(states[2]["networks"]) == 3


def test_each_picture_is_val_once_in_equal_shares_of_each_class_and_repeats_stay_together() -> None:
    made = make_store(num=240)
    images = made.images_NHWC.copy()
    pool = np.union1d(made.train_idx, made.val_idx)
    twins = [(pool[rows[0]], pool[rows[-1]]) for rows in (np.flatnonzero(made.labels_N[pool] == label) for label in range(3))]
    for one, other in twins:
        images[other] = images[one]
    store = in_memory(images, made.labels_N, (made.train_idx, made.val_idx, made.test_idx), "twins")
    folds = [fold_of(store, 5, number, 0) for number in range(5)]
    assert np.array_equal(np.sort(np.concatenate([fold.val_idx for fold in folds])), pool)
    for fold in folds:
        assert np.array_equal(np.union1d(fold.train_idx, fold.val_idx), pool) and not np.intersect1d(fold.train_idx, fold.val_idx).size
        assert np.array_equal(fold.test_idx, store.test_idx)
        assert np.ptp(np.bincount(store.labels_N[fold.val_idx], minlength=3)) <= 3
        np.testing.assert_allclose(fold.mean_C, (store.images_NHWC[fold.train_idx] / 255).mean((0, 1, 2)), rtol=1e-6)
        np.testing.assert_allclose(fold.std_C, (store.images_NHWC[fold.train_idx] / 255).std((0, 1, 2)), rtol=1e-6)
    assert all(sum({one, other} <= {*fold.val_idx} for fold in folds) == 1 for one, other in twins)
    assert len({fold.digest for fold in folds}) == 5 and not np.array_equal(fold_of(store, 5, 2, 1).val_idx, folds[2].val_idx)
    with pytest.raises(UserError, match="every class must have a picture in each of 90 folds"):
        fold_of(store, 90, 0, 0)


def test_a_class_that_shares_pictures_is_in_every_fold_or_is_told() -> None:
    """The part of a picture that two classes have is the first one's, so that the other may have seven pictures in four parts."""
    made = make_store(num=240)
    images, pool = made.images_NHWC.copy(), np.union1d(made.train_idx, made.val_idx)
    firsts, others = (pool[made.labels_N[pool] == label] for label in (0, 1))
    images[firsts[:2]], images[firsts[7:]] = images[others[:2]], images[firsts[6]]  # seven that differ
    store = in_memory(images, made.labels_N, (made.train_idx, made.val_idx, made.test_idx), "shared")
    told = 0
    for seed in range(12):
        try:
            refuse_folds(store, 5, seed)
        except UserError as error:
            told += bool(re.search("in each of 5 folds, but '.*' has [34]$", str(error)))
        else:
            assert all((store.labels_N[fold_of(store, 5, number, seed).val_idx] == 0).any() for number in range(5))
    assert 0 < told < 12


def test_equal_pictures_of_two_classes_lie_in_one_fold_and_count_once_for_their_class() -> None:
    made = make_store(num=240)
    images, pool = made.images_NHWC.copy(), np.union1d(made.train_idx, made.val_idx)
    firsts, others = (pool[made.labels_N[pool] == label] for label in (0, 1))
    images[others[:10]] = images[firsts[:10]]
    splits = (made.train_idx, made.val_idx, made.test_idx)
    store = in_memory(images, made.labels_N, splits, "contradictions")
    folds = [{*fold_of(store, 5, number, 0).val_idx.tolist()} for number in range(5)]
    assert all(sum({one, other} <= fold for fold in folds) == 1 for one, other in zip(firsts[:10], others[:10], strict=True))
    images = images.copy()
    images[firsts[1:]] = images[firsts[0]]
    with pytest.raises(UserError, match=r"every class must have a picture in each of 5 folds, but .* has 1$"):
        fold_of(in_memory(images, made.labels_N, splits, "one picture"), 5, 0, 0)
