"""A study goes on with the pictures that it was begun on, or says what differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from picture_files import png
from simulated_search import drive, make_spec

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tuning.study.open_storage import as_begun, create_or_resume, open_existing
from visiontune.tuning.study.study_pictures import follow_pictures, keep_pictures
from visiontune.tuning.study.study_storage import Storage


def write_pictures(folder: Path, label: str, rows: range) -> None:
    (folder / label).mkdir(parents=True, exist_ok=True)
    for row in rows:
        picture = np.random.default_rng([row, len(label)]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (folder / label / f"{row:03d}.png").write_bytes(png(picture))


def store_of(folder: Path, cache: Path) -> Store:
    return Store.open(prepare({"source": "folder", "path": str(folder)}, cache))


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Storage, Path, Path]:
    """A study's storage that noted the pictures of a folder: 30 each of cat and bird."""
    folder, cache = tmp_path / "pictures", tmp_path / "cache"
    for label in ("cat", "bird"):
        write_pictures(folder, label, range(30))
    (tmp_path / "study").mkdir()
    storage = create_or_resume(StudyFolder(tmp_path / "study"), make_spec(tmp_path / "study", 3))
    keep_pictures(storage, store_of(folder, cache), "study")
    return storage, folder, cache


def refusal(storage: Storage, store: Store) -> str:
    with pytest.raises(UserError) as caught:
        keep_pictures(storage, store, "study")
    return str(caught.value)


def test_the_same_pictures_elsewhere_go_on(begun: tuple[Storage, Path, Path], tmp_path: Path) -> None:
    storage, folder, cache = begun
    noted = storage.attributes()["pictures"]
    folder.rename(tmp_path / "moved")
    moved = store_of(tmp_path / "moved", cache)
    keep_pictures(storage, moved, "study")
    assert storage.attributes()["pictures"] == noted and noted["digest"] == moved.digest


def test_a_file_that_names_another_place_goes_on_with_the_same_pictures(tmp_path: Path) -> None:
    """Trials that were begun keep their recipes; one that noted no pictures can't tell, and is refused as ever."""
    folder, cache, study = tmp_path / "pictures", tmp_path / "cache", StudyFolder(tmp_path / "study")
    for label in ("cat", "bird"):
        write_pictures(folder, label, range(30))
    place = ["data.source=folder", f"data.path={folder}"]
    drive(make_spec(study.path, 3, overrides=place), study.path)
    folder.rename(tmp_path / "moved")
    spec = make_spec(study.path, 3, overrides=["data.source=folder", f"data.path={tmp_path / 'moved'}"])
    with pytest.raises(UserError, match=r"with another file or other overrides.*\n.*data\.path: was "):
        create_or_resume(study, spec)
    store = store_of(tmp_path / "moved", cache)
    keep_pictures(open_existing(study), store, "study")
    storage = create_or_resume(study, spec)
    keep_pictures(storage, store, "study")
    assert follow_pictures(storage, spec) == f"data.path was {folder}, is now {tmp_path / 'moved'}"
    assert storage.attributes()["identity"] == spec.identity() and follow_pictures(storage, spec) == ""
    write_pictures(tmp_path / "moved", "dog", range(40))
    assert "class 'dog' is new" in refusal(storage, store_of(tmp_path / "moved", cache))


def test_where_pictures_were_only_added_a_study_can_start_from_the_old_one(begun: tuple[Storage, Path, Path]) -> None:
    storage, folder, cache = begun
    write_pictures(folder, "cat", range(100, 150))
    with pytest.raises(UserError) as caught:
        keep_pictures(storage, store_of(folder, cache), "study", "my space.yaml")
    assert "on those that there are now: visiontune search 'my space.yaml' --name study_2 'start.studies=[study]'" in str(caught.value)
    studies = StudiesFolder(folder.parent)
    studies.study("study_2").path.mkdir()
    with pytest.raises(UserError, match=rf" --name study_3 'start\.studies=\[study\]' --studies-dir {studies.path}\n"):
        keep_pictures(storage, store_of(folder, cache), "study", "my space.yaml", studies)


def test_added_pictures_and_classes_are_counted(begun: tuple[Storage, Path, Path]) -> None:
    storage, folder, cache = begun
    write_pictures(folder, "cat", range(100, 150))
    write_pictures(folder, "dog", range(40))
    told = refusal(storage, store_of(folder, cache))
    assert "study study was begun on other pictures" in told and "`name=NAME`" in told
    assert "class 'dog' is new" in told and "class 'cat' had " in told and "'bird'" not in told
    was, now = (len(one.train_idx) for one in (Store.open(path) for path in sorted(cache.glob("*.arrow"), key=lambda p: p.stat().st_mtime)))
    assert f"data: train had {was} pictures, now {now}" in told


def test_a_replaced_picture_is_told_apart_from_added_ones(begun: tuple[Storage, Path, Path]) -> None:
    storage, folder, cache = begun
    (folder / "cat" / "003.png").write_bytes(png(np.zeros((8, 8, 3), np.uint8)))
    assert "as many pictures of each class, but not the same ones" in refusal(storage, store_of(folder, cache))


def test_another_version_of_stores_is_named(begun: tuple[Storage, Path, Path]) -> None:
    storage, folder, cache = begun
    noted = storage.attributes()["pictures"]
    storage.set_attribute("pictures", {**noted, "digest": "0" * 16, "version": noted["version"] - 1})
    told = refusal(storage, store_of(folder, cache))
    assert f"stores of version {noted['version'] - 1}" in told and "class" not in told.partition("version")[2]


def test_a_study_from_before_this_was_noted_takes_what_it_finds(begun: tuple[Storage, Path, Path]) -> None:
    storage, folder, cache = begun
    storage.set_attribute("pictures", None)
    keep_pictures(storage, replace(store_of(folder, cache), digest="found"), "study")
    assert storage.attributes()["pictures"]["digest"] == "found"


def test_a_study_older_than_exact_repeats_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    """Its file leaves `duplicates` out, and `drop` was the default; a file that says another one has another study."""
    folder = tmp_path / "study"
    drive(make_spec(folder, 2, overrides=["data.duplicates=drop"]), folder)
    spec = make_spec(folder, 2)
    assert spec.data["duplicates"] == "exact" and as_begun(StudyFolder(folder), spec).data["duplicates"] == "drop"
    with pytest.raises(UserError, match=r"data\.duplicates: was drop, is now exact"):
        create_or_resume(StudyFolder(folder), make_spec(folder, 2, overrides=["data.duplicates=exact"]))


def test_crops_of_before_are_told_as_such(begun: tuple[Storage, Path, Path]) -> None:
    """A study on annotated objects that were cut out as rectangles: no picture was replaced."""
    storage, folder, cache = begun
    storage.set_attribute("identity", {**storage.attributes()["identity"], "data.use_crops": True})
    write_pictures(folder, "cat", range(1, 31))
    assert "cut out as rectangles, as by versions of before, and are squares now" in refusal(storage, store_of(folder, cache))
    storage.set_attribute("pictures", None)
    keep_pictures(storage, store_of(folder, cache), "study")
    assert storage.attributes()["pictures"]["crops"] == "squares"
