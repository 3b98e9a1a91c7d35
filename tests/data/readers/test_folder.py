"""Folders of real files: what is found is what was written; what is not given is said; links, scripts and odd names are answered."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import COLOUR, png
from source_files import given, put, set_aside, tree

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.folder import folder
from visiontune.errors import UserError

CATS_AND_DOGS = {"cat/a.png": 0, "cat/b.png": 1, "dog/deep/down/a.png": 2, "dog/c.png": 3}


def test_classes_are_folders_and_pictures_come_back(tmp_path: Path) -> None:
    source = folder(path=tree(tmp_path, CATS_AND_DOGS))
    assert source.class_names == ("cat", "dog") and source.counts_C.tolist() == [2, 2]
    assert not source.has_test and not source.has_val and source.set_aside == () and source.groups("train") is None
    found = given(source)
    assert {key: label for key, (label, _) in found.items()} == {key: key.split("/")[0] for key in CATS_AND_DOGS}
    for key, index in CATS_AND_DOGS.items():
        np.testing.assert_array_equal(found[key][1], COLOUR[index])
    assert source.first() == COLOUR[0].shape
    assert source.encoded is not None
    assert list(source.encoded("train", np.array([1, 3]))) == [
        (tmp_path / key).read_bytes() for key in ("cat/b.png", "dog/deep/down/a.png")
    ]
    assert source.names("train")[0] == str(tmp_path / "cat/a.png")


def test_folders_that_are_numbers_are_in_their_order(tmp_path: Path) -> None:
    assert folder(path=tree(tmp_path, {f"{number}/a.png": number for number in range(12)})).class_names == tuple(map(str, range(12)))


@pytest.mark.parametrize("val", ["val", "valid", "Validation", "dev"])
def test_train_val_and_test_above(tmp_path: Path, val: str) -> None:
    names = {"train/cat/a.png": 0, "train/dog/a.png": 1, f"{val}/cat/b.png": 2, f"{val}/dog/b.png": 3, "test/dog/c.png": 4}
    source = folder(path=tree(tmp_path, names))
    assert source.has_val and source.has_test and source.class_names == ("cat", "dog")
    assert [*given(source, "val")] == [f"{val}/cat/b.png", f"{val}/dog/b.png"]
    ((label, picture),) = given(source, "test").values()
    assert label == "dog" and np.array_equal(picture, COLOUR[4])


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert folder(path=tree(tmp_path, {"train/a.png": 0, "ship/a.png": 1})).class_names == ("ship", "train")


def test_parts_beside_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"either parts .* or classes, but 'train' is a part and 'cat' is not"):
        folder(path=tree(tmp_path, {"train/cat/a.png": 0, "cat/a.png": 1}))


def test_two_folders_for_one_part_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one folder for val, but has 'val' and 'valid'"):
        folder(path=tree(tmp_path, {"train/cat/a.png": 0, "train/dog/a.png": 1, "val/cat/a.png": 1, "valid/cat/a.png": 1}))


def test_a_test_without_labels_is_said_and_is_no_test(tmp_path: Path) -> None:
    source = folder(path=tree(tmp_path, {"train/cat/a.png": 0, "train/dog/a.png": 1, "test/17.png": 2}))
    assert not source.has_test and "has no label" in set_aside(source)["17.png"]


def test_a_test_class_that_train_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"must occur in train, but 'cats' of .*test/cats/a.png does not; put .* into train .* nearest is 'cat'"
    ):
        folder(path=tree(tmp_path, {"train/cat/a.png": 0, "train/dog/a.png": 1, "test/cats/a.png": 2}))


def test_nothing_is_left_out_silently(tmp_path: Path) -> None:
    root = tree(tmp_path, {**CATS_AND_DOGS, "beside.png": 4, ".hidden/a.png": 5, "cat/.thumb.png": 6})
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "noend").write_bytes(b"no picture")
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cat" / "itself.png").symlink_to(tmp_path / "cat" / "itself.png")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    source = folder(path=root)
    assert [*given(source)] == sorted(CATS_AND_DOGS)
    assert set_aside(source) == {
        "beside.png": "has no label: it lies beside the folders of the classes",
        ".hidden": "is a hidden folder",
        ".thumb.png": "is a hidden file",
        "notes.txt": "is not named like a picture",
        "noend": "has no suffix, and does not begin like a picture",
        "gone.png": "is a link to nothing",
        "itself.png": "cannot be read (Too many levels of symbolic links)",
        "empty": "is a class without pictures",
        "pipe.png": "is neither a file nor a folder",
    }
    assert {os.path.basename(one.name) for one in source.set_aside if one.is_bad} == {"gone.png", "itself.png", "pipe.png"}  # noqa: PTH119


def test_bad_files_come_as_reasons_in_their_place(tmp_path: Path) -> None:
    root = tree(tmp_path, {**CATS_AND_DOGS, "cat/empty.png": 4, "cat/cut.png": 5, "cat/jpeg.png": 6, "cat/page.png": 7})
    (tmp_path / "cat/empty.png").write_bytes(b"")
    (tmp_path / "cat/cut.png").write_bytes(png(COLOUR[5])[:-30])
    put(tmp_path / "cat/jpeg.png", kind="jpeg")
    (tmp_path / "cat/page.png").write_text("<html>404</html>")
    source = folder(path=root)
    (tmp_path / "dog/c.png").unlink()
    bad = {key: str(one) for key, (_, one) in given(source).items() if isinstance(one, BadPicture)}
    assert bad == {
        "cat/empty.png": "has no bytes",
        "cat/cut.png": "is truncated or damaged",
        "cat/page.png": "is HTML, not a picture",
        "dog/c.png": "cannot be read (No such file or directory)",
    }
    assert source.encoded is not None
    encoded = list(source.encoded("train", np.arange(8)))
    assert [isinstance(one, BadPicture) for one in encoded].count(True) == 1  # what reading alone can tell


def test_first_is_that_of_the_first_good_picture(tmp_path: Path) -> None:
    root = tree(tmp_path, CATS_AND_DOGS)
    (tmp_path / "cat/a.png").write_bytes(b"x")
    (tmp_path / "cat/b.png").write_bytes(png(COLOUR[1][:5, :7, :1]))
    assert folder(path=root).first() == (5, 7, 3)
    for name in CATS_AND_DOGS:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"cat/a\.png: picture has no bytes(?s:.*)none of \d+ pictures, .* can be used"):
        folder(path=root).first()


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ({}, "must hold a folder of pictures for each class, but .* is empty"),
        ({"a.png": 0}, "must hold training pictures with labels, but has none; 1 was set aside: .*a.png has no label"),
        ({"cat/a.png": 0}, "at least 2 classes, but there is only 'cat'"),
        ({"cat/a.png": 0, "Cat/a.png": 1}, "'Cat' and 'cat' do not"),
        ({"cat/a.png": 0, "cat /a.png": 1}, "'cat' and 'cat ' do not"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, names: dict[str, int], rule: str) -> None:
    with pytest.raises(UserError, match=rule) as caught:
        folder(path=tree(tmp_path, names))
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_folder_names_the_nearest_as_it_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError, match=r"data\.path: must be a folder, but there is no .*/picture; nearest is '/.*/pictures'"):
        folder(path=str(tmp_path / "picture"))
    monkeypatch.chdir(tmp_path)
    for typed, told in {
        "picture": "pictures",
        "./picture": "./pictures",
        f"../{tmp_path.name}/picture/": f"../{tmp_path.name}/pictures",
    }.items():
        with pytest.raises(UserError, match=f"; nearest is '{re.escape(told)}'"):
            folder(path=typed)
    put(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.png is a file"):
        folder(path=str(tmp_path / "a.png"))


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    tree(root, CATS_AND_DOGS)
    for place in (root, root / "cat", tmp_path, Path("/")):
        (root / "cat" / "loop").symlink_to(place)
        with pytest.raises(UserError, match=r"cat/loop: links must not run in a circle"):
            folder(path=str(root))
        (root / "cat" / "loop").unlink()


def test_a_circle_of_two_links_is_refused(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    tree(root, CATS_AND_DOGS)
    other.mkdir()
    (root / "cat" / "there").symlink_to(other)
    (other / "back").symlink_to(root / "cat")
    with pytest.raises(UserError, match="cat/there/back: links must not run in a circle"):
        folder(path=str(root))


def test_links_to_files_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    tree(tmp_path / "disk", {"emu/a.png": 4})
    root = tmp_path / "root"
    tree(root, CATS_AND_DOGS)
    (root / "emu").symlink_to(tmp_path / "disk" / "emu")
    (root / "cat" / "link.png").symlink_to(tmp_path / "disk" / "emu" / "a.png")
    found = given(folder(path=str(root)))
    assert found["emu/a.png"][0] == "emu" and np.array_equal(found["cat/link.png"][1], COLOUR[4])


@pytest.mark.parametrize("name", ["кошка", "猫", "قط", "बिल्ली", "🐈", "gato con ñ", "a'b\"c", "line\nbreak", "{x}%s"])
def test_names_in_any_script(tmp_path: Path, name: str) -> None:
    source = folder(path=tree(tmp_path, {f"{name}/{name}.png": 0, "dog/a.png": 1}))
    assert set(source.class_names) == {name, "dog"}
    assert np.array_equal(given(source)[unicodedata.normalize("NFC", f"{name}/{name}.png")][1], COLOUR[0])


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9")  # noqa: PTH118
    os.mkdir(path)  # noqa: PTH102
    put(tmp_path / "dog/a.png")
    with open(os.path.join(path, b"\xff.png"), "wb") as file:  # noqa: PTH118, PTH123
        file.write(png(COLOUR[3]))
    source = folder(path=str(tmp_path))
    for text in (
        *source.class_names,
        *source.names("train"),
        *source.keys("train"),
        source.content(),
        str(source.stamps and source.stamps().text),
    ):
        text.encode()
    assert any(label.startswith("caf") and np.array_equal(one, COLOUR[3]) for label, one in given(source).values())


def test_content_follows_pictures_and_labels_and_not_where_they_lie(tmp_path: Path) -> None:
    root = tmp_path / "a"
    tree(root, CATS_AND_DOGS)
    source = folder(path=str(root))
    assert source.stamps is not None
    content, stamp = source.content(), source.stamps().text
    again = folder(path=str(root))
    assert again.stamps is not None and (again.content(), again.stamps().text) == (content, stamp)
    moved = folder(path=str(root.rename(tmp_path / "b")))
    assert moved.stamps is not None and moved.content() == content and moved.stamps().text != stamp
    stamps, contents = {stamp, moved.stamps().text}, {content}
    for change in (lambda: put(tmp_path / "b/cat/a.png", 9), lambda: (tmp_path / "b/cat/b.png").rename(tmp_path / "b/dog/b.png")):
        change()
        changed = folder(path=str(tmp_path / "b"))
        assert changed.stamps is not None
        stamps.add(changed.stamps().text)
        contents.add(changed.content())
    assert len(stamps) == 4 and len(contents) == 3


def test_listing_asks_nothing_of_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a million files cheap: calls grow with the folders, not with the files."""
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(500):
            (tmp_path / label / f"{number}.png").touch()
    calls: list[Any] = []
    for name in ("stat", "lstat", "open"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, _original=original, **kwargs: (calls.append(args), _original(*args, **kwargs))[1])
    source = folder(path=str(tmp_path))
    assert source.counts_C.tolist() == [500, 500] and len(calls) < 20
