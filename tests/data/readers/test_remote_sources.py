"""Sources on a file system of pyarrow's that is not the local one: an object store's ways, over a folder."""

from __future__ import annotations

import csv
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.fs as fs
import pytest
from picture_files import COLOUR, LABELS, png, write

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.results.checks.study_check import check_study
from visiontune.spec.parse import load_study


class Flaky(fs.FileSystemHandler):
    """A local folder behind a connection; reading `broken` fails, and files can only be read whole or in ranges. Calls are counted."""

    broken = ""
    calls: ClassVar[Counter[str]] = Counter()
    num_open = most_open = 0
    takes_s = 0.0
    lock = threading.Lock()

    def __init__(self, root: Path) -> None:
        self._fs = fs.SubTreeFileSystem(str(root), fs.LocalFileSystem())

    def get_type_name(self) -> str:
        return "flaky"

    def get_file_info(self, paths: list[str]) -> Any:
        self.calls["asked"] += len(paths)
        return self._fs.get_file_info(paths)

    def get_file_info_selector(self, selector: fs.FileSelector) -> Any:
        self.calls[f"listed {selector.base_dir}"] += 1
        return self._fs.get_file_info(selector)

    def open_input_file(self, path: str) -> Any:
        if self.broken and path.endswith(self.broken):
            raise OSError(104, "Connection reset by peer")
        self.calls["opened"] += 1
        with self.lock:
            Flaky.num_open += 1
            Flaky.most_open = max(Flaky.most_open, self.num_open)
        time.sleep(self.takes_s)
        with self.lock:
            Flaky.num_open -= 1
        return self._fs.open_input_file(path)

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a source only reads")

    open_input_stream = open_output_stream = open_append_stream = create_dir = delete_dir = _refuse
    delete_dir_contents = delete_root_dir_contents = delete_file = move = copy_file = normalize_path = _refuse


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `s3://bucket` is here."""
    root = tmp_path / "bucket"
    root.mkdir()
    with (root / "all.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "label"))
        for number, (picture, label) in enumerate(zip(COLOUR, LABELS, strict=True)):
            path = root / "pets" / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(picture))
            table.writerow((str(path.relative_to(root)), f"class{label}"))
    write(root / "pets.parquet", [png(picture) for picture in COLOUR], LABELS)

    class FileSystem:
        @staticmethod
        def from_uri(uri: str) -> tuple[fs.FileSystem, str]:
            return fs.PyFileSystem(Flaky(root)), uri.partition("://bucket/")[2]

    monkeypatch.setattr(Flaky, "broken", "")
    monkeypatch.setattr(fs, "FileSystem", FileSystem)
    return root


SECTIONS = {
    "folder": {"source": "folder", "path": "s3://bucket/pets"},
    "manifest": {"source": "manifest", "path": "s3://bucket/all.csv"},
    "parquet": {"source": "parquet", "train": "s3://bucket/pets.parquet"},
}


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_pictures_of_an_object_store_are_those_of_a_folder(bucket: Path, tmp_path: Path, section: dict[str, Any]) -> None:
    store = Store.open(prepare(section, tmp_path / "cache"))
    assert sorted(picture.tobytes() for picture in np.asarray(store.images_NHWC)) == sorted(picture.tobytes() for picture in COLOUR)
    assert len(store.class_names) == 3 and np.bincount(store.labels_N).tolist() == [10, 10, 10]
    assert prepare(section, tmp_path / "cache") == store.path


@pytest.mark.parametrize(
    ("kind", "broken"), [("folder", "class1/7.png"), ("folder", "class0/0.png"), ("manifest", "class1/7.png"), ("parquet", "pets.parquet")]
)
def test_a_connection_that_breaks_stops_and_sets_nothing_aside(
    bucket: Path, tmp_path: Path, kind: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setattr(Flaky, "broken", broken)
    with pytest.raises(UserError, match=rf"{broken.rpartition('/')[2]}.*Connection reset by peer"):
        prepare(SECTIONS[kind], cache)
    assert not list(cache.glob("*.arrow"))
    monkeypatch.setattr(Flaky, "broken", "")
    assert len(Store.open(prepare(SECTIONS[kind], cache)).labels_N) == 30


def test_files_are_known_by_listings_and_many_are_read_at_once(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A HEAD request for each of a million files would take hours. Folders are listed to be read, then for stamps before and after."""
    monkeypatch.setattr(Flaky, "takes_s", 0.01)
    Flaky.calls.clear()
    Flaky.most_open = 0
    path = prepare(SECTIONS["folder"], tmp_path / "cache")
    folders = [f"listed pets/class{label}" for label in range(3)]
    assert Flaky.calls["asked"] < 3 and all(Flaky.calls[folder] == 3 for folder in folders)
    assert Flaky.calls["opened"] == 30 + 30 and 16 < Flaky.most_open <= 64  # the first 64 are looked at before
    Flaky.calls.clear()
    assert prepare(SECTIONS["folder"], tmp_path / "cache") == path
    assert Flaky.calls["asked"] < 3 and Flaky.calls["opened"] == 0 and all(Flaky.calls[folder] == 2 for folder in folders)
    (bucket / "pets/class1/7.png").write_bytes(png(255 - COLOUR[7]))
    assert prepare(SECTIONS["folder"], tmp_path / "cache") != path


def test_check_lists_a_bucket_once(bucket: Path, tmp_path: Path) -> None:
    space = {"model": {"name": "cnn"}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"batch_size": 4}}
    budget = {"num_trials": 2, "max_epochs": 1}
    spec = load_study({"study": "a", "data": SECTIONS["folder"] | {"folds": 2}, "budget": budget, "space": space})
    Flaky.calls.clear()
    check_study(spec, StudiesFolder(tmp_path / "studies"))
    assert all(Flaky.calls[f"listed pets/class{label}"] == 1 for label in range(3))
