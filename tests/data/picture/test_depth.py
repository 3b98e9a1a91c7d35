"""Instruments with 10 to 14 bits in files of 16, and DICOM: each row is what lies there and what becomes of a value."""

from __future__ import annotations

import io
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from visiontune.data.ingest.plan import make_plan
from visiontune.data.ingest.progress import Stopped
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import decode, shape_of
from visiontune.data.picture.depth import depth_around, eight_bits
from visiontune.data.picture.stored_form import Form
from visiontune.data.prepare import prepare, source_of, with_defaults
from visiontune.data.split import TEST, TRAIN
from visiontune.data.store.store import Store
from visiontune.errors import UserError

RNG = np.random.default_rng(0)


def deep_png(values: np.ndarray) -> bytes:
    return cv2.imencode(".png", values.astype(np.uint16))[1].tobytes()


@pytest.mark.parametrize(
    ("ends", "depth"),
    [
        ((0, 200), (0, 255)),
        ((3, 900), (0, 1023)),
        ((0, 3987), (0, 4095)),
        ((0, 4096), (0, 16383)),
        ((0, 40_000), (0, 65_535)),
        ((-1000, 3000), (-1024, 4095)),
    ],
)
def test_the_range_of_an_instrument(ends: tuple[int, int], depth: tuple[int, int]) -> None:
    assert depth_around(*ends) == depth
    values = np.array([[[depth[0]], [depth[1]], [depth[0] - 1], [depth[1] + 1]]], np.float64)
    assert eight_bits(values, depth).ravel().tolist() == [0, 255, 0, 255]
    every = np.arange(depth[0], depth[1] + 1)[np.newaxis, :, np.newaxis]
    assert len(np.unique(eight_bits(every, depth))) == 256


def instrument(root: Path, top: int, num: int = 40) -> dict[str, Any]:
    """Two classes of grey pictures of 16 bits, the greatest value of all `top`."""
    for number in range(num):
        values = RNG.integers(0, top + 1, (8, 8))
        values[0, 0] = top
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(deep_png(values))
    return {"source": "folder", "path": str(root)}


@pytest.mark.parametrize(
    ("top", "depth", "expected", "said"),
    [
        (4000, "auto", (0, 4095), "values from 0 to 4,095 become 0 to 255"),
        (60_000, "auto", (0, 65_535), ""),
        (4000, 16, (0, 65_535), ""),
        (255, 8, (0, 255), "values from 0 to 255"),
        (4000, [1000, 2000], (1000, 2000), "values from 1,000 to 2,000"),
    ],
)
def test_a_store_maps_as_its_training_split_holds(tmp_path: Path, top: int, depth: Any, expected: tuple[int, int], said: str) -> None:
    data = instrument(tmp_path / "pictures", top)
    store = Store.open(prepare({**data, "depth": depth}, tmp_path / "cache"))
    assert store.depth == expected and all(said in note for note in store.report().notes) and bool(store.report().notes) == bool(said)
    assert not store.report().has_eight_bits
    stored = {picture.tobytes() for picture in store.images_NHWC}
    for file in Path(data["path"]).glob("*/*.png"):
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(float)
        low, high = expected
        assert np.rint((np.clip(values, low, high) - low) * 255 / (high - low)).astype(np.uint8).tobytes() in stored


def test_another_split_after_a_stopped_ingest_has_the_depth_of_its_own_training_pictures(tmp_path: Path) -> None:
    """One picture holds more than the others: with the first seed it is of train, with the second of the test."""
    data = instrument(tmp_path / "pictures", 1000)
    plans = [make_plan(source_of(data), with_defaults({**data, "seed": seed})) for seed in range(60)]
    brightest = next(row for row in range(40) if plans[0].code_N[row] == TRAIN)
    seed = next(seed for seed, plan in enumerate(plans) if plan.code_N[brightest] == TEST)
    Path(plans[0].name(brightest)).write_bytes(deep_png(RNG.integers(0, 4001, (8, 8)) | 2048))
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        prepare({**data, "seed": 0, "depth": "auto"}, tmp_path / "cache", stop=stop)
    assert len(list((tmp_path / "cache").glob(".*.parts/form.json"))) == 1
    made = Store.open(prepare({**data, "seed": seed, "depth": "auto"}, tmp_path / "cache"))
    assert made.depth == Store.open(prepare({**data, "seed": seed, "depth": "auto"}, tmp_path / "other")).depth == (0, 1023)


def test_what_is_used_maps_as_what_was_trained_on() -> None:
    values = RNG.integers(0, 4096, (8, 8))
    form = Form.from_json({**Form("raw", (8, 8), (8, 8), 1, False, low=0, high=4095).to_json()})
    assert np.array_equal(form.picture_of(deep_png(values))[:, :, 0], np.rint(values * 255 / 4095).astype(np.uint8))


@pytest.mark.parametrize("depth", [12, [10, 10], [20, 10]])
def test_what_says_no_range_is_one_sentence(tmp_path: Path, depth: Any) -> None:
    with pytest.raises(UserError, match=r"data\.depth: must be auto, 8, 16 or \[low, high\] with low < high, but got .*; nearest is"):
        prepare({"source": "digits", "depth": depth}, tmp_path)


def test_values_of_floats_are_refused() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RNG.random((8, 8)).astype(np.float32)).save(buffer, "tiff")
    with pytest.raises(BadPicture, match="has 32-bit values"):
        decode(buffer.getvalue())


def dicom(stored: np.ndarray, **tags: Any) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, data.file_meta.MediaStorageSOPInstanceUID
    bits = 8 * stored.dtype.itemsize
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = *stored.shape[-2:], 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, min(bits, 12), min(bits, 12) - 1, 0
    data.PixelData = stored.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


CT = np.arange(48, dtype=np.uint16).reshape(6, 8) * 80
HOUNSFIELD = CT * 1.0 - 1024


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (lambda: dicom(CT), CT),
        (lambda: dicom(CT, RescaleSlope="1", RescaleIntercept="-1024"), HOUNSFIELD),
        (lambda: dicom(CT, PhotometricInterpretation="MONOCHROME1"), 4095.0 - CT),
        (lambda: dicom(CT, PhotometricInterpretation="MONOCHROME1", RescaleSlope="1", RescaleIntercept="-1024"), 2047 - HOUNSFIELD),
    ],
    ids=["stored", "Hounsfield", "inverse", "inverse Hounsfield"],
)
def test_dicom_gives_the_values_of_its_modality(content: Any, values: np.ndarray) -> None:
    encoded, depth = content(), (-1024.0, 4095.0)
    assert shape_of(encoded) == (6, 8, 1)
    np.testing.assert_array_equal(decode(encoded, depth=depth)[:, :, 0], eight_bits(values.astype(float), depth))


def test_dicom_of_8_bits_is_as_it_is_and_others_are_refused() -> None:
    np.testing.assert_array_equal(decode(dicom((CT // 16).astype(np.uint8)))[:, :, 0], CT // 16)
    for encoded, reason in (
        (dicom(np.stack([CT, CT]), NumberOfFrames=2), "is DICOM with 2 frames"),
        (dicom(CT, PhotometricInterpretation="PALETTE COLOR"), "is DICOM in PALETTE COLOR"),
        (dicom(CT)[:-10], "is truncated or damaged"),
    ):
        with pytest.raises(BadPicture, match=reason):
            decode(encoded)


@pytest.mark.parametrize("channels", [3, 4])
def test_a_deep_picture_takes_little_more_memory_than_its_own_values(channels: int) -> None:
    """One of 179 megapixels took 12 GB, and 16 with an alpha channel; the same values as by the formula."""
    values = np.zeros((1500, 1500, channels), np.uint16)
    values[::7, :, :3], values[..., 3:] = 21_845, 65_535
    values[3:5] = np.arange(1500 * channels, dtype=np.uint16).reshape(1500, channels)
    encoded = cv2.imencode(".png", values, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    decode(deep_png(values[:9, :9]))  # imports
    tracemalloc.start()
    try:
        picture = decode(encoded)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4.5 * 1500 * 1500 * 6
    alpha = values[..., 3:] / 65535 if channels == 4 else 1.0
    on_white = values[..., 2::-1] * alpha + 65535 * (1 - alpha)
    assert np.array_equal(picture, np.rint(on_white / 257).astype(np.uint8))
    assert np.array_equal(eight_bits(values, (100, 3000))[:2], eight_bits(values[:2], (100, 3000)))
