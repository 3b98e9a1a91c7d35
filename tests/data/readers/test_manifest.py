"""Tables of paths and labels as labelling services write them, and every row that can't be used."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from picture_files import COLOUR
from source_files import given, put, set_aside, tree

from visiontune.data.readers.manifest import manifest
from visiontune.errors import UserError

NAMES = {"p/a.png": 0, "p/b.png": 1, "p/c.png": 2, "q/d.png": 3}


def table(folder: Path, text: str, name: str = "labels.csv") -> str:
    tree(folder, NAMES)
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return str(folder / name)


def refused(path: str, **args: Any) -> str:
    with pytest.raises(UserError) as caught:
        manifest(path=path, **args)
    return str(caught.value)


GOOD = "path,label,split\np/a.png,cat,train\np/b.png,dog,train\np/c.png,cat,val\nq/d.png,dog,test\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_in_its_dialects(tmp_path: Path, delimiter: str, ending: str, mark: str) -> None:
    source = manifest(path=table(tmp_path, mark + GOOD.replace(",", delimiter).replace("\n", ending)))
    assert source.class_names == ("cat", "dog") and source.has_val and source.has_test and source.set_aside == ()
    for part, names in (("train", {"p/a.png": "cat", "p/b.png": "dog"}), ("val", {"p/c.png": "cat"}), ("test", {"q/d.png": "dog"})):
        found = given(source, part)
        assert {key: label for key, (label, _) in found.items()} == names
        for key, (_, picture) in found.items():
            np.testing.assert_array_equal(picture, COLOUR[NAMES[key]])


def test_parquet_and_other_columns(tmp_path: Path) -> None:
    tree(tmp_path, NAMES)
    columns = {"file": [*NAMES], "class": [10, 9, 10, 9], "part": ["Training", "training", "dev", "testing"], "who": ["x", "y", None, "z"]}
    columns["part"] = pa.array(columns["part"]).dictionary_encode()
    pq.write_table(pa.table(columns), tmp_path / "m.parquet")
    source = manifest(path=str(tmp_path / "m.parquet"), path_column="file", label_column="class", split_column="part", group_column="who")
    assert source.class_names == ("9", "10") and source.has_val and source.has_test
    assert source.groups("train") == ["group x", "group y"]


def test_without_a_split_all_is_train_and_labels_are_texts(tmp_path: Path) -> None:
    source = manifest(path=table(tmp_path, "path,label\np/a.png,01\np/b.png,1\np/c.png,01\nq/d.png,1\n"))
    assert {*source.class_names} == {"01", "1"} and not source.has_val and not source.has_test and len(given(source)) == 4


def test_pictures_lie_elsewhere(tmp_path: Path) -> None:
    tree(tmp_path / "disk", NAMES)
    path = tmp_path / "labels.csv"
    absolute = tmp_path / "disk" / "p" / "b.png"
    path.write_text(f"path,label\np/a.png,cat\n{absolute},dog\n./q/../q\\d.png,dog\n")
    assert [*given(manifest(path=str(path), images=str(tmp_path / "disk")))] == ["p/a.png", "p/b.png", "q/d.png"]


@pytest.mark.parametrize(
    "climbing", ["../secret.png", "p/../../secret.png", "/etc/secret.png", "..\\secret.png", "C:\\pictures\\a.png", "s3://else/a.png"]
)
def test_paths_that_climb_out_are_refused(tmp_path: Path, climbing: str) -> None:
    put(tmp_path / "secret.png")
    message = refused(table(tmp_path / "in", f"path,label\np/a.png,cat\n{climbing},dog\n"))
    assert "labels.csv: row 2: paths must stay inside" in message and repr(climbing) in message


def test_rows_and_pictures_that_cannot_be_used_are_set_aside(tmp_path: Path) -> None:
    rows = [
        "p/a.png,cat",
        "p/b.png,dog",
        "p/missing.png,cat",
        "no/where.png,dog",
        "p/c.png,",
        ",cat",
        "p/a.png,cat",
        "q/d.png,cat",
        "q/d.png,dog",
    ]
    put(tmp_path / "p/extra.png")
    source = manifest(path=table(tmp_path, "path,label\n" + "\n".join(rows)))
    assert [*given(source)] == ["p/a.png", "p/b.png"]
    where = str(tmp_path)
    assert {(one.name.removeprefix(f"{where}/"), one.reason.replace(f"{where}/", ""), one.is_bad) for one in source.set_aside} == {
        ("labels.csv: row 3", "has a label without a picture: there is no p/missing.png", True),
        ("labels.csv: row 4", "has a label without a picture: there is no no/where.png", True),
        ("p/c.png", "has no label", False),
        ("labels.csv: row 6", "has no path", True),
        ("labels.csv: row 7", "repeats p/a.png", False),
        ("q/d.png", "stands in several rows with different labels: cat, dog", True),
        ("p/extra.png", "is a picture without a label: no row names it", False),
    }


def test_a_picture_in_two_parts_is_in_none(tmp_path: Path) -> None:
    source = manifest(
        path=table(tmp_path, GOOD.replace("cat,val", "cat,train") + "p/b.png,dog,train\np/c.png,cat,test\nq/d.png,dog,train\n")
    )
    assert [*given(source)] == ["p/a.png", "p/b.png"] and not source.has_test
    assert {name: reason for name, reason in set_aside(source).items() if "png" in name} == dict.fromkeys(
        ("c.png", "d.png"), "stands in several parts: test, train"
    )


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("path,label\n", "must hold training pictures with labels, but has none"),
        ("", "must be a CSV, TSV, JSONL or Parquet table"),
        ("file,label\np/a.png,cat\n", "must have a column 'path'; the values of 'file' are names of files: write path_column=file"),
        ("path,labels\np/a.png,cat\n", "must have a column 'label'; nearest is 'labels'"),
        ("path,label\np/a.png,cat\np/b.png,cat\n", "at least 2 classes, but there is only 'cat'"),
        ("path,label\np/a.png,cat\np/b.png,Cat\n", "'Cat' and 'cat' do not"),
        ("path,label,split\np/a.png,cat,train\np/b.png,dog,trian\n", "row 2: must be in train, val or test, but has 'trian'"),
        ("path,label,split\np/a.png,cat,train\np/b.png,dog,\n", "row 2: must be in train, val or test, but has 'nothing'"),
        ("path,label,split\np/a.png,cat,val\np/b.png,dog,val\n", "must hold training pictures with labels"),
        ("path,label\np/a.png,cat,more\n", "cannot be read as one"),
        ("path:label\np/a.png:cat\np/b.png:dog\n", "columns are parted by a comma, a semicolon, | or a tab, but 'path:label' by ':'"),
        ("path label\np/a.png cat\np/b.png dog\n", "but 'path label' by ' '"),
        ("path,label\np/a.png,cat\n".encode("utf-16-le"), "a NUL, as of UTF-16 or UTF-32 without its mark"),
        (b"path,label\np/a.png,\xff\xfe\n", "cannot be read as one"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: Any, rule: str) -> None:
    message = refused(table(tmp_path, text))
    assert rule in message and len(message.splitlines()) == 1


def test_columns_that_are_named_must_be_there(tmp_path: Path) -> None:
    path = table(tmp_path, GOOD)
    assert "must have a column 'part'" in refused(path, split_column="part")
    assert "must have a column 'who'" in refused(path, group_column="who")
    pq.write_table(pa.table({"path": [*NAMES], "label": [0.5, 1.0, 0.5, 1.0]}), tmp_path / "m.parquet")
    assert "column 'label': must hold texts or integers, but holds double" in refused(str(tmp_path / "m.parquet"))
    assert "there is no" in (said := refused(str(tmp_path / "lables.csv"))) and f"nearest is '{tmp_path}/labels.csv'" in said
    assert "must be a file" in refused(str(tmp_path))


def test_a_name_composed_otherwise_is_found(tmp_path: Path) -> None:
    put(tmp_path / unicodedata.normalize("NFD", "é.png"), 4)
    put(tmp_path / "b.png", 5)
    (tmp_path / "m.csv").write_text(f"path,label\n{unicodedata.normalize('NFC', 'é.png')},cat\nb.png,dog\n")
    assert np.array_equal(given(manifest(path=str(tmp_path / "m.csv")))["é.png"][1], COLOUR[4])


def test_only_the_folders_that_are_named_are_listed(tmp_path: Path) -> None:
    path = table(tmp_path, "path,label\np/a.png,cat\np/b.png,dog\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path)
    assert {*set_aside(manifest(path=path))} == {"c.png"}


def test_groups_keep_their_names(tmp_path: Path) -> None:
    path = table(tmp_path, "path,label,patient\np/a.png,cat,7\np/b.png,dog,7\np/c.png,cat,8\nq/d.png,dog,\n")
    source = manifest(path=path, group_column="patient")
    assert source.groups("train") == ["group 7", "group 7", "group 8", "q/d.png"]
    assert manifest(path=path).groups("train") is None


def test_a_group_in_two_parts_is_refused(tmp_path: Path) -> None:
    text = "path,label,split,who\np/a.png,cat,train,x\np/b.png,dog,train,y\np/c.png,cat,test,x\n"
    assert "labels.csv: rows of one group must be in one part, but those of 'x' are in train and test" in refused(
        table(tmp_path, text), group_column="who"
    )


def test_a_picture_in_two_groups_is_refused(tmp_path: Path) -> None:
    text = "path,label,who\np/a.png,cat,x\np/a.png,cat,y\np/b.png,dog,y\np/c.png,cat,\np/c.png,cat,z\nq/d.png,dog,\n"
    message = refused(table(tmp_path, text), group_column="who")
    assert message.endswith(
        "labels.csv: rows of one picture must be of one group, but those of " + f"{tmp_path}/p/a.png are of 'x' and 'y'"
    )
    (tmp_path / "labels.csv").write_text(text.replace("a.png,cat,x", "a.png,cat,y"))
    source = manifest(path=str(tmp_path / "labels.csv"), group_column="who")
    assert source.groups("train") == ["group y", "group y", "group z", "q/d.png"]


def test_a_folder_called_as_the_one_around_it_is_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are seen from the table's folder, else from where the user's own path of it begins."""
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "p", "path,label\np/a.png,cat\np/b.png,dog\n")
    assert [*given(manifest(path="p/labels.csv"))] == ["p/a.png", "p/b.png"]
    (tmp_path / "p" / "labels.csv").write_text("path,label\np/p/a.png,cat\np/q/d.png,dog\np/no.png,cat\n")
    source = manifest(path="p/labels.csv")
    assert [*given(source)] == ["p/a.png", "q/d.png"] and {*set_aside(source)} == {"labels.csv: row 3", "b.png", "c.png"}


def test_texts_of_json_that_look_like_dates_are_texts(tmp_path: Path) -> None:
    rows = [
        f'{{"path": "{name}", "label": "2021-03-0{day}", "day": "2021-03-0{day}"}}' for name, day in zip(NAMES, (4, 5, 4, 5), strict=True)
    ]
    source = manifest(path=table(tmp_path, "\n".join(rows), "labels.jsonl"), group_column="day")
    assert source.class_names == ("2021-03-04", "2021-03-05") and source.groups("train")[0] == "group 2021-03-04"  # type: ignore[index]
