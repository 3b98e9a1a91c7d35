"""The store: round trips of pixels and labels, one ingest for many callers, damage and full disks."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest
from picture_files import COLOUR, LABELS, png, write
from PIL import Image
from sklearn.datasets import load_digits

from visiontune.data import prepare as preparing
from visiontune.data.ingest import run_ingest as ingest_module
from visiontune.data.prepare import describe, prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError


@pytest.fixture
def colour(tmp_path: Path) -> dict[str, Any]:
    # Small row groups, so that rows are picked across their borders.
    path = write(tmp_path / "train.parquet", [png(picture) for picture in COLOUR], LABELS, row_group_size=7)
    return {"source": "parquet", "train": str(path), "val_fraction": 0.2, "test_fraction": 0.2}


def open_store(data: dict[str, Any], cache: Path) -> Store:
    return Store.open(prepare(data, cache))


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    store = open_store({"source": "digits"}, tmp_path)
    digits = load_digits()
    np.testing.assert_array_equal(np.rint(store.images_NHWC[..., 0] * (16 / 255)), digits.images)
    np.testing.assert_array_equal(store.labels_N, digits.target)
    assert store.images_NHWC.shape == (1797, 8, 8, 1) and store.images_NHWC.max() == 255
    assert sorted(np.concatenate([store.train_idx, store.val_idx, store.test_idx])) == list(range(1797))
    assert store.info == describe({"source": "digits"})
    np.testing.assert_array_equal(np.bincount(digits.target), preparing.source_of({"source": "digits"}).counts_C)


def test_mean_and_std_are_of_the_training_pictures_only(tmp_path: Path, colour: dict[str, Any]) -> None:
    store = open_store(colour, tmp_path / "cache")
    train = store.images_NHWC[store.train_idx].astype(np.float64) / 255
    np.testing.assert_allclose(store.mean_C, train.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(store.std_C, train.std(axis=(0, 1, 2)), rtol=1e-6)
    assert store.mean_C.dtype == store.std_C.dtype == np.float32


def test_png_pictures_come_back_as_rgb_to_the_bit(tmp_path: Path, colour: dict[str, Any]) -> None:
    store = open_store(colour, tmp_path / "cache")
    np.testing.assert_array_equal(store.images_NHWC, COLOUR)
    np.testing.assert_array_equal(store.labels_N, LABELS)
    assert store.class_names == ("0", "1", "2") and store.info == describe(colour)


def test_jpeg_is_what_pillow_decodes(tmp_path: Path) -> None:
    smooth = np.stack([cv2.resize(picture[:3, :3], (16, 16), interpolation=cv2.INTER_CUBIC) for picture in COLOUR])
    encoded = [png(picture, "jpeg") for picture in smooth]
    path = write(tmp_path / "train.parquet", encoded, LABELS)
    store = open_store({"source": "parquet", "train": str(path)}, tmp_path / "cache")
    pillow = np.stack([np.asarray(Image.open(io.BytesIO(value))) for value in encoded])
    assert np.abs(store.images_NHWC.astype(int) - pillow).max() <= 2


def test_images_are_a_view_of_the_map(tmp_path: Path, colour: dict[str, Any]) -> None:
    path = prepare(colour, tmp_path)
    before = pa.total_allocated_bytes()
    store = Store.open(path)
    assert pa.total_allocated_bytes() == before
    assert not store.images_NHWC.flags.owndata and not store.images_NHWC.flags.writeable
    with pa.memory_map(str(path)) as mapped:
        batch = pyarrow.ipc.open_file(mapped).get_batch(0)
        assert batch.column("image")[5].as_py() == COLOUR[5].tobytes()


def test_second_prepare_reuses_and_settings_or_content_do_not(tmp_path: Path, colour: dict[str, Any]) -> None:
    first = prepare(colour, tmp_path)
    made = first.stat().st_ino
    assert prepare(colour, tmp_path) == first and first.stat().st_ino == made
    moved = Path(colour["train"]).rename(tmp_path / "moved.parquet")
    colour = {**colour, "train": str(moved)}
    assert prepare(colour, tmp_path) == first
    others = [{**colour, "seed": 1}, {**colour, "image_size": 8}, {**colour, "max_pictures": 20}, {**colour, "val_fraction": 0.3}]
    assert len({first, *(prepare(other, tmp_path) for other in others)}) == 5
    write(moved, [png(255 - picture) for picture in COLOUR], LABELS)
    assert prepare(colour, tmp_path) != first


def test_max_pictures_keeps_rows_with_their_labels(tmp_path: Path, colour: dict[str, Any]) -> None:
    store = open_store({**colour, "max_pictures": 12}, tmp_path / "cache")
    assert len(store.train_idx) + len(store.val_idx) == 12
    for picture, label in zip(store.images_NHWC, store.labels_N, strict=True):
        rows = np.flatnonzero((picture == COLOUR).all(axis=(1, 2, 3)))
        assert len(rows) == 1 and LABELS[rows[0]] == label


def test_a_test_file_stays_whole_and_apart(tmp_path: Path, colour: dict[str, Any]) -> None:
    test = write(tmp_path / "test.parquet", [png(255 - picture) for picture in COLOUR[:9]], LABELS[:9])
    store = open_store({**colour, "test": str(test), "max_pictures": 15}, tmp_path / "cache")
    np.testing.assert_array_equal(store.images_NHWC[store.test_idx], 255 - COLOUR[:9])
    np.testing.assert_array_equal(store.labels_N[store.test_idx], LABELS[:9])
    assert len(store.train_idx) + len(store.val_idx) == 15


@pytest.mark.parametrize(("size", "method"), [(6, cv2.INTER_AREA), (24, cv2.INTER_LINEAR)])
def test_resizing_is_opencvs(tmp_path: Path, colour: dict[str, Any], size: int, method: int) -> None:
    store = open_store({**colour, "image_size": size}, tmp_path / "cache")
    np.testing.assert_array_equal(store.images_NHWC, np.stack([cv2.resize(p, (size, size), interpolation=method) for p in COLOUR]))
    assert describe({**colour, "image_size": size}) == store.info


def test_greys_stay_one_channel_and_fill_three_only_in_a_mixed_file(tmp_path: Path) -> None:
    grey = [png(picture[..., :1]) for picture in COLOUR]
    alone = write(tmp_path / "grey.parquet", grey, LABELS)
    np.testing.assert_array_equal(open_store({"source": "parquet", "train": str(alone)}, tmp_path / "cache").images_NHWC, COLOUR[..., :1])
    # The colour picture comes after the first 64, which describe() looks at.
    mixed = write(tmp_path / "mixed.parquet", [*(grey * 3), png(COLOUR[0])], [*np.tile(LABELS, 3), 0])
    store = open_store({"source": "parquet", "train": str(mixed), "duplicates": "keep"}, tmp_path / "cache")
    np.testing.assert_array_equal(store.images_NHWC[0], np.repeat(COLOUR[0, ..., :1], 3, axis=2))
    np.testing.assert_array_equal(store.images_NHWC[90], COLOUR[0])


@pytest.mark.parametrize("damage", ["truncate", "empty", "metadata", "labels", "text"])
def test_damage_is_noticed_and_made_good(tmp_path: Path, colour: dict[str, Any], damage: str) -> None:
    path = prepare(colour, tmp_path)
    good = path.read_bytes()
    label_at = good.index(LABELS.astype(np.int64).tobytes())
    bad = {
        "truncate": good[: len(good) // 2],
        "empty": b"",
        "metadata": good.replace(b'"channels": 3', b'"channels": 1'),
        "labels": good[:label_at] + b"\x01" + good[label_at + 1 :],
        "text": b"no Arrow file",
    }[damage]
    assert bad != good
    path.write_bytes(bad)
    with pytest.raises(UserError, match=r"\.arrow cannot be read"):
        Store.open(path)
    assert prepare(colour, tmp_path) == path
    assert path.read_bytes() == good


def test_two_at_once_share_one_ingest(tmp_path: Path, colour: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls, paths = [], []

    def slow_ingest(*args: Any, **options: Any) -> Path:
        calls.append(args)
        time.sleep(0.1)
        return original(*args, **options)

    original = ingest_module.ingest
    monkeypatch.setattr(ingest_module, "ingest", slow_ingest)
    threads = [threading.Thread(target=lambda: paths.append(prepare(colour, tmp_path / "cache"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and len(set(paths)) == 1 and len(paths) == 3


def test_an_unwritable_cache_is_one_sentence(tmp_path: Path, colour: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/cache must take the decoded pictures"):
        prepare(colour, tmp_path / "file" / "cache")


def test_opening_imports_neither_torch_nor_scikit_learn() -> None:
    code = (
        "import sys\n"
        f"sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
        "from visiontune.data.prepare import Store, describe\n"
        "describe({'source': 'digits'})\n"
        "assert not {'torch', 'sklearn', 'cv2', 'pandas', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
