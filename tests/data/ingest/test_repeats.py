"""Repeats across splits against a comparison of all with all, JPEG copies, and digits that are not repeats."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from picture_files import write
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from visiontune.data.ingest.repeats import MAX_DISTANCE, find_repeats, near_pairs
from visiontune.data.picture.digest import digests_of
from visiontune.data.picture.thumbnail import thumbs_of
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError

RNG = np.random.default_rng(0)


def crops(num: int, size: int) -> np.ndarray:
    """Parts of two photographs that do not overlap, those with the most to see (two pieces of clear sky are alike)."""
    photos = load_sample_images().images
    parts = [photo[top : top + 64, left : left + 64] for photo in photos for top in range(0, 384, 64) for left in range(0, 640, 64)]
    parts.sort(key=lambda part: -cv2.Laplacian(part, cv2.CV_64F).var())
    return np.stack([cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) for part in parts[:num]])


def encoded(picture: np.ndarray, kind: str = "png", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(buffer, kind, **options)
    return buffer.getvalue()


def repeats(images: np.ndarray, code: np.ndarray) -> dict[int, int]:
    found, _ = find_repeats(digests_of(images), thumbs_of(images), code, lambda row: images[row], is_colour=images.shape[3] == 3)
    return {one.row: one.other for one in found}


def test_near_pairs_are_those_of_all_with_all() -> None:
    hash_N = RNG.integers(0, 2**64, 400, dtype=np.uint64)
    for row in range(200):  # half of them a copy with 0 to 8 bits changed
        flips = np.bitwise_or.reduce(np.uint64(1) << RNG.permutation(64)[: row % 9].astype(np.uint64), initial=np.uint64(0))
        hash_N[200 + row] = hash_N[row] ^ flips
    is_asked = np.arange(400) >= 200
    distance = np.bitwise_count(hash_N[:, None] ^ hash_N[None, :])
    expected = {(a, b) for a, b in zip(*np.nonzero(distance <= MAX_DISTANCE), strict=True) if is_asked[a] and a != b}
    found = [pair for left, right in near_pairs(hash_N, is_asked) for pair in zip(left.tolist(), right.tolist(), strict=True)]
    assert set(found) == expected and len(found) == len(expected) and len(expected) >= 6 * 22


def test_a_million_equal_hashes_would_not_be_a_million_times_a_million_at_once() -> None:
    blocks = [len(left) for left, _ in near_pairs(np.zeros(1500, np.uint64), np.arange(1500) < 300)]
    assert sum(blocks) == 300 * 1499 and max(blocks) <= 2**18


def test_digests_tell_any_two_pictures_apart() -> None:
    """One byte changed at any place; bytes exchanged; and digits, whose first and last columns are mostly empty."""
    picture = RNG.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    changed = np.repeat(picture[None], 76, axis=0)
    for place in range(75):
        changed[place + 1].reshape(-1)[place] ^= 0x80
    assert len(np.unique(digests_of(changed), axis=0)) == 76
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    assert len(np.unique(digests_of(digits), axis=0)) == len(np.unique(digits.reshape(len(digits), -1), axis=0))
    swapped = np.stack([picture, picture[::-1], picture[:, ::-1], picture.transpose(1, 0, 2)])
    assert len(np.unique(digests_of(np.ascontiguousarray(swapped)), axis=0)) == 4


@pytest.mark.parametrize(("size", "quality"), [(32, 90), (64, 60), (180, 50)])
def test_jpeg_copies_brighter_and_resized_ones_are_found_and_nothing_else(size: int, quality: int) -> None:
    images = crops(40, size)
    code = np.array([0] * 20 + [1] * 10 + [2] * 10)
    for row, of in ((22, 3), (31, 4), (32, 25)):
        images[row] = np.asarray(Image.open(io.BytesIO(encoded(images[of], "jpeg", quality=quality))))
    images[23] = np.clip(images[5] * 0.8 + 20, 0, 255).astype(np.uint8)
    images[33] = cv2.resize(cv2.resize(images[6], (2 * size, 2 * size), interpolation=cv2.INTER_CUBIC), (size, size), interpolation=3)
    images[38] = images[7]
    assert repeats(images, code) == {22: 3, 31: 4, 32: 25, 23: 5, 33: 6, 38: 7}


def test_different_digits_and_flat_pictures_are_no_repeats() -> None:
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    assert repeats(digits, np.arange(len(digits)) % 3) == {}
    flat = np.full((30, 32, 32, 3), 128, np.uint8) + np.arange(30, dtype=np.uint8)[:, None, None, None]
    assert repeats(flat, np.arange(30) % 3) == {}
    flat[4] = flat[3]
    assert repeats(flat, np.arange(30) % 3) == {4: 3}


def test_a_store_leaves_repeats_out_of_val_and_test_and_says_so(tmp_path: Path) -> None:
    images, labels = crops(60, 32), np.arange(60) % 2
    first = {"source": "parquet", "image_size": 32, "val_fraction": 0.2, "seed": 3}
    train = write(tmp_path / "train.parquet", [encoded(one) for one in images], labels)
    tested = [encoded(images[9], "jpeg", quality=95), encoded(images[10]), *(encoded(one) for one in 255 - images[:8])]
    test = write(tmp_path / "test.parquet", tested, [1, 1, *labels[:8]])
    store = Store.open(prepare({**first, "train": str(train), "test": str(test)}, tmp_path / "cache"))
    assert len(store.test_idx) == 8 and len(store.labels_N) == 68
    # The last two fill the places of those that are left out.
    np.testing.assert_array_equal(store.images_NHWC[store.test_idx], 255 - images[[6, 7, *range(6)]])
    told = store.report().repeats
    assert [(one["name"], one["other"], one["is_dropped"]) for one in told] == [
        (f"{test}: row 0", f"{train}: row 9", True),
        (f"{test}: row 1", f"{train}: row 10", True),
    ]
    assert told[1]["similarity"] == 1.0 > told[0]["similarity"] > 0.98
    # Equal pixels under two labels: the label of row 10 is 0.
    assert [(one["name"], one["label"], one["other_label"]) for one in store.report().conflicts] == [(f"{test}: row 1", "1", "0")]
    kept = Store.open(prepare({**first, "train": str(train), "test": str(test), "duplicates": "keep"}, tmp_path / "cache"))
    assert len(kept.test_idx) == 10 and [one["is_dropped"] for one in kept.report().repeats] == [False, False]


def test_a_test_of_nothing_but_repeats_is_refused(tmp_path: Path) -> None:
    contents = [encoded(one) for one in crops(30, 32)]
    train = write(tmp_path / "train.parquet", contents, np.arange(30) % 2)
    test = write(tmp_path / "test.parquet", contents[:4], np.arange(4) % 2)
    with pytest.raises(UserError, match=r"test must have pictures.*`data.duplicates: keep`"):
        prepare({"source": "parquet", "train": str(train), "test": str(test)}, tmp_path / "cache")


def test_bad_pictures_are_set_aside_and_their_classes_stay_covered(tmp_path: Path) -> None:
    """30 % bad, allowed: each is named with its reason, statistics are of what is left, and every class is in every part."""
    images, labels = crops(90, 32), np.arange(90) % 3
    contents: list[bytes | None] = [encoded(one) for one in images]
    bad = sorted(RNG.permutation(90)[:27].tolist())
    for row in bad:
        contents[row] = [b"", b"no picture", contents[row][:-40]][row % 3]  # type: ignore[index]
    train = write(tmp_path / "train.parquet", contents, labels)
    data = {"source": "parquet", "train": str(train)}
    with pytest.raises(UserError, match=r"of 90 pictures 27 can't be used"):
        prepare({**data, "allow_bad": 0.29}, tmp_path / "cache")
    store = Store.open(prepare({**data, "allow_bad": 0.3}, tmp_path / "cache"))
    good = np.setdiff1d(np.arange(90), bad)
    np.testing.assert_array_equal(store.images_NHWC, images[good])
    np.testing.assert_array_equal(store.labels_N, labels[good])
    assert [one["name"] for one in store.report().set_aside] == [f"{train}: row {row}" for row in bad]
    reasons = [one["reason"] for one in store.report().set_aside]
    assert all(
        word in reason for row, reason in zip(bad, reasons, strict=True) for word in [["no bytes", "not a picture", "truncated"][row % 3]]
    )
    assert all(set(store.labels_N[index]) == {0, 1, 2} for index in (store.train_idx, store.val_idx, store.test_idx))
    unit = store.images_NHWC[store.train_idx] / 255
    np.testing.assert_allclose(store.mean_C, unit.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(store.std_C, unit.std((0, 1, 2)), rtol=1e-6)
