"""Tables as people have them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import Row, hold
from picture_files import COLOUR, png

from visiontune.data.readers.parquet import parquet

ENCODED = [png(picture) for picture in COLOUR[:6]]


def _parquets(files: dict[str, Sequence[Any]], image: str = "struct") -> Callable[[Path], None]:
    """Files of labels, each beside a picture whose path is a letter that goes on from file to file."""

    def make(root: Path) -> None:
        done = 0
        for name, labels in files.items():
            names = [chr(ord("a") + done + row) for row in range(len(labels))]
            done += len(labels)
            pictures = [{"bytes": ENCODED[row % 6], "path": name} for row, name in enumerate(names)]
            column = pa.array([one["bytes"] for one in pictures]) if image == "binary" else pa.array(pictures)
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"image": column, "label": pa.array(labels)}), root / name)

    return make


TWO = ["cat", "dog"]
PARQUET = {
    "a file beside a numbered one": Row(
        _parquets({"train.parquet": TWO, "train_2.parquet": TWO, "test.parquet": TWO, "trainer.parquet": TWO, "x.parquet": TWO}),
        {"train": {"a": "cat", "b": "dog", "c": "cat", "d": "dog"}, "test": {"e": "cat", "f": "dog"}},
        said=(
            "train has the rows of 2 files: train.parquet, train_2.parquet",
            "2 of 5 Parquet files are read for no part: trainer",
        ),
        source="parquet",
    ),
    "a file beside the same in shards": Row(
        _parquets({"train.parquet": TWO, "train-00000-of-00002.parquet": TWO, "train-00001-of-00002.parquet": TWO}),
        refused=("must hold the rows of train once", "train-00000-of-00002.parquet, train-00001-of-00002.parquet, train.parquet"),
    ),
    "two numbers of shards": Row(
        _parquets({"train-00000-of-00001.parquet": TWO, "train-00000-of-00002.parquet": TWO}), refused=("may repeat them",)
    ),
    "a shard is missing": Row(
        _parquets({"train-00000-of-00003.parquet": TWO, "train-00002-of-00003.parquet": TWO}),
        {"train": {"a": "cat", "b": "dog", "c": "cat", "d": "dog"}},
        said=("of 3 files train-*-of-00003 these are missing: 00001",),
    ),
    "two words for one part": Row(
        _parquets({"train.parquet": TWO, "valid.parquet": TWO, "dev.parquet": TWO}),
        refused=("one word for val", "dev.parquet"),
    ),
    "folders for parts": Row(
        _parquets({"default/train/0000.parquet": TWO, "default/test/0000.parquet": TWO}),
        {"train": {"a": "cat", "b": "dog"}, "test": {"c": "cat", "d": "dog"}},
    ),
    "two configurations": Row(_parquets({"a/train.parquet": TWO, "b/train.parquet": TWO}), refused=("in 2 places (a, b)",)),
    "all files of a folder with parts": Row(
        _parquets({"train.parquet": TWO, "test.parquet": TWO}),
        refused=("must be files of train", "test.parquet, which is of test by its name", "train-*.parquet"),
        data={"train": "."},
    ),
    "labels that are missing": Row(
        _parquets({"train.parquet": [0, None, 1, 1]}),
        {"train": {"a": "0", "c": "1", "d": "1"}},
        aside={"train.parquet: row 1": "has no label"},
    ),
    "labels that pandas made floats": Row(
        _parquets({"train.parquet": [10.0, float("nan"), 9.0]}),
        {"train": {"a": "10", "c": "9"}},
        aside={"train.parquet: row 1": "has no label"},
    ),
    "words for no label": Row(
        _parquets({"train.parquet": ["NaN", "cat", "dog", "n/a"]}),
        {"train": {"b": "cat", "c": "dog"}},
        aside={"train.parquet: row 0": "has no label", "train.parquet: row 3": "has no label"},
        said=("2 labels are words such as NaN or NA",),
    ),
    "truth for a label": Row(_parquets({"train.parquet": [True, False]}), {"train": {"a": "true", "b": "false"}}),
    "pandas' bytes": Row(_parquets({"train.parquet": TWO}, "binary"), {"train": {"0": "cat", "1": "dog"}}, source="parquet"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_what_parquet_holds_is_what_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hold(PARQUET[name], tmp_path)


def test_rows_without_labels_move_no_picture(tmp_path: Path) -> None:
    _parquets({"train.parquet": [0, None, 1, 1]}, "binary")(tmp_path)
    source = parquet(train=str(tmp_path / "train.parquet"))
    assert [*source.keys("train")] == ["0", "2", "3"]
    for found, row in zip(source.pictures("train", np.arange(3)), (0, 2, 3), strict=True):
        np.testing.assert_array_equal(found, COLOUR[row])
