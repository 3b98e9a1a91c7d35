"""Tables as people have them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import Row, differences
from picture_files import COLOUR, png
from source_files import tree

from visiontune.data.readers.parquet import parquet
from visiontune.data.readers.saved_dataset import saved_dataset

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
    "labels of half precision": Row(
        _parquets({"train.parquet": np.array([2048, np.nan, 9], np.float16)}),
        {"train": {"a": "2048", "c": "9"}},
        aside={"train.parquet: row 1": "has no label"},
    ),
    "views of texts": Row(
        _parquets({"train.parquet": pa.array(["1.0", "nan", "2.0", None], pa.string_view())}),
        {"train": {"a": "1", "c": "2"}},
        aside={"train.parquet: row 1": "has no label", "train.parquet: row 3": "has no label"},
        said=("1 label is a word such as NaN",),
    ),
    "lists of views": Row(
        _parquets({"train.parquet": pa.array([["cat"], ["dog", "cat"]], pa.list_(pa.string_view()))}),
        {"train": {"a": "cat", "b": "cat|dog"}},
        data={"labels": "many"},
    ),
    "words for no label": Row(
        _parquets({"train.parquet": ["NaN", "cat", "dog", "n/a"]}),
        {"train": {"b": "cat", "c": "dog"}},
        aside={"train.parquet: row 0": "has no label", "train.parquet: row 3": "has no label"},
        said=("2 labels are words such as NaN or NA",),
    ),
    "a label in two ways of Unicode": Row(
        _parquets({"train.parquet": ["Ba\u0308r", "dog"], "train_2.parquet": ["B\xe4r"]}),
        {"train": {"a": "B\xe4r", "b": "dog", "c": "B\xe4r"}},
        said=("labels that Unicode can write in 2 ways are one class: 'B\xe4r'", "train has the rows of 2 files"),
    ),
    "floats in one file and a name in another": Row(
        _parquets({"train-00000-of-00002.parquet": ["1.0", "2.0"], "train-00001-of-00002.parquet": ["1.0", "2.0", "x"]}),
        {"train": {"a": "1.0", "b": "2.0", "c": "1.0", "d": "2.0", "e": "x"}},
    ),
    "floats in val and a name in train": Row(
        _parquets({"train.parquet": ["1.0", "2.0", "x"], "val.parquet": ["1.0", "2.0"]}),
        {"train": {"a": "1.0", "b": "2.0", "c": "x"}, "val": {"d": "1.0", "e": "2.0"}},
    ),
    "floats in one file and integers in another": Row(
        _parquets({"train.parquet": ["1", "2"], "val.parquet": ["1.0", None]}),
        {"train": {"a": "1", "b": "2"}, "val": {"c": "1"}},
        aside={"val.parquet: row 1": "has no label"},
    ),
    "truth for a label": Row(_parquets({"train.parquet": [True, False]}), {"train": {"a": "True", "b": "False"}}),
    "pandas' bytes": Row(_parquets({"train.parquet": TWO}, "binary"), {"train": {"0": "cat", "1": "dog"}}, source="parquet"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_what_parquet_holds_is_what_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert differences(PARQUET[name], tmp_path) == []


def test_rows_without_labels_move_no_picture(tmp_path: Path) -> None:
    _parquets({"train.parquet": [0, None, 1, 1]}, "binary")(tmp_path)
    source = parquet(train=str(tmp_path / "train.parquet"))
    assert [*source.keys("train")] == ["0", "2", "3"]
    for found, row in zip(source.pictures("train", np.arange(3)), (0, 2, 3), strict=True):
        np.testing.assert_array_equal(found, COLOUR[row])


def _table(text: str | bytes, *names: str, name: str = "labels.csv") -> Callable[[Path], str]:
    """A table beside pictures of these names; the table is what is read."""

    def make(root: Path) -> str:
        tree(root, {one: index % 30 for index, one in enumerate(names)})
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
        return str(root / name)

    return make


def _tables(train: str, val: str) -> Callable[[Path], str]:
    """One of pictures a to c and another of d and e."""

    def make(root: Path) -> str:
        _table(val, "d.png", "e.png", name="val.csv")(root)
        return Path(_table(train, "a.png", "b.png", "c.png")(root)).name

    return make


AB = ("a.png", "b.png")
GOOD = "path,label\na.png,cat\nb.png,dog\n"
AS_GOOD = {"train": {"a.png": "cat", "b.png": "dog"}}
IDS = "id,breed\na,cat\nb,dog\nc,cat\nd,dog\n"
OF_IDS = {"train": {"a.jpg": "cat", "b.jpg": "dog", "c.jpg": "cat", "d.jpg": "dog"}}
JPGS = tuple(OF_IDS["train"])
SUFFIX = "4 paths are files but for their suffix or case, such as 'a': "
VOTES = "path,label\n" + "".join(
    f"{row},{label}\n" for row, label in zip("aaabbcc", ("cat", "cat", "dog", "dog", "dog", "cat", "dog"), strict=True)
)
VOTES = VOTES.replace("a,", "a.png,").replace("b,", "b.png,").replace("c,", "c.png,")
ONE_HOT = "path,cat,dog\na.png,1,0\nb.png,0,1.0\nc.png,1,1\nd.png,0,\n"
HAS_IDS = {"path_column": "id", "label_column": "breed"}
MANIFESTS = {
    "a table": Row(_table(GOOD, *AB), AS_GOOD, source="manifest"),
    "Excel's UTF-16": Row(_table(b"\xff\xfe" + GOOD.replace(",", "\t").encode("utf-16-le"), *AB), AS_GOOD),
    "Excel's CSV in Windows' own letters": Row(_table(GOOD.replace("cat", "bär").encode("cp1252"), *AB), refused=("save it as CSV UTF-8",)),
    "Excel's sep": Row(_table("\ufeffsep=;\r\n" + GOOD.replace(",", ";").replace("\n", "\r\n"), *AB), AS_GOOD),
    "spaces around the names of columns": Row(_table(GOOD.replace("path,label", " path , label "), *AB), AS_GOOD),
    "a column that stands twice": Row(
        _table("path,label,label\na.png,cat,dog\nb.png,dog,cat\n", *AB), refused=("column 'label': must stand once, but stands 2 times",)
    ),
    "another column that stands twice": Row(_table("path,label,,\na.png,cat,,\nb.png,dog,,\n", *AB), AS_GOOD),
    "Parquet with a column twice": Row(
        lambda root: (
            pq.write_table(pa.table([["a.png"], ["cat"], ["dog"]], ["path", "label", "label"]), root / "m.parquet")
            or str(root / "m.parquet")
        ),
        refused=("column 'label': must stand once",),
    ),
    "no line of names": Row(_table("a.png,cat\nb.png,dog\n", *AB), refused=("write a line of names above it, such as path,label",)),
    "numbers that pandas made floats": Row(_table("path,label\na.png,1.0\nb.png,0.0\n", *AB), {"train": {"a.png": "1", "b.png": "0"}}),
    "floats in one table and a name in another": Row(
        _tables("path,label\na.png,1.0\nb.png,0.0\nc.png,x\n", "path,label\nd.png,1.0\ne.png,\n"),
        {"train": {"a.png": "1.0", "b.png": "0.0", "c.png": "x"}, "val": {"d.png": "1.0"}},
        aside={"e.png": "has no label"},
        data={"val": "val.csv"},
    ),
    "a whole path and one from here": Row(
        lambda root: str(root / _tables("path,label\na.png,cat\nb.png,dog\nc.png,cat\n", "path,label\nd.png,cat\ne.png,dog\n")(root)),
        {"train": {"a.png": "cat", "b.png": "dog", "c.png": "cat"}, "val": {"d.png": "cat", "e.png": "dog"}},
        data={"val": "val.csv"},
    ),
    "floats in one table and integers in another": Row(
        _tables("path,label\na.png,1\nb.png,0\nc.png,1\n", "path,label\nd.png,1.0\ne.png,\n"),
        {"train": {"a.png": "1", "b.png": "0", "c.png": "1"}, "val": {"d.png": "1"}},
        aside={"e.png": "has no label"},
        data={"val": "val.csv"},
    ),
    "floats in one table and several names in another": Row(
        _tables("path,label\na.png,1.0\nb.png,2.0\nc.png,1.0\n", "path,label\nd.png,1.0|2.0\ne.png,2.0\n"),
        {"train": {"a.png": "1.0", "b.png": "2.0", "c.png": "1.0"}, "val": {"d.png": "1.0|2.0", "e.png": "2.0"}},
        said=("are parted by",),
        data={"val": "val.csv", "labels": "many"},
    ),
    "words for no label": Row(
        _table(GOOD + "c.png,NaN\nd.png,\n", *AB, "c.png", "d.png"),
        AS_GOOD,
        aside={"c.png": "has no label", "d.png": "has no label"},
        said=("1 label is a word such as NaN",),
    ),
    "tags": Row(
        _table("path,tags\na.png,haze primary\nb.png,clear primary\nc.png,clear primary water\n", *AB, "c.png"),
        refused=("row 2: column 'tags': must have one class, but 'clear primary' are several",),
        data={"label_column": "tags"},
    ),
    "names of two words": Row(
        _table('path,label\na.png,golden retriever\nb.png,"crane, bird"\n', *AB),
        {"train": {"a.png": "golden retriever", "b.png": "crane, bird"}},
    ),
    "Kaggle's ids": Row(_table(IDS, *JPGS), OF_IDS, said=(SUFFIX,), data=HAS_IDS),
    "ids with a suffix": Row(_table(IDS, *JPGS, "a.png"), OF_IDS, {"a.png": "no row names it"}, data={**HAS_IDS, "suffix": ".jpg"}),
    "ids of several files": Row(
        _table(IDS, *JPGS, "a.png"),
        {"train": {one: label for one, label in OF_IDS["train"].items() if one != "a.jpg"}},
        aside={"labels.csv: row 1": "several files may be: a.jpg, a.png", "a.jpg": "no row names it", "a.png": "no row names it"},
        said=("3 paths",),
        data=HAS_IDS,
    ),
    "ids without a word of it": Row(
        _table(IDS, *(f"pictures/{one}" for one in JPGS)),
        refused=(
            "are names of files in ",
            "write path_column=id images=",
            "/pictures",
            "'breed' has few values for many rows: write label_column=breed",
        ),
    ),
    "pictures in a folder beside": Row(
        _table(GOOD, "in/a.png", "in/b.png"), refused=("none of the paths in 'path' is a picture here, but they are in", "/in")
    ),
    "another case": Row(_table(GOOD, "a.PNG", "b.png"), {"train": {"a.PNG": "cat", "b.png": "dog"}}, said=("1 path is a file", "'a.png'")),
    "paths from the table's folder": Row(
        _table("path,label\n..\\images\\a.png,cat\n..\\images\\b.png,dog\n", "images/a.png", "images/b.png", name="tables/labels.csv"),
        AS_GOOD,
        data={"images": "images"},
    ),
    "paths that name the folder of pictures": Row(
        _table("path,label\nimages/a.png,cat\nimages/b.png,dog\n", "images/a.png", "images/b.png"), AS_GOOD, data={"images": "images"}
    ),
    "paths out of the folder of pictures": Row(
        _table("path,label\n../a.png,cat\nb.png,dog\n", "a.png", "images/b.png", name="tables/labels.csv"),
        refused=("row 1: paths must stay inside images",),
        data={"images": "images"},
    ),
    "one column for each class": Row(
        _table(ONE_HOT, *AB, "c.png", "d.png"),
        AS_GOOD,
        aside={"c.png": "has several labels (cat, dog): a picture has one class unless data.labels is many", "d.png": "has no label"},
        data={"label_columns": ["cat", "dog"]},
    ),
    "one column for each class, without a word of it": Row(
        _table(ONE_HOT, *AB, "c.png", "d.png"), refused=("write label_columns=[cat, dog]",)
    ),
    "a column that is no class": Row(
        _table("path,cat,dog\na.png,1,0\nb.png,0,0.5\n", *AB),
        refused=("row 2: column 'dog': must be 0 or 1, but is '0.5'",),
        data={"label_columns": ["cat", "dog"]},
    ),
    "votes that differ": Row(
        _table(VOTES + "d.png,cat\n", *AB, "c.png", "d.png"),
        {"train": {"b.png": "dog", "d.png": "cat"}},
        aside={
            "labels.csv: row 5": "repeats",
            "a.png": "stands in several rows with different labels: cat, dog",
            "c.png": "stands in several rows with different labels: cat, dog",
        },
        said=("; vote=majority takes that label",),
    ),
    "votes": Row(
        _table(VOTES, *AB, "c.png"),
        AS_GOOD,
        aside={"c.png": "as many votes for one label as for another: cat 1, dog 1"},
        said=("1 of 3 pictures with several rows have one label in all of them; 71.4% of those rows",),
        data={"vote": "majority"},
    ),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_a_table_says_is_what_is_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert differences(MANIFESTS[name], tmp_path) == []


def _saved(splits: dict[str, Sequence[Sequence[int]]]) -> Callable[[Path], None]:
    """What `DatasetDict.save_to_disk` writes (datasets 5.2), with a ClassLabel under another name; files of labels by split."""

    def make(root: Path) -> None:
        (root / "dataset_dict.json").write_text(json.dumps({"splits": [*splits]}))
        features = {"img": {"_type": "Image"}, "fine": {"names": TWO, "_type": "ClassLabel"}}
        for split, files in splits.items():
            names = [f"data-{number:05d}-of-{len(files):05d}.arrow" for number in range(len(files))]
            (root / split).mkdir()
            (root / split / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
            (root / split / "dataset_info.json").write_text(json.dumps({"features": features}))
            for number, (name, labels) in enumerate(zip(names, files, strict=True)):
                pictures = [{"bytes": ENCODED[label], "path": f"{number}{row}"} for row, label in enumerate(labels)]
                table = pa.table({"img": pa.array(pictures), "fine": pa.array(labels)})
                table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
                with pa.OSFile(str(root / split / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
                    stream.write_table(table)

    return make


def _metadata(**more: str) -> Callable[[Path], None]:
    """Files by name, beside pictures a.png to d.png in the folder of each."""

    def make(root: Path) -> None:
        for name, text in more.items():
            path = root / name.replace("__", "/")
            tree(path.parent, {"a.png": 0, "b.png": 1, "c.png": 2, "d.png": 3})
            path.write_text(text)

    return make


CSV = "file_name,animal\na.png,cat\nb.png,dog\nc.png,cat\nd.png,dog\n"
LINES = '{"file_name": "a.png", "label": 1}\n{"file_name": "b.png", "label": 0, "more": {"x": [1]}}\n'
HUGGING_FACE = {
    "save_to_disk": Row(
        _saved({"train": [[0, 1], [1]], "validation": [[1, 0]], "unsupervised": [[0]]}),
        {"train": {"00": "cat", "01": "dog", "10": "dog"}, "val": {"00": "dog", "01": "cat"}},
        said=("neither train, val nor test are left out: unsupervised",),
        source="saved_dataset",
    ),
    "labels of the test that are kept back": Row(
        _saved({"train": [[0, 1]], "test": [[-1, -1]]}),
        {"train": {"00": "cat", "01": "dog"}},
        aside={f"data-00000-of-00001.arrow: row {row}": "has no label" for row in (0, 1)},
        said=("test has no labels, so it is no part",),
    ),
    "save_to_disk without a split train": Row(_saved({"test": [[0, 1]]}), refused=("must have a split train, but has test",)),
    "metadata.csv": Row(
        _metadata(**{"metadata.csv": CSV}), {"train": {"a.png": "cat", "b.png": "dog", "c.png": "cat", "d.png": "dog"}}, source="manifest"
    ),
    "lines of JSON": Row(
        _table(LINES.replace("file_name", "path"), *AB, name="x.jsonl"), {"train": {"a.png": "1", "b.png": "0"}}, source="manifest"
    ),
    "metadata.jsonl": Row(
        _metadata(**{"metadata.jsonl": LINES}), {"train": {"a.png": "1", "b.png": "0"}}, aside=dict.fromkeys(("c.png", "d.png"), "no row")
    ),
    "metadata in parts": Row(
        _metadata(**{"train__metadata.csv": CSV, "test__metadata.csv": CSV.replace("cat", "dog")}),
        {
            "train": {"train/a.png": "cat", "train/b.png": "dog", "train/c.png": "cat", "train/d.png": "dog"},
            "test": {f"test/{one}.png": "dog" for one in "abcd"},
        },
    ),
    "metadata above parts": Row(
        _metadata(**{"metadata.csv": CSV, "train__x.txt": ""}), refused=("lies above folders for parts (train): add a column split",)
    ),
    "metadata for one of the parts": Row(
        _metadata(**{"train__metadata.csv": CSV, "test__x.txt": ""}), refused=("metadata in the folder of each part, but test has none",)
    ),
    "metadata that says no class": Row(
        _metadata(**{"metadata.csv": "file_name,text\ncat/a.png,one\n", "cat__x.txt": "", "dog__x.txt": ""}),
        {"train": {f"{label}/{one}.png": label for label in TWO for one in "abcd"}},
        aside=dict.fromkeys(("metadata.csv", "x.txt"), "is not named like a picture")
        | {f"{one}.png": "has no label: it lies beside" for one in "abcd"},
        source="folder",
    ),
}


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_what_hugging_face_wrote_is_what_is_read(name: str, tmp_path: Path) -> None:
    assert differences(HUGGING_FACE[name], tmp_path) == []


def test_pictures_of_saved_files_are_those_that_were_saved(tmp_path: Path) -> None:
    _saved({"train": [[0, 1], [1, 0, 1]]})(tmp_path)
    source = saved_dataset(path=str(tmp_path), image_column="img", label_column="fine")
    for found, row in zip(source.pictures("train", np.array([1, 2, 3])), (1, 1, 0), strict=True):
        np.testing.assert_array_equal(found, COLOUR[row])
