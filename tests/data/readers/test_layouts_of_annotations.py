"""Annotations as tools write them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from annotation_files import Objects, scene, write_coco, write_labelme, write_voc, xml
from layouts import Row, hold

CAT: Objects = [("cat", (3, 4, 13, 10))]
DOG: Objects = [("dog", (3, 4, 13, 10))]
TWO: dict[str, Objects] = {"a": CAT, "b": DOG}


def _voc(*deleted: str, **folders: dict[str, Objects]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for folder, pictures in folders.items():
            write_voc(root / folder, pictures)
        _delete(root, deleted)

    return make


def _delete(root: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (root / name).unlink()


def _apart(root: Path) -> None:
    """Annotations in one folder, pictures in another that no tool's convention knows."""
    for part in ("train", "test"):
        for name, objects in {"a": CAT, "b": DOG, "lost": CAT}.items():
            scene(root / "pics" / part / f"{name}.png")
            xml(root / "xmls" / part / f"{name}.xml", objects)
    _delete(root, ("pics/train/lost.png",))


def _coco(root: Path) -> str:
    """Pictures of two cameras; the file names the folder, and one picture is gone."""
    for folder in ("north", "south"):
        for name in ("1", "2"):
            scene(root / folder / f"{name}.png")
    path = Path(write_coco(root, {"north/1": CAT, "north/2": DOG, "south/2": CAT}))
    _delete(root, ("north/1.png",))
    return str(path)


def _labelme(root: Path) -> None:
    """Pictures in a folder beside that of the annotations, but one, which is where no annotation says."""
    write_labelme(root / "json", {**TWO, "c": DOG})
    for name, named, lies in (("a", "here", "here"), ("b", "gone", "there"), ("c", "here", "here")):
        path = root / "json" / f"{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "imagePath": f"..\\{named}\\{name}.png"}))
        scene(root / lies / f"{name}.png")
    _delete(root, ("json/a.png", "json/b.png", "json/c.png"))


ROWS = {
    "a picture that is gone is not taken from another part": Row(
        _voc("train/b.png", train={**TWO, "c": DOG}, valid={"b": DOG, "c": CAT}),
        {"train": {"train/a.png": "cat", "train/c.png": "dog"}, "val": {"valid/b.png": "dog", "valid/c.png": "cat"}},
        aside={"b.xml": "is an annotation without a picture: there is no 'b.png' near it; "},
        data={"use_crops": False},
    ),
    "nor from an annotation that has it beside it": Row(
        _voc("a/x.png", a={"x": DOG}, b={"x": CAT, "y": DOG}),
        {"train": {"b/x.png": "cat", "b/y.png": "dog"}},
        aside={"x.xml": "is an annotation without a picture"},
        data={"use_crops": False, "source": "voc"},
    ),
    "annotations apart from pictures are matched by name, part by part": Row(
        _apart,
        {
            "train": {"pics/train/a.png": "cat", "pics/train/b.png": "dog"},
            "test": {"pics/test/a.png": "cat", "pics/test/b.png": "dog", "pics/test/lost.png": "cat"},
        },
        aside={"lost.xml": "is an annotation without a picture"},
        data={"use_crops": False, "source": "voc"},
    ),
    "COCO's names of folders count": Row(
        _coco,
        {"train": {"north/2.png": "dog", "south/2.png": "cat"}},
        aside={"1.png": "is a picture without an annotation"},  # south/1.png; north/1.png bears the same name
        data={"use_crops": False},
    ),
    "LabelMe's names of folders count": Row(
        _labelme,
        {"train": {"here/a.png": "cat", "here/c.png": "dog"}},
        aside={"b.json": "b.png has that name, but lies elsewhere", "b.png": "is a picture without an annotation"},
        data={"use_crops": False},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_lies_there_is_what_is_read(name: str, tmp_path: Path) -> None:
    hold(ROWS[name], tmp_path)
