"""Every mistake in a user's files is one clear sentence that names the place, and nothing is left in the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import COLOUR, LABELS, png, write

from visiontune.data.prepare import describe, prepare
from visiontune.data.readers.detect import detect_source
from visiontune.data.readers.parquet import parquet
from visiontune.errors import UserError

ENCODED = [png(picture) for picture in COLOUR]


def refused(data: dict[str, Any], cache: Path, *, quick: bool = True) -> str:
    if quick:
        with pytest.raises(UserError):
            describe({"source": "parquet", **data})
    with pytest.raises(UserError) as caught:
        prepare({"source": "parquet", **data}, cache)
    assert not list(cache.glob("*.arrow")) and not list(cache.glob("**/*.tmp"))
    return str(caught.value)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ENCODED, LABELS)
    message = refused({"train": str(tmp_path / "trian.parquet")}, tmp_path / "cache")
    assert "data.train" in message and f"nearest is '{tmp_path}/train.parquet'" in message


def test_no_parquet(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("image,label\n")
    assert "must be a Parquet file" in refused({"train": str(tmp_path / "train.parquet")}, tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    assert "data.train: must hold files, but in " in refused({"train": str(tmp_path / "empty")}, tmp_path / "cache")
    message = refused({"train": str(tmp_path / "tain-*.parquet")}, tmp_path / "cache")
    assert "none is named tain-*.parquet" in message and "train.parquet" in message
    assert "there is no " in refused({"train": str(tmp_path / "nowhere" / "*.parquet")}, tmp_path / "cache")


def test_truncated_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, LABELS)
    path.write_bytes(path.read_bytes()[:-100])
    assert "must be a Parquet file" in refused({"train": str(path)}, tmp_path / "cache")


def test_missing_columns_name_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, LABELS)
    message = refused({"train": str(path), "image_column": "images", "label_column": "labels"}, tmp_path / "cache")
    assert "'images' or another one as image_column; nearest is 'image'" in message and "as label_column; nearest is 'label'" in message


def test_image_column_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"image": ["a.png", "b.png"], "label": [0, 1]}), path)
    assert "must be struct<bytes: binary, path: string> or binary, but is string" in refused({"train": str(path)}, tmp_path / "cache")


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.arange(30) / 2, "must hold texts or integers, but holds double, such as 0.5"),
        ([None] * 30, "data.train: must have rows with labels, but "),
        ([*LABELS[:29].tolist(), -1], "at least 0 and at most 9223372036854775807, but row 29 has -1"),
        (np.array([0, 2**63 + 5] * 15, np.uint64), "at most 9223372036854775807, but row 1 has 9223372036854775813"),
        (np.array([0, 0.5] * 15, np.float16), "must hold texts or integers, but holds halffloat, such as 0.5"),
        ([["a"]] * 30, "must hold texts or integers, but holds list"),
        ([7] * 30, "at least 2 classes"),
        ([0] * 29 + [1], "'1' has 1"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, labels: Any, rule: str) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, labels)
    assert rule in refused({"train": str(path)}, tmp_path / "cache")


def test_no_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [], pa.array([], pa.int64()))
    assert "must have rows" in refused({"train": str(path)}, tmp_path / "cache")


def test_a_test_label_that_training_never_saw(tmp_path: Path) -> None:
    train = write(tmp_path / "train.parquet", ENCODED, LABELS)
    test = write(tmp_path / "test.parquet", ENCODED[:4], [0, 1, 5, 2])
    message = refused({"train": str(train), "test": str(test)}, tmp_path / "cache")
    assert "test.parquet" in message and "row 2 has 5" in message


def test_bad_pictures_are_listed_by_file_and_row(tmp_path: Path) -> None:
    encoded: list[bytes | None] = list(ENCODED)
    encoded[17], encoded[20], encoded[29] = ENCODED[17][:-40], None, b"no picture"
    path = write(tmp_path / "train.parquet", encoded, LABELS, row_group_size=8)
    message = refused({"train": str(path)}, tmp_path / "cache", quick=False)
    lines = message.splitlines()
    assert len(lines) == 4 and "of 30 pictures 3 can't be used, more than the share that data.allow_bad = 0.01 allows" in lines[3]
    assert f"{path}: row 17: picture is truncated" in lines[0]
    assert "row 20: picture has no bytes" in lines[1] and "row 29" in lines[2]


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [*ENCODED[:20], png(COLOUR[20][:5]), *ENCODED[21:]], LABELS)
    message = refused({"train": str(path), "val_fraction": 0.3}, tmp_path / "cache", quick=False)
    assert f"{path}: row 20: pictures must all be 12 x 12 unless data.image_size is set, but this is 12 x 5" in message


# A JPEG file without the last byte of its end mark has all of its picture.
@pytest.mark.parametrize(
    ("kind", "cut"), [(kind, cut) for kind in ("png", "webp", "bmp") for cut in (1, 20, 200)] + [("jpeg", 20), ("jpeg", 200)]
)
def test_every_truncation_is_seen(tmp_path: Path, kind: str, cut: int) -> None:
    encoded = [png(picture, kind) for picture in COLOUR]
    encoded[3] = encoded[3][:-cut]
    path = write(tmp_path / "train.parquet", encoded, LABELS)
    assert "row 3: picture is truncated" in refused({"train": str(path)}, tmp_path / "cache", quick=False)


def test_only_the_first_five_bad_pictures_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [b"x"] * 30, LABELS)
    assert len(refused({"train": str(path)}, tmp_path / "cache").splitlines()) == 5


def test_other_sizes_ask_for_image_size(tmp_path: Path) -> None:
    wide = write(tmp_path / "wide.parquet", [png(picture[:8]) for picture in COLOUR], LABELS)
    assert "data.image_size" in refused({"train": str(wide)}, tmp_path / "cache")
    one = write(tmp_path / "one.parquet", [*ENCODED[:29], png(COLOUR[29][:8, :8])], LABELS)
    message = refused({"train": str(one)}, tmp_path / "cache", quick=False)
    assert "row 29" in message and "12 x 12" in message and "data.image_size" in message


def hugging_face(names: list[str]) -> dict[bytes, bytes]:
    return features_with({"names": names, "_type": "ClassLabel"})


def features_with(label: Any) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": label}}}).encode()}


@pytest.mark.parametrize("label", [[], [[]], ["x"], "x", None, 3, {"names": "ab"}, {"names": []}, {"feature": []}, {"feature": "x"}])
def test_metadata_that_name_no_classes_declare_none(tmp_path: Path, label: Any) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, LABELS, features_with(label))
    section = detect_source(str(path))
    assert section["image_column"] == "image" and describe(section).class_names == ("0", "1", "2")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b'{"info": []}', b'{"info": {"features": "x"}}', b"\xff"])
def test_metadata_of_another_shape_declare_none(tmp_path: Path, text: bytes) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, LABELS, {b"huggingface": text})
    assert describe(detect_source(str(path))).class_names == ("0", "1", "2")


def test_class_names_come_from_class_label(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, LABELS, hugging_face(["cat", "dog", "emu"]))
    assert describe({"source": "parquet", "train": str(path)}).class_names == ("cat", "dog", "emu")
    short = write(tmp_path / "short.parquet", ENCODED, LABELS, hugging_face(["cat", "dog"]))
    assert "row 2 has 2" in refused({"train": str(short)}, tmp_path / "cache")


def test_numbers_mean_the_classes_that_their_own_file_declares(tmp_path: Path) -> None:
    """A split that was encoded by itself, and lacks a class, counts otherwise."""
    train = write(tmp_path / "train.parquet", ENCODED, LABELS, hugging_face(["cat", "dog", "emu"]))
    val = write(tmp_path / "val.parquet", ENCODED[:3], [0, 1, -1], hugging_face(["dog", "emu"]))
    source = parquet(train=str(train), val=str(val))
    assert source.labels()["val"].tolist() == [1, 2] and source.labels()["train"].tolist() == LABELS.tolist()
    assert source.notes == (f"{val} numbers classes otherwise than the first file, so they are taken by name",)
    as_before = parquet(train=str(train), val=str(write(val, ENCODED[:3], [0, 1, -1], hugging_face(["cat", "dog", "emu"]))))
    assert as_before.notes == () and " by name" in source.content() and " by name" not in as_before.content()
    for names, label, said in ((["cow", "dog"], 0, "row 0 has 'cow'; "), (["dog"], 1, "row 0 has '1'")):
        write(val, ENCODED[:1], [label], hugging_face(names))
        with pytest.raises(UserError, match=f"labels must be among the 3 classes of the training file, but {said}"):
            parquet(train=str(train), val=str(val))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())])
def test_names_are_sorted_to_classes(tmp_path: Path, kind: Any) -> None:
    names = np.array(["emu", "cat", "dog"])[LABELS]
    path = write(tmp_path / "train.parquet", ENCODED, pa.array(names.tolist()).cast(kind))
    test = write(tmp_path / "test.parquet", ENCODED[:2], ["dog", "cat"])
    from visiontune.data.store.store import Store

    store = Store.open(prepare({"source": "parquet", "train": str(path), "test": str(test), "duplicates": "keep"}, tmp_path / "cache"))
    assert store.class_names == ("cat", "dog", "emu")
    np.testing.assert_array_equal(np.array(store.class_names)[store.labels_N], [*names, "dog", "cat"])
    mixed = write(tmp_path / "mixed.parquet", ENCODED[:2], [0, 1])
    assert "one kind" in refused({"train": str(path), "test": str(mixed)}, tmp_path / "cache2")


def test_integer_labels_need_not_start_at_0(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", ENCODED, np.array([3, 10, 7])[LABELS].astype(np.uint8))
    assert describe({"source": "parquet", "train": str(path)}).class_names == ("3", "7", "10")
