"""Large pictures: raw with a margin and encoded give the same pixels, used like the array of small ones; ten processes, one copy."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from picture_files import png, write
from PIL import Image
from sklearn.datasets import load_sample_images

from visiontune.data.ingest import choose_form, chunk, cut_chunks, run_ingest
from visiontune.data.picture.decode import decode
from visiontune.data.picture.moments import sums_of_each
from visiontune.data.picture.stored_form import Form
from visiontune.data.prepare import describe, prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import ImageSize, sides

PHOTOS = load_sample_images().images
LABELS = np.arange(24) % 2


def photo(number: int) -> np.ndarray:
    """Parts of photographs, of several sizes and shapes."""
    top, left = 7 * number, 11 * number
    return PHOTOS[number % 2][top : top + 90 + 8 * number, left : left + 300 - 9 * number]


both = pytest.mark.parametrize("data", ["crop", ""], indirect=True)
"""In a frame, and in none as before there was the key."""


@pytest.fixture
def data(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    contents = []
    for number in range(24):
        buffer = io.BytesIO()
        Image.fromarray(photo(number)).save(buffer, "jpeg", quality=95)
        contents.append(buffer.getvalue())
    path = write(tmp_path / "train.parquet", contents, LABELS)
    frame = getattr(request, "param", "crop")
    return {"source": "parquet", "train": str(path), "image_size": 80, "duplicates": "keep"} | ({"frame": frame} if frame else {})


@both
@pytest.mark.parametrize(("asked", "size", "stored"), [(80, 80, 88), ([60, 100], (60, 100), (67, 112)), ([100, 64], (100, 64), (112, 72))])
def test_raw_and_encoded_are_the_same_pictures(
    tmp_path: Path, data: dict[str, Any], asked: Any, size: ImageSize, stored: ImageSize
) -> None:
    data = {**data, "image_size": asked}
    raw, encoded = (Store.open(prepare({**data, "store": kind}, tmp_path)) for kind in ("raw", "encoded"))
    assert (raw.kind, encoded.kind, raw.image_size, raw.stored_size, encoded.stored_size) == ("raw", "encoded", size, stored, stored)
    assert raw.info == encoded.info == describe(data)
    rows = np.array([3, 0, 23, 3])
    for other in (size, stored, 40, (33, 41), 200):
        np.testing.assert_array_equal(raw.read(rows, other), encoded.read(rows, other))
        assert raw.read(rows, other).shape == (4, *sides(other), 3)
    np.testing.assert_array_equal(raw.images_NHWC[rows], raw.read(rows, size))
    np.testing.assert_allclose(raw.mean_C, encoded.mean_C)
    np.testing.assert_array_equal(raw.labels_N, encoded.labels_N)
    pixels = 24 * math.prod(sides(stored)) * 3
    assert raw.path.stat().st_size > pixels > encoded.path.stat().st_size and [*raw.damaged()] == []


@both
def test_statistics_are_of_what_is_stored_of_train(tmp_path: Path, data: dict[str, Any]) -> None:
    store = Store.open(prepare({**data, "store": "encoded"}, tmp_path))
    unit = store.read(store.train_idx, 88) / 255
    np.testing.assert_allclose(store.mean_C, unit.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(store.std_C, unit.std((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("size", [80, [100, 64]])
def test_pictures_are_their_middle_in_that_shape_not_squashed(tmp_path: Path, data: dict[str, Any], size: Any) -> None:
    """Beside Pillow's antialiased resize of the same part: equal but for the filter; a squashed one is far away."""
    store = Store.open(prepare({**data, "store": "raw", "image_size": size}, tmp_path))
    images, (height, width) = store.read(np.arange(24), store.stored_size).astype(float), sides(store.stored_size)
    for number in (0, 11, 23):
        upright = Image.fromarray(decode_of(data, number))
        scale = min(upright.width / width, upright.height / height)
        wide, high = round(scale * width), round(scale * height)
        left, top = (upright.width - wide) // 2, (upright.height - high) // 2
        part = np.asarray(upright.crop((left, top, left + wide, top + high)).resize((width, height), Image.Resampling.BILINEAR))
        squashed = np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR))
        near, far = (np.abs(images[number] - other).mean() for other in (part, squashed))
        assert near < 7 and (far > 2 * near or upright.width * height == upright.height * width)


@pytest.mark.parametrize("frame", ["crop", "pad", "squash"])
def test_crops_are_of_the_whole_picture_whatever_the_frame(tmp_path: Path, data: dict[str, Any], frame: str) -> None:
    """Beside Pillow's antialiased resize of the same part of the file: a corner that no centre square has."""
    raw, encoded = (Store.open(prepare({**data, "frame": frame, "store": kind}, tmp_path)) for kind in ("raw", "encoded"))
    rows = np.array([0, 23, 11])
    shape_N2 = raw.croppable_N2(rows)
    assert shape_N2 is not None and shape_N2.tolist() == [list(decode_of(data, row).shape[:2]) for row in rows]
    box_N4 = np.stack([0 * rows, 0 * rows, shape_N2[:, 0] // 2, shape_N2[:, 1] // 3], axis=1)
    crops = raw.read_crops(rows, box_N4, 40)
    np.testing.assert_array_equal(crops, encoded.read_crops(rows, box_N4, 40))
    for crop, row, (_, _, bottom, right) in zip(crops, rows, box_N4, strict=True):
        picture = decode_of(data, row)
        parts = (Image.fromarray(one).resize((40, 40), Image.Resampling.BILINEAR) for one in (picture[:bottom, :right], picture[:bottom]))
        near, far = (np.abs(crop - np.asarray(part).astype(int)).mean() for part in parts)
        assert near < 10 and far > 2 * near


def decode_of(data: dict[str, Any], number: int) -> np.ndarray:
    import pyarrow.parquet as pq

    return decode(pq.read_table(data["train"]).column("image")[number].as_py()["bytes"])


def test_the_view_is_indexed_like_an_array(tmp_path: Path, data: dict[str, Any]) -> None:
    view = Store.open(prepare({**data, "store": "encoded"}, tmp_path)).images_NHWC
    whole = np.asarray(view)
    assert view.shape == whole.shape == (24, 80, 80, 3) and view.nbytes == whole.nbytes and len(view) == 24
    mask = LABELS == 1
    for key in (3, -1, slice(2, 9, 3), np.array([5, 5, 1]), mask, (slice(None), 4, slice(2, 5)), (7, slice(1, 3)), [2, 1]):
        np.testing.assert_array_equal(view[key], whole[key])


@pytest.mark.parametrize(("encoded_s", "kind"), [(1.0, "raw"), (0.0, "encoded")])
def test_the_faster_form_is_taken_and_said(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, encoded_s: float, kind: str
) -> None:
    monkeypatch.setattr(choose_form, "_decode_s", lambda sample, form: encoded_s)
    store = Store.open(prepare(data, tmp_path / "cache"))
    assert store.kind == kind and "for each picture of 88 px" in store.report().form


def test_without_room_for_pixels_files_are_kept(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 23 * 88**2 * 3})())
    monkeypatch.setattr(choose_form, "_sample", lambda source: [png(np.zeros((100, 120, 3), np.uint8))])  # as though files were small
    assert Store.open(prepare(data, tmp_path / "cache")).kind == "encoded"
    with pytest.raises(UserError, match="must have room"):
        prepare({**data, "store": "raw"}, tmp_path / "cache")


def test_pictures_in_their_own_shapes_are_not_decoded_again(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingest that ended at its last step goes on from its chunks; one of them that was damaged meanwhile is done again."""
    whole = prepare({**data, "store": "raw"}, tmp_path / "other").read_bytes()
    monkeypatch.setattr(cut_chunks, "_MOST_ROWS", 8)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(run_ingest, "write_store", Mock(side_effect=RuntimeError))
        prepare({**data, "store": "raw"}, tmp_path / "cache")
    chunks = sorted((tmp_path / "cache").rglob("*.chunk"))
    content = bytearray(chunks[1].read_bytes())
    content[1000] ^= 1
    chunks[1].write_bytes(content)
    decoded = Mock(side_effect=chunk.values_and_size)
    monkeypatch.setattr(chunk, "values_and_size", decoded)
    assert prepare({**data, "store": "raw"}, tmp_path / "cache").read_bytes() == whole
    assert len(chunks) == 3 and decoded.call_count == 8


def test_digits_have_no_files_to_keep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.store can be encoded only where every picture is a file"):
        prepare({"source": "digits", "store": "encoded"}, tmp_path / "cache")


@both
@pytest.mark.parametrize("kind", ["raw", "encoded"])
def test_verifying_names_the_damaged_shard(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("visiontune.data.ingest.write_store.SHARD_BYTES", 8 * 88**2 * 3 if kind == "raw" else 60_000)
    path = prepare({**data, "store": kind}, tmp_path / "cache")
    store = Store.open(path)
    assert len(store.shards) >= 3 and store.shards[-1].end == 24 and list(store.damaged()) == []
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # labels and metadata lie at the ends
    path.write_bytes(content)
    damaged = list(Store.open(path).damaged())
    assert len(damaged) == 1 and damaged[0] in store.shards and 0 < damaged[0].start < damaged[0].end < 24


TEN = """
import json, os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from visiontune.data.store.store import Store
import numpy, pyarrow

opened, read, end = os.pipe(), os.pipe(), os.pipe()
for number in range(10):
    if os.fork() == 0:
        store = Store.open(Path({store!r}))
        total = int(store.images_NHWC.sum(dtype=numpy.int64))
        os.write(opened[1], b".")
        os.read(read[0], 1)
        pss = 0
        lines = iter(open("/proc/self/smaps"))
        for line in lines:
            if {store!r} in line:
                pss += next(int(one.split()[1]) for one in lines if one.startswith("Pss:"))
        os.write(1, (json.dumps([total, pss]) + "\\n").encode())
        os.write(opened[1], b".")
        os.read(end[0], 1)
        os._exit(0)
for gate in (read, end):
    for _ in range(10):
        os.read(opened[0], 1)
    os.write(gate[1], b"." * 10)
for _ in range(10):
    os.wait()
"""


@pytest.mark.heavy
def test_ten_processes_need_the_memory_of_one_store(tmp_path: Path) -> None:
    """Each opens the store itself and reads all of it; the kernel's proportional share of each, summed, is the file once."""
    images = np.random.default_rng(0).integers(0, 256, (4000, 48, 48, 3), dtype=np.uint8)
    encoded = [cv2.imencode(".bmp", picture)[1].tobytes() for picture in images]
    path = prepare({"source": "parquet", "train": str(write(tmp_path / "t.parquet", encoded, np.arange(4000) % 2))}, tmp_path / "cache")
    code = TEN.format(path=[entry for entry in sys.path if entry], store=str(path))
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in out.splitlines()]
    size_kib = path.stat().st_size / 1024
    assert len(found) == 10 and {total for total, _ in found} == {int(images.sum(dtype=np.int64))}
    assert 0.95 * size_kib < sum(pss for _, pss in found) < 1.05 * size_kib


@pytest.mark.parametrize("size", [24, 150])
@pytest.mark.parametrize("channels", [1, 3])
def test_sums_are_those_of_whole_numbers(size: int, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, size, size, channels), dtype=np.uint8)
    images[3:5] = 255
    values = images.astype(np.int64)
    np.testing.assert_array_equal(sums_of_each(images), np.stack([values.sum((1, 2)), (values**2).sum((1, 2))], 1))


@pytest.mark.parametrize("shape", [(200, 300, 3), (200, 300, 1), (90, 61, 3), (40, 40, 1)])
def test_what_is_put_is_what_is_applied(shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for channels in {shape[2], 3}:
        form = Form("raw", (80, 80), (88, 88), channels, True)
        out = np.zeros((2, 88, 88, channels), np.uint8)
        form.put(picture, out[1])
        np.testing.assert_array_equal(out[1], form.apply(picture))
        assert out[0].max() == 0
