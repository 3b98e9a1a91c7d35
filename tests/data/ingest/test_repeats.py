"""Repeats across splits against a comparison of all with all, JPEG copies, and digits that are not repeats."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from picture_files import write
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from visiontune.data.ingest.likely_pairs import likely_pairs
from visiontune.data.ingest.progress import Progress, Stopped
from visiontune.data.ingest.repeats import find_repeats
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
    label, is_colour = np.zeros(len(images), np.int64), images.shape[3] == 3
    found, _ = find_repeats(digests_of(images), thumbs_of(images), code, label, lambda row: images[row], is_colour=is_colour)
    return {one.row: one.other for one in found}


def framed_copies() -> tuple[np.ndarray, np.ndarray]:
    """800 parts of photographs behind a white frame that covers three quarters of each, the last 160 JPEG copies of the first; splits."""
    parts = [cv2.resize(one, (32, 32)) for one in random_parts(640)]
    images = np.stack([*parts, *(np.asarray(Image.open(io.BytesIO(encoded(one, "jpeg", quality=90)))) for one in parts[:160])])
    images[:, :8] = images[:, -8:] = images[:, :, :8] = images[:, :, -8:] = 255
    return images, np.repeat([0, 1], [640, 160])


def random_parts(num: int) -> list[np.ndarray]:
    rng, photos = np.random.default_rng(5), load_sample_images().images
    places = zip(rng.integers(0, 427 - 48, num).tolist(), rng.integers(0, 640 - 48, num).tolist(), strict=True)
    return [photos[k % 2][top : top + 48, left : left + 48] for k, (top, left) in enumerate(places)]


def compared_with_all(images: np.ndarray, code: np.ndarray) -> set[int]:
    """Rows whose 8 x 8 and 16 x 16 areas correlate with an earlier split's above 0.98, and whose hashes differ in at most 5 bits."""
    thumb_N = thumbs_of(images)
    bits_N = np.packbits(thumb_N.reshape(-1, 8, 8) > np.roll(thumb_N.reshape(-1, 8, 8), -1, axis=2), axis=None).reshape(-1, 8)
    distance = np.bitwise_count(bits_N[:, None] ^ bits_N[None]).sum(2)
    small = np.stack([cv2.resize(one, (16, 16), interpolation=cv2.INTER_AREA) for one in images]).reshape(len(images), -1)
    alike = (distance <= 5) & (np.corrcoef(thumb_N) > 0.98) & (np.corrcoef(small) > 0.98)
    return set(np.flatnonzero((alike & (code[:, None] > code[None])).any(1)).tolist())


def test_near_repeats_are_those_of_all_with_all_behind_white_frames_too() -> None:
    images, code = framed_copies()
    expected = compared_with_all(images, code)
    assert len(expected) > 80 and set(repeats(images, code)) <= expected
    assert len(set(repeats(images, code))) >= 0.97 * len(expected)


def test_white_frames_make_few_pairs_worth_comparing() -> None:
    """Twice as many pictures are to be some twice as many comparisons: by bytes of a hash they were all with all."""
    rng, nums = np.random.default_rng(0), []
    for num in (4_000, 8_000):
        thumb_NHW = np.full((num, 8, 8), 255.0, np.float32)
        thumb_NHW[:, 2:6, 2:6] = rng.integers(0, 256, (num, 4, 4))
        unit_NV = thumb_NHW.reshape(num, 64) - thumb_NHW.mean((1, 2))[:, None]
        unit_NV /= np.linalg.norm(unit_NV, axis=1, keepdims=True)
        nums.append(sum(len(left) for left, _ in likely_pairs(unit_NV, np.arange(num) < num // 5, np.zeros(num, np.bool_))))
    assert nums[1] < 3 * nums[0] and nums[1] < 0.1 * (1600 * 8000)


def test_a_twin_of_the_same_label_is_named_before_one_of_another() -> None:
    images = np.repeat(crops(2, 32), 4, axis=0)
    images[3] = np.asarray(Image.open(io.BytesIO(encoded(images[0], "jpeg", quality=95))))
    code, label = np.array([0, 0, 2, 2, 0, 0, 2, 2]), np.array([1, 0, 0, 0, 1, 1, 0, 1])
    found, _ = find_repeats(digests_of(images), thumbs_of(images), code, label, lambda row: images[row], is_colour=True)
    told = {one.row: (one.other, one.is_equal, one.is_same_label) for one in found}
    assert told == {2: (1, True, True), 3: (1, False, True), 6: (4, True, False), 7: (4, True, True)}


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
    copies = [encoded(images[9], "jpeg", quality=95), encoded(images[10]), encoded(images[12], "jpeg", quality=95)]
    tested = [*copies, *(encoded(one) for one in 255 - images[:8])]
    test = write(tmp_path / "test.parquet", tested, [1, 1, 1, *labels[:8]])
    data = {**first, "train": str(train), "test": str(test)}
    store = Store.open(prepare({**data, "duplicates": "drop"}, tmp_path / "cache"))
    assert len(store.test_idx) == 8 and len(store.labels_N) == 68
    # The last three fill the places of those that are left out.
    np.testing.assert_array_equal(store.images_NHWC[store.test_idx], 255 - images[[5, 6, 7, *range(5)]])
    told = store.report().repeats
    assert [(one["name"], one["other"], one["is_dropped"]) for one in told] == [
        (f"{test}: row 0", f"{train}: row 9", True),
        (f"{test}: row 1", f"{train}: row 10", True),
        (f"{test}: row 2", f"{train}: row 12", True),
    ]
    assert told[1]["similarity"] == 1.0 > told[0]["similarity"] > 0.98
    # Equal pixels under two labels: the label of row 10 is 0.
    assert [(one["name"], one["label"], one["other_label"]) for one in store.report().conflicts] == [(f"{test}: row 1", "1", "0")]
    # The near copies are of pictures of the same class and of another one.
    for duplicates, dropped in (("exact", [False, True, False]), ("near", [True, True, False]), ("keep", [False, False, False])):
        other = Store.open(prepare({**data, "duplicates": duplicates}, tmp_path / "cache"))
        assert [one["is_dropped"] for one in other.report().repeats] == dropped and len(other.test_idx) == 11 - sum(dropped)


def test_a_camera_that_never_moves_keeps_its_test_unless_told_otherwise(tmp_path: Path) -> None:
    """All pictures are nearly equal, and the label is a small defect."""
    scene, rng = crops(1, 48)[0].astype(int), np.random.default_rng(1)
    images = np.clip(scene + rng.integers(-3, 4, (40, *scene.shape)), 0, 255).astype(np.uint8)
    labels = (np.arange(40) % 10 == 0).astype(int)
    images[labels == 1, 20:24, 20:24] = 255
    path = write(tmp_path / "train.parquet", [encoded(one) for one in images[:30]], labels[:30])
    test = write(tmp_path / "test.parquet", [encoded(one) for one in images[30:]], labels[30:])
    data = {"source": "parquet", "train": str(path), "test": str(test), "image_size": 48}
    store = Store.open(prepare(data, tmp_path / "cache"))
    assert len(store.test_idx) == 10 and len(store.report().repeats) >= 10
    assert store.report().conflicts == ()
    with pytest.raises(UserError, match="must have pictures, but all are bad or repeat"):
        prepare({**data, "duplicates": "drop"}, tmp_path / "cache")


def test_the_comparison_tells_its_share_and_stops(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [encoded(one) for one in crops(60, 32)], np.arange(60) % 2)
    told, stop = list[Progress](), threading.Event()

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.stage == "comparing" and progress.num_done > 30:
            stop.set()

    with pytest.raises(Stopped):
        prepare({"source": "parquet", "train": str(path)}, tmp_path / "cache", tell=tell, stop=stop)
    shares = [one.num_done for one in told if one.stage == "comparing"]
    assert shares == sorted(shares) and shares[0] == 0 and 30 < shares[-1] < 60
    prepare({"source": "parquet", "train": str(path)}, tmp_path / "cache")


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
