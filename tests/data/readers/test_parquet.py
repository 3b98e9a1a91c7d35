"""What a source promises beyond pixels: rows in any parts, many threads, keys that stay, reasons in place of pictures."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import COLOUR, LABELS, png, write

from visiontune.data.ingest import cut_chunks
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.prepare import prepare
from visiontune.data.readers.detect import detect_source
from visiontune.data.readers.parquet import parquet
from visiontune.data.readers.picture_tables import ParquetTable
from visiontune.data.source import Source
from visiontune.data.store.store import Store
from visiontune.errors import UserError

ENCODED = [png(picture) for picture in COLOUR]


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return parquet(train=str(write(tmp_path / "train.parquet", [*ENCODED], LABELS, row_group_size=7)))


@pytest.mark.parametrize("rows", [[], [0], [29], [6, 7], [13, 14, 28], [*range(30)], [*range(1, 30, 3)]])
def test_any_rows_across_row_groups(source: Source, rows: list[int]) -> None:
    assert source.encoded is not None
    assert list(source.encoded("train", np.array(rows, np.int64))) == [ENCODED[row] for row in rows]
    found = list(source.pictures("train", np.array(rows, np.int64)))
    assert all(np.array_equal(one, COLOUR[row]) for one, row in zip(found, rows, strict=True))


def test_many_threads_at_once(source: Source) -> None:
    found: dict[int, bool] = {}

    def read(start: int) -> None:
        rows = np.arange(start, 30, 4)
        found[start] = all(np.array_equal(one, COLOUR[row]) for one, row in zip(source.pictures("train", rows), rows, strict=True))

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_one_item_for_each_row_also_for_bad_ones(tmp_path: Path) -> None:
    encoded: list[bytes | None] = [*ENCODED]
    encoded[3], encoded[8], encoded[9] = None, b"", ENCODED[9][:-20]
    source = parquet(train=str(write(tmp_path / "train.parquet", encoded, LABELS, row_group_size=4)))
    found = list(source.pictures("train", np.arange(30)))
    assert {row: str(one) for row, one in enumerate(found) if isinstance(one, BadPicture)} == {
        3: "has no bytes (a path beside it is not followed)",
        8: "has no bytes (a path beside it is not followed)",
        9: "is truncated or damaged",
    }
    assert source.names("train")[3] == f"{tmp_path}/train.parquet: row 3" and source.set_aside == ()


@pytest.mark.parametrize(
    ("paths", "keys"),
    [
        ([f"{row}.png" for row in range(30)], [f"{row}.png" for row in range(30)]),
        ([f"{row % 28}.png" for row in range(30)], [*(f"{row}.png" for row in range(28)), "0.png#2", "1.png#2"]),
        ([None, *(f"{row}.png" for row in range(1, 30))], ["0", *(f"{row}.png" for row in range(1, 30))]),
        ([None] * 30, [str(row) for row in range(30)]),
    ],
)
def test_a_key_is_the_path_whatever_the_other_paths_are(tmp_path: Path, paths: list[str | None], keys: list[str]) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    image = pa.array([{"bytes": value, "path": path} for value, path in zip(ENCODED, paths, strict=True)], kind)
    pq.write_table(pa.table({"image": image, "label": LABELS}), tmp_path / "a.parquet", row_group_size=7)
    assert [*parquet(train=str(tmp_path / "a.parquet")).keys("train")] == keys


def test_classes_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.parquet", [*ENCODED], np.array(["cat", "dog", "Cat"])[LABELS])
    with pytest.raises(UserError, match="'Cat' and 'cat' do not"):
        parquet(train=str(path))


def test_a_stamp_follows_the_file(tmp_path: Path, source: Source) -> None:
    assert source.stamps is not None
    before = source.stamps().text, source.content()
    assert before == (source.stamps().text, source.content())
    write(tmp_path / "train.parquet", [*ENCODED], LABELS)
    again = parquet(train=str(tmp_path / "train.parquet"))
    assert again.stamps is not None and again.stamps().text != before[0] and again.content() != before[1]


def test_files_that_write_numbers_in_two_ways_are_another_store_only_where_one_has_names(tmp_path: Path) -> None:
    """The content of two files that agree ends as it did before all files decided together."""
    contents = []
    for number, second in enumerate((["1", "2", "1"], ["1.0", "2.0", "x"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, labels in {"train-0.parquet": ["1.0", "2.0", "1.0"], "train-1.parquet": second}.items():
            write(folder / name, ENCODED[:3], labels)
        contents.append(parquet(train=str(folder)).content())
    assert contents[0].endswith(" image label train 2") and contents[1].endswith(" image label points train 2")


def shards(folder: Path, part: str, parts: list[slice]) -> str:
    """Files named as Hugging Face names them; a pattern for all."""
    folder.mkdir(exist_ok=True)
    for number, some in enumerate(parts):
        write(folder / f"{part}-{number:05d}-of-{len(parts):05d}.parquet", ENCODED[some], LABELS[some], row_group_size=4)
    return str(folder / f"{part}-*.parquet")


@pytest.mark.parametrize("rows", [[], [0], [9, 10], [12, 13, 29], [*range(30)], [*range(1, 30, 3)]])
def test_many_files_are_one_sequence_of_rows(tmp_path: Path, source: Source, rows: list[int]) -> None:
    pattern = shards(tmp_path / "data", "train", [slice(0, 10), slice(10, 13), slice(13, 30)])
    for text in (pattern, str(tmp_path / "data")):
        many = parquet(train=text)
        assert many.encoded is not None
        assert list(many.encoded("train", np.array(rows, np.int64))) == [ENCODED[row] for row in rows]
    np.testing.assert_array_equal(many.labels()["train"], LABELS)
    assert many.keys("train") == source.keys("train")  # the same splits, however pictures lie in files
    assert many.names("train")[11] == f"{tmp_path}/data/train-00001-of-00003.parquet: row 1"


def test_files_for_validation_are_the_validation(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    train, val = shards(folder, "train", [slice(0, 10), slice(10, 20)]), shards(folder, "validation", [slice(20, 30)])
    store = Store.open(prepare({"source": "parquet", "train": train, "val": val}, tmp_path / "cache"))
    np.testing.assert_array_equal(store.images_NHWC[store.val_idx], COLOUR[20:])
    assert len(store.train_idx) + len(store.test_idx) == 20
    assert detect_source(str(tmp_path)) == {
        "source": "parquet",
        "train": f"{tmp_path}/data/train[!a-zA-Z]*.parquet",
        "val": f"{tmp_path}/data/validation-00000-of-00001.parquet",
        "image_column": "image",
    }
    assert prepare(detect_source(str(tmp_path)), tmp_path / "cache") == store.path


def test_every_file_counts_for_content_stamp_and_labels(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    pattern = shards(folder, "train", [slice(0, 10), slice(10, 30)])
    first = parquet(train=pattern)
    assert first.stamps is not None
    before = first.stamps().text, first.content()
    write(folder / "train-00001-of-00002.parquet", ENCODED[10:], LABELS[10:][::-1])
    again = parquet(train=pattern)
    assert again.stamps is not None and again.stamps().text != before[0] and again.content() != before[1]
    write(folder / "train-00001-of-00002.parquet", ENCODED[10:], np.array(["a", "b", "c"])[LABELS[10:]])
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet: labels must be of one kind"):
        parquet(train=pattern)


@pytest.mark.parametrize(("size", "num_chunks"), [(7, 2), (30, 2), (20, 2), (3, 2)])
def test_a_row_group_is_read_once_however_chunks_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, num_chunks: int) -> None:
    monkeypatch.setattr(cut_chunks, "_WORK_PIXELS", 0)  # chunks of 16: two small groups, or a part of a large one
    path = write(tmp_path / "train.parquet", [png(picture) for picture in COLOUR], LABELS, row_group_size=size)
    reads, original = Counter[int](), ParquetTable.read_group

    def counted(self: ParquetTable, column: str, number: int) -> Any:
        reads[number] += 1
        return original(self, column, number)

    monkeypatch.setattr(ParquetTable, "read_group", counted)
    source = parquet(train=str(path))
    assert len(cut_chunks.cut({"train": np.arange(len(COLOUR))}, (8, 8, 3), source.begins)) == num_chunks
    source.first()
    reads.clear()
    store = Store.open(prepare({"source": "parquet", "train": str(path)}, tmp_path / "cache", source=source))
    assert max(reads.values(), default=0) <= 1
    assert sorted(picture.tobytes() for picture in store.images_NHWC) == sorted(picture.tobytes() for picture in COLOUR)
