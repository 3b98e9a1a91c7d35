"""Folders as people have them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from layouts import Row, classes_of, differences, read
from picture_files import COLOUR, png
from source_files import tree

from visiontune.data.class_names import class_order, part_of
from visiontune.errors import UserError
from visiontune.results.pictures.data_summary import study_line
from visiontune.results.pictures.make_dataset import section_of

Parts = Mapping[str, Mapping[str, str]]


def _files(*names: str, others: str = "") -> Callable[[Path], None]:
    """Pictures by these names, and in `others` files that are none, separated by spaces."""

    def make(root: Path) -> None:
        tree(root, {name: index % 30 for index, name in enumerate(names)})
        for name in others.split():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"no picture at all")

    return make


def _texts(said: Mapping[str, str | bytes], bare: str = "", others: Mapping[str, str] | None = None) -> Callable[[Path], None]:
    """Pictures, each with a text beside it, one without, and texts alone."""

    def make(root: Path) -> None:
        tree(root, {name: index for index, name in enumerate([*said, *filter(None, [bare])])})
        for name, text in {**{str(Path(name).with_suffix(".txt")): text for name, text in said.items()}, **(others or {})}.items():
            (root / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return make


def _suffixless(root: Path) -> None:
    tree(root, {"cat/a.png": 0, "dog/b.png": 1})
    for name, content in {"cat/7": png(COLOUR[2]), "dog/frame.0001": png(COLOUR[3], "jpeg"), "dog/README": b"words"}.items():
        (root / name).write_bytes(content)


def _with_circle(root: Path) -> None:
    tree(root, {"cat/a.png": 0, "dog/b.png": 1})
    (root / "round").symlink_to(root / "round")


def _two_spellings(root: Path) -> None:
    tree(root, {unicodedata.normalize("NFC", "Bär/a.png"): 0, unicodedata.normalize("NFD", "Bär/b.png"): 1, "cat/c.png": 2})


_FRUIT = ("Apple/Golden/a.png", "Apple/Gala/b.png", "Pear/Conference/c.png", "Pear/d.png")
_INTEL = ("seg_train/seg_train/sea/a.png", "seg_train/seg_train/ice/b.png", "seg_test/seg_test/sea/c.png")
_PARTS: Parts = {"train": {"train/cat/a.png": "cat", "train/dog/b.png": "dog"}, "test": {"test/cat/c.png": "cat"}}
_CATS_AND_DOGS: Parts = {"train": {"cat/a.png": "cat", "dog/b.png": "dog"}}
_DIVIDED = ("train/cat/a.png", "train/dog/b.png", "test/cat/c.png")
_NAMED = {"cat.0.png": "cat", "cat.1.png": "cat", "dog.0.png": "dog"}


def _below(folder: str, parts: Parts) -> Parts:
    return {part: {f"{folder}/{key}": label for key, label in found.items()} for part, found in parts.items()}


def _row(*names: str, **given: object) -> Row:
    return Row(_files(*names), **given)  # type: ignore[arg-type]


ROWS = {
    "a folder for each class": _row("cat/a.png", "dog/b.png", parts=_CATS_AND_DOGS, source="folder"),
    # A class without a picture, files without a suffix.
    "a class of files that nothing reads": Row(
        _files("cat/a.png", "dog/b.png", others="emu/a.npy emu/b.npy emu/c.txt"),
        refused=("emu: the folder of a class must hold pictures", "2 .npy, 1 .txt", "write the arrays as pictures", "exclude: [emu]"),
    ),
    "the same in one part": Row(
        _files(*_DIVIDED, others="train/emu/a.zip"), refused=("train/emu", "1 .zip; unpack them", "exclude: [train/emu]")
    ),
    "the same, left out": Row(
        _files("cat/a.png", "dog/b.png", others="emu/a.npy"), _CATS_AND_DOGS, said=("'emu' leaves out 1 folder",), data={"exclude": ["emu"]}
    ),
    "a class that is deeper": Row(
        _files(*_FRUIT, others="Pear/Anjou/a.npy"), data={"class_depth": 2}, refused=("Pear/Anjou", "exclude: [Pear/Anjou]")
    ),
    "files without a suffix": Row(
        _suffixless,
        {"train": {"cat/7": "cat", "cat/a.png": "cat", "dog/b.png": "dog", "dog/frame.0001": "dog"}},
        {"README": "has no suffix, and does not begin like a picture"},
    ),
    # Parts and classes.
    "flat train and test": _row(
        "train/a.png", "train/b.png", "test/c.png", refused=("'train' with 2 files", "label_from: name", "a table (source: manifest)")
    ),
    "flat train and test beside a table": Row(
        _files("train/a.png", "test/c.png", others="train.csv"), refused=("the table train.csv beside them (source: manifest, path: /",)
    ),
    "Kaggle's cats and dogs": _row(
        "train/cat.0.png", "train/dog.0.png", "test1/1.png", refused=("'test1', 'train' are no class", "label_from: name reads classes")
    ),
    "the same by names": _row(
        "train/cat.0.png",
        "train/dog.0.png",
        "test1/1.png",
        parts={"train": {"train/cat.0.png": "cat", "train/dog.0.png": "dog"}},
        aside={"1.png": "has no label"},
        data={"label_from": "name"},
        said=("read as parts: train as train, test1 as test", "2 classes by names of files"),
    ),
    "only a flat train": _row("train/a.png", refused=("'train' with 1 file, ", "'train' is no class by name")),
    "a class that is called train": _row(
        "train/a.png", "ship/b.png", parts={"train": {"train/a.png": "train", "ship/b.png": "ship"}}, said=("'train' is read as a class",)
    ),
    "train, test and another, flat": _row("train/a.png", "test/b.png", "masks/c.png", refused=("'test', 'train' are no class",)),
    "classes beside a test without labels": _row(
        "cat/a.png", "dog/b.png", "test/1.png", refused=("'test' is no class by name", "exclude: [test] leaves 'cat', 'dog'")
    ),
    "classes that are called so": _row(
        "train/a.png",
        "test/b.png",
        data={"class_depth": 1},
        parts={"train": {"train/a.png": "train", "test/b.png": "test"}},
        said=("'test', 'train' are read as classes",),
    ),
    "a test without train": _row(
        "test/cat/a.png", "val/cat/b.png", refused=("'test' with 1 folder, ", "'test', 'val' are no class by name")
    ),
    "images beside masks": _row("images/a.png", "masks/a.png", refused=("'images' is no class by name; label_from: name",)),
    "images and masks of classes": _row(
        *("images/cat/a.png", "images/dog/b.png", "masks/cat/a.png"),
        refused=("'images' with 2 folders, 'masks' with 1 folder, ", "exclude: [masks] leaves 'images'"),
    ),
    "pictures and no folder": _row("cat.0.png", "dog.0.png", refused=("there are no folders of classes (label_from: name",)),
    "folders that are doubled": _row(
        *_INTEL,
        parts={
            "train": {"seg_train/seg_train/sea/a.png": "sea", "seg_train/seg_train/ice/b.png": "ice"},
            "test": {"seg_test/seg_test/sea/c.png": "sea"},
        },
        said=("seg_train/seg_train as train, seg_test/seg_test as test",),
    ),
    "one extra folder beside the parts": _row(*_INTEL, "seg_pred/seg_pred/d.png", refused=("'seg_pred' is not", "exclude: [seg_pred]")),
    "sets": _row(
        *(name.replace("train/", "training_set/training_set/").replace("test/", "test_set/test_set/") for name in _DIVIDED),
        parts={
            "train": {"training_set/training_set/cat/a.png": "cat", "training_set/training_set/dog/b.png": "dog"},
            "test": {"test_set/test_set/cat/c.png": "cat"},
        },
        said=("test_set/test_set as test",),
    ),
    "a folder around the parts": _row(*(f"data/{name}" for name in _DIVIDED), parts=_below("data", _PARTS), said=("/data is read",)),
    "a folder around the classes": _row(
        "images/cat/a.png", "images/dog/b.png", parts=_below("images", _CATS_AND_DOGS), said=("/images is read",)
    ),
    "a folder in each part": _row(
        "train/images/cat/a.png",
        "train/images/dog/b.png",
        "val/images/dog/c.png",
        parts={"train": {"train/images/cat/a.png": "cat", "train/images/dog/b.png": "dog"}, "val": {"val/images/dog/c.png": "dog"}},
        said=("train/images as train, val/images as val",),
    ),
    "parts without a wrapper": _row(*_DIVIDED, parts=_PARTS),
    "a test of one nested class": _row(
        *_DIVIDED[:2],
        "test/dog/deep/c.png",
        parts={**_PARTS, "test": {"test/dog/deep/c.png": "dog"}},
    ),
    "dogs vs. cats": _row(
        "train/cat.0.png", "train/dog.0.png", "test1/1.png", refused=("'test1', 'train' are no class by name; label_from: name",)
    ),
    "a test without classes, wrapped": _row(
        *_DIVIDED[:2], "test/images/1.png", parts={"train": _PARTS["train"]}, aside={"1.png": "has no label"}, said=("test/images as test",)
    ),
    "a link to itself, left out": Row(_with_circle, data={"exclude": ["round"]}, parts=_CATS_AND_DOGS, said=("'round' leaves out 1 file",)),
    # Labels in names of files.
    "classes in names of files": _row(
        *_NAMED,
        data={"label_from": "name"},
        parts={"train": _NAMED},
        said=("2 classes by names of files: 'cat' in cat.0.png, 'dog' in dog.0.png",),
    ),
    "classes in names, and parts": _row(
        *(f"pets/train/{name}" for name in _NAMED),
        "pets/test/1.png",
        data={"label_from": "name"},
        parts={"train": {f"pets/train/{name}": label for name, label in _NAMED.items()}},
        aside={"1.png": "data.label_pattern finds none in its name"},
        said=("/pets is read", "2 classes by names of files"),
    ),
    "names as pets have them": _row(
        *("great_pyrenees_173.png", "Abyssinian_1.png", "cat (12).png", "type2-03.png", "dog.png"),
        data={"label_from": "name"},
        parts={
            "train": {
                **{"great_pyrenees_173.png": "great_pyrenees", "Abyssinian_1.png": "Abyssinian", "cat (12).png": "cat"},
                **{"type2-03.png": "type2", "dog.png": "dog"},
            }
        },
        said=("5 classes",),
    ),
    "classes in names, in several folders": _row(
        *("images/cat.0.png", "images/dog.0.png", "masks/cat.0.png"),
        data={"label_from": "name"},
        parts={"train": {"images/cat.0.png": "cat", "images/dog.0.png": "dog", "masks/cat.0.png": "cat"}},
        said=("2 classes", "training pictures are those of 2 folders: images (2), masks (1)"),
    ),
    "a pattern of one's own": _row(
        *("001_cat_x.png", "002_dog_x.png", "odd.png"),
        data={"label_from": "name", "label_pattern": r"^\d+_([a-z]+)_"},
        parts={"train": {"001_cat_x.png": "cat", "002_dog_x.png": "dog"}},
        aside={"odd.png": "has no label: data.label_pattern finds none in its name"},
        said=("2 classes",),
    ),
    "a pattern that gives one class": _row(
        *("IMG_1.png", "IMG_2.png", "3.png"),
        data={"label_from": "name"},
        refused=("two classes or more in names of files", "'IMG' of IMG_1.png, 'IMG' of IMG_2.png, nothing of 3.png"),
    ),
    "texts beside pictures": Row(
        _texts({"a.png": "cat\n", "in/b.JPG": "dog"}, "c.png", {"notes.txt": "words", "d.txt": ""}),
        {"train": {"a.png": "cat", "in/b.JPG": "dog"}},
        {
            "c.png": "has no label: there is no .txt beside it",
            "notes.txt": "is a text without a picture of its name",
            "d.txt": "is a text without a picture of its name",
        },
        data={"label_from": "text"},
    ),
    "texts beside pictures that nobody asked for": Row(
        _texts({f"{number}.png": "cat" for number in range(8)}),
        refused=("16 were set aside", "0.png (and 7 more) has no label: there are no folders of classes", "label_from: text from a.txt"),
    ),
    "texts of several lines where one class is asked for": Row(
        _texts({"a.png": "cat", "b.png": "cat\ndog", "c.png": "dog", "d.png": ""}),
        {"train": {"a.png": "cat", "c.png": "dog"}},
        {"b.png": "has several labels in b.txt; labels: many takes them", "d.png": "has no label in d.txt"},
        data={"label_from": "text"},
    ),
    "texts in other encodings, and no texts at all": Row(
        _texts(
            {
                **{"a.png": "cat", "b.png": "\ufeffdog\r\n", "latin.png": "bär".encode("latin-1"), "wide.png": "cat".encode("utf-16")},
                **{"odd.png": "cat".encode("utf-16-le"), "binary.png": b"\x80\x00\xff", "list.png": b'["b\xe4r"]'},
            }
        ),
        {"train": {"a.png": "cat", "b.png": "dog", "wide.png": "cat"}},
        {
            f"{name}.png": f"has a file for its label that is no text in UTF-8, or UTF-16 or UTF-32 with its mark ({reason}): {name}.txt"
            for name, reason in {
                "latin": "invalid continuation byte",
                "odd": "a NUL, as of UTF-16 or UTF-32 without its mark",
                "binary": "invalid start byte",
                "list": "invalid continuation byte",
            }.items()
        },
        data={"label_from": "text"},
    ),
    "texts of which another encoding leaves one class": Row(
        _texts({f"{number}.png": "bär".encode("latin-1") if number % 2 else "cat" for number in range(8)}),
        data={"label_from": "text"},
        refused=(
            "at least 2 classes, but there is only 'cat'; 4 were set aside: ",
            "1.png (and 3 more) has a file for its label that is no",
        ),
    ),
    "lists of one and of none where one class is asked for": Row(
        _texts({"a.png": '["cat"]', "b.png": "[]", "c.png": '["dog", "dog"]', "d.png": '["cat", "dog"]'}),
        {"train": {"a.png": "cat", "c.png": "dog"}},
        {"b.png": "has no label in b.txt", "d.png": "has several labels in d.txt"},
        data={"label_from": "text"},
    ),
    "floats beside train and val, and a name": Row(
        _texts({"train/a.png": "1.0", "train/b.png": "2.0", "train/c.png": "x", "val/d.png": "1.0", "val/e.png": "2.0"}),
        {"train": {"train/a.png": "1.0", "train/b.png": "2.0", "train/c.png": "x"}, "val": {"val/d.png": "1.0", "val/e.png": "2.0"}},
        data={"label_from": "text"},
    ),
    "lines of an old Mac": Row(
        _texts({"a.png": "cat\r", "b.png": "cat\rdog", "c.png": "dog"}),
        {"train": {"a.png": "cat", "c.png": "dog"}},
        {"b.png": "has several labels in b.txt"},
        data={"label_from": "text"},
    ),
    "several classes out of folders": _row(
        "cat/a.png",
        "dog/a.png",
        data={"labels": "many"},
        refused=("label_from: text: a.jpg and a.txt", "source: manifest", "nearest is one"),
    ),
    "a pattern for nothing": _row(
        "cat/a.png", data={"label_pattern": "(a)"}, refused=("is for label_from: name, but classes are taken from folders",)
    ),
    "a depth without folders": _row(
        "cat.0.png", data={"label_from": "name", "class_depth": 2}, refused=("is for classes that are folders",)
    ),
    # What systems leave behind, what users leave out.
    "leftovers of systems": _row(
        *("cat/a.png", "dog/b.png", "@eaDir/x.png", "dog/@eaDir/b.png", "#recycle/y.png", "$RECYCLE.BIN/y.png", "lost+found/z.png"),
        *("__MACOSX/cat/a.png", "cat/._a.png", ".ipynb_checkpoints/a.png", "cat/Thumbs.db"),
        parts=_CATS_AND_DOGS,
        aside=dict.fromkeys(
            ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__MACOSX", "._a.png", ".ipynb_checkpoints", "Thumbs.db"],
            "is a hidden f",
        ),
    ),
    "masks and thumbnails": _row(
        *("cat/a.png", "cat/a_mask.png", "cat/thumbs/a.png", "dog/b.png", "dog/b_mask.png", "old/2019/c.png", "old/2020/c.png"),
        data={"exclude": ["*_mask.png", "thumbs", "old/**"]},
        parts=_CATS_AND_DOGS,
        said=("'*_mask.png' leaves out 2 files", "'thumbs' leaves out 1 folder", "'old/**' leaves out 1 folder"),
    ),
    "patterns begin at the top": _row(
        *("cat/a.png", "dog/b.png", "cat/dog/x.png"),
        data={"exclude": ["cat/*/x.png"]},
        parts=_CATS_AND_DOGS,
        said=("'cat/*/x.png' leaves out 1 file",),
    ),
    "a pattern that leaves out nothing": _row(
        "cat/a.png",
        "dog/b.png",
        "thumbs/a.png",
        data={"exclude": ["thumb"]},
        refused=("data.exclude", "'thumb' does not; nearest is thumbs"),
    ),
    "an extra folder that is left out": _row(*_DIVIDED, "extra/x.png", data={"exclude": ["extra"]}, parts=_PARTS, said=("1 folder",)),
    # Spelling and depth.
    "one name in two ways of Unicode": Row(
        _two_spellings,
        {"train": {"Bär/a.png": "Bär", "Bär/b.png": "Bär", "cat/c.png": "cat"}},
        said=("2 ways are one class: 'Bär'",),
    ),
    "nested classes": _row(
        *_FRUIT,
        parts={"train": {name: name.split("/")[0] for name in _FRUIT}},
        said=(
            "2 classes by the first folder",
            "1 folder deep (1), 2 folders deep (3)",
            "class_depth: 2 makes 3, class_depth: leaf makes 4",
            "only: 'Apple'",
        ),
    ),
    "classes two folders deep": _row(
        *_FRUIT,
        data={"class_depth": 2},
        parts={"train": {name: name.rpartition("/")[0] for name in _FRUIT[:3]}},
        aside={"d.png": "has no label: it lies above the folders of the classes"},
        said=("3 classes by the first 2 folders",),
    ),
    "classes all the way down": _row(
        *(f"train/{name}" for name in _FRUIT),
        data={"class_depth": "leaf"},
        parts={"train": {f"train/{name}": name.rpartition("/")[0] for name in _FRUIT}},
        said=("4 classes by the whole path of folders",),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_lies_there_is_what_is_read(name: str, tmp_path: Path) -> None:
    assert differences(ROWS[name], tmp_path) == []


def test_words_of_parts() -> None:
    words = {
        "train": ("train", "Training", "train_images", "images-train", "seg_train", "training_set", "trainset", "train2017", "Train Data"),
        "val": ("val", "valid", "validation_set", "dev", "val2017", "imagesVal", "val_1"),
        "test": ("test", "tests", "testing", "test_sets", "test-images", "test1"),
    }
    assert {word: part_of(word) for found in words.values() for word in found} == {
        word: part for part, found in words.items() for word in found
    }
    assert {part_of(word) for word in ("trains", "data", "train_and_test", "devil", "contest", "value", "1", "latest", "valley")} == {None}


def test_equal_numbers_have_one_order() -> None:
    """Whatever the order that they come in: a set's changes with PYTHONHASHSEED."""
    names = ["1", "01", "001", "2", "10"]
    assert {class_order(dict.fromkeys(order), "here") for order in (names, names[::-1], names[2:] + names[:2])} == {
        ("1", "01", "001", "2", "10")
    }


def test_what_was_asked_for_stands_in_the_study_s_line(tmp_path: Path) -> None:
    """Read back, it makes the same source."""
    tree(tmp_path, dict.fromkeys(_FRUIT, 0) | {"Pear/x_mask.png": 1})
    section = section_of(str(tmp_path), ["class_depth=leaf", 'exclude=["*_mask.png"]'])
    line = study_line(section)
    assert line == f'in a study: data: {{source: folder, path: {tmp_path}, class_depth: leaf, exclude: ["*_mask.png"]}}'
    _, source = read(str(tmp_path), {key: section[key] for key in ("class_depth", "exclude")})
    assert len(classes_of(source, "train")) == 4


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("class_depth=0", "class_depth: must be an int from 1 to 9, or leaf, but got 0; nearest is 1"),
        ("class_depth=leaves", "choices: leaf"),
        ("label_pattern=(a", "must be a regular expression, but '(a' is none"),
        ("label_pattern=a", "must have one group, the class"),
        ("label_from=names", "nearest is 'name'"),
        ("exclude=thumbs", "must be a list of names, but got 'thumbs'; nearest is ['thumbs']"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_read(words: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        section_of(str(tmp_path), [words])
    assert rule in str(error.value)
