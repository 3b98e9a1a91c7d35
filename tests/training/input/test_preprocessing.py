"""Preprocessing against numpy, Pillow and scikit-learn, fitted on the training split and on nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.decomposition import PCA
from tiny import make_store

from visiontune.data.store.store import Store
from visiontune.spec.tables.preprocessings import PREPROCESSINGS
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.preprocessing import Preprocessing

TINY_EPS = 1e-10


def fit(store: Store, name: str = "standardize", colour: str = "stored", eps: float = 0.01) -> Preprocessing:
    return fit_preprocessing({"name": name, "colour": colour, "whitening_eps": eps}, store)


def through(store: Store, rows: Any, *args: Any, **kwargs: Any) -> NDArray[np.float32]:
    """What those pictures become."""
    after: NDArray[np.float32] = fit(store, *args, **kwargs)(torch.from_numpy(store.images_NHWC[rows])).numpy()
    return after


def flat(store: Store, rows: Any) -> NDArray[np.float64]:
    return store.images_NHWC[rows].reshape(len(rows), -1) / 255


def test_every_entry_is_tested_here() -> None:
    assert {*PREPROCESSINGS.entries} - {"as_pretrained"} == {
        "standardize",
        "center",
        "rescale",
        "pca_whitening",
        "zca",
    }  # test_as_pretrained.py


@pytest.mark.parametrize("channels", [1, 3])
def test_scaling(channels: int) -> None:
    store = make_store(channels=channels)
    unit = store.images_NHWC[store.val_idx] / 255
    train = store.images_NHWC[store.train_idx] / 255
    mean_C, std_C = train.mean((0, 1, 2)), train.std((0, 1, 2))
    for name, expected in {"standardize": (unit - mean_C) / std_C, "center": unit - mean_C, "rescale": unit}.items():
        after = through(store, store.val_idx, name)
        assert after.dtype == np.float32 and np.allclose(after, expected, atol=2e-6), name


def test_standardised_values_are_those_of_the_formula_in_its_fast_form_to_the_last_bit() -> None:
    store = make_store(channels=3)
    scale, shift = torch.from_numpy(1 / (255 * store.std_C)), torch.from_numpy(store.mean_C / store.std_C)
    expected = torch.from_numpy(store.images_NHWC[store.val_idx]).float() * scale - shift
    assert np.array_equal(through(store, store.val_idx), expected.numpy())


@pytest.mark.parametrize("name", PREPROCESSINGS.entries)
def test_floats_are_read_as_the_same_pictures_and_stay_as_they_are(name: str) -> None:
    store = make_store(num=300, size=6, channels=3)
    before = torch.from_numpy(store.images_NHWC[store.val_idx]).float()
    kept = before.clone()
    for colour in ("stored", "rgb", "grey"):
        after = fit(store, name, colour)(before)
        assert torch.equal(before, kept) and np.array_equal(after.numpy(), through(store, store.val_idx, name, colour))


def test_grey_is_pillows() -> None:
    random = np.random.default_rng(0)
    images_NHWC = random.integers(0, 256, (64, 24, 24, 3)).astype(np.uint8)
    images_NHWC[0] = 255
    store = replace(make_store(), images_NHWC=images_NHWC)
    expected = np.stack([np.asarray(Image.fromarray(image).convert("L")) for image in images_NHWC])
    grey = 255 * through(store, np.arange(64), "rescale", "grey")
    assert grey.shape == (64, 24, 24, 1) and np.array_equal(np.rint(grey[..., 0]), expected)
    # The exported model gets values in [0, 1].
    again = fit(store, "rescale", "grey")(torch.from_numpy(images_NHWC.astype(np.float32) / 255) * 255)
    assert np.abs(again.numpy() * 255 - grey).max() <= 1.001 and (np.abs(again.numpy() * 255 - grey) < 1e-3).mean() > 0.999


def test_grey_pictures_are_standardised_by_their_own_moments() -> None:
    store = make_store(num=300, channels=3)
    after = through(store, store.train_idx, colour="grey")
    assert after.shape[3] == 1 and abs(after.mean()) < 1e-4 and abs(after.std() - 1) < 1e-4


def test_rgb_of_grey_repeats_and_rgb_of_rgb_is_what_it_is() -> None:
    grey, colour = make_store(), make_store(channels=3)
    after = through(grey, grey.val_idx, colour="rgb")
    assert after.shape[3] == 3 and all(np.array_equal(after[..., [k]], through(grey, grey.val_idx)) for k in range(3))
    assert np.array_equal(through(colour, colour.val_idx, colour="rgb"), through(colour, colour.val_idx))
    assert np.array_equal(through(grey, grey.val_idx, colour="grey"), through(grey, grey.val_idx))


@pytest.mark.parametrize(("colour", "channels"), [("stored", 3), ("rgb", 3), ("grey", 1)])
@pytest.mark.parametrize("name", PREPROCESSINGS.entries)
def test_says_its_channels(name: str, colour: str, channels: int) -> None:
    fitted = fit(make_store(num=30, size=4, channels=3), name, colour)
    assert fitted.out_channels == channels == fitted(torch.zeros(2, 4, 4, 3)).shape[3]
    assert not list(fitted.parameters())


@pytest.mark.parametrize("channels", [1, 3])
def test_pca_whitening_is_scikit_learns(channels: int) -> None:
    store = make_store(num=900, size=6, channels=channels)
    peer = PCA(whiten=True, svd_solver="full").fit(flat(store, store.train_idx))
    ours = through(store, store.test_idx, "pca_whitening", eps=TINY_EPS)
    assert ours.shape == store.images_NHWC[store.test_idx].shape
    assert np.allclose(ours.reshape(len(ours), -1), peer.transform(flat(store, store.test_idx)), atol=1e-4)


def test_whitened_training_pictures_have_the_identity_as_covariance() -> None:
    store = make_store(num=900, size=6)
    for name in ("pca_whitening", "zca"):
        x_ND = through(store, store.train_idx, name, eps=TINY_EPS).reshape(len(store.train_idx), -1)
        assert np.allclose(np.cov(x_ND.T), np.eye(36), atol=1e-4) and np.abs(x_ND.mean(0)).max() < 1e-4


@pytest.mark.parametrize("eps", [TINY_EPS, 0.1])
def test_zca_is_its_formula(eps: float) -> None:
    store = make_store(num=900, size=6, channels=3)
    train = flat(store, store.train_idx)
    u, s, _ = np.linalg.svd(np.cov(train.T))
    matrix = u @ np.diag(1 / np.sqrt(s + eps)) @ u.T
    expected = (flat(store, store.test_idx) - train.mean(0)) @ matrix
    ours = through(store, store.test_idx, "zca", eps=eps)
    assert np.allclose(ours.reshape(len(ours), -1), expected, atol=1e-4)


def test_what_never_varied_in_training_is_left_out() -> None:
    store = make_store(num=300, size=6)
    images_NHWC = store.images_NHWC.copy()
    images_NHWC[store.train_idx, 0, 0] = 7
    store = replace(store, images_NHWC=images_NHWC)
    moved = images_NHWC[store.val_idx].copy()
    moved[:, 0, 0] = 255
    for name in ("pca_whitening", "zca"):
        fitted = fit(store, name, eps=TINY_EPS)
        a, b = (fitted(torch.from_numpy(x)) for x in (images_NHWC[store.val_idx], moved))
        assert torch.allclose(a, b, atol=1e-2) and a.abs().max() < 10


@pytest.mark.parametrize("name", PREPROCESSINGS.entries)
def test_state_makes_the_same_again(name: str) -> None:
    store = make_store(num=120, size=5, channels=3)
    fitted = fit(store, name, "grey")
    again = Preprocessing.of(fitted.state_dict())
    x = torch.from_numpy(store.images_NHWC[store.val_idx])
    assert torch.equal(again(x), fitted(x)) and again.digest() == fitted.digest() != fit(store, name, "stored").digest()
