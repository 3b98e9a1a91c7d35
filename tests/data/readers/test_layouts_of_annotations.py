"""Annotations as tools write them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotation_files import (
    Objects,
    choice,
    cvat_image,
    place,
    scene,
    write_coco,
    write_cvat,
    write_label_studio,
    write_labelme,
    write_voc,
    xml,
)
from layouts import Row, differences
from source_files import given, tree

from visiontune.data.readers.annotations.coco import coco
from visiontune.data.readers.annotations.cvat import cvat
from visiontune.data.readers.annotations.label_studio import label_studio
from visiontune.data.readers.annotations.yolo import yolo
from visiontune.errors import UserError
from visiontune.results.pictures.make_dataset import section_of

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


def _roboflow_coco(root: Path) -> None:
    for part, pictures in {"train": TWO, "valid": {"a": DOG}, "test": {"b": CAT}}.items():
        write_coco(root / part, pictures)
        (root / part / "instances.json").rename(root / part / "_annotations.coco.json")


def _cocos_own(root: Path) -> None:
    """As cocodataset.org has them: captions and keypoints beside instances."""
    for part, pictures in {"train2017": {"1": CAT, "2": DOG}, "val2017": {"3": DOG}}.items():
        found = Path(write_coco(root / part, pictures))
        (root / "annotations").mkdir(exist_ok=True)
        for kind in ("captions", "instances", "person_keypoints"):
            (root / "annotations" / f"{kind}_{part}.json").write_text(found.read_text())
        found.unlink()


def _yolo(folders: Mapping[str, Mapping[str, str | bytes]], **files: str) -> Callable[[Path], None]:
    """Label texts by picture, by folder of pictures; `files` beside, with __ for a dot."""

    def make(root: Path) -> None:
        for folder, labels in folders.items():
            for name, text in labels.items():
                scene(root / folder / f"{name}.png")
                path = root / f"/{folder}".replace("/images", "/labels").strip("/") / f"{name}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, text in files.items():
            (root / name.replace("__", ".")).write_text(text)

    return make


BOX, OUTLINE = ".2 .5 .2 .4\n", ".1 .3 .3 .5 .2 .7\n"
ROBOFLOW = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
ULTRALYTICS = "path: /content/datasets/pets\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
CROPS = {"1.png#0": "cat", "2.png#0": "dog"}


def _some_annotated(root: Path) -> None:
    """Forty pictures in folders of classes, six of them with a file of LabelMe's."""
    tree(root, {f"{label}/{number}.png": number for label in ("cat", "dog") for number in range(20)})
    (root / "boxes").mkdir()
    write_labelme(root / "boxes", {str(number): CAT for number in range(6)})
    for number in range(6):
        (root / "boxes" / f"{number}.png").unlink()
        (root / "boxes" / f"{number}.json").rename(root / "cat" / f"{number}.json")


def _stray(root: Path) -> None:
    """Notes that are no annotations, where annotations would lie."""
    tree(root, {"cat/a.png": 0, "dog/b.png": 1})
    (root / "cat" / "notes.xml").write_text("<notes><note>fine</note></notes>")
    (root / "dog" / "settings.json").write_text('{"images": 3}')


def _cvat(*images: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        write_cvat(root, list(images))

    return make


def _uploads(root: Path) -> None:
    """Choices for pictures as they were before the upload; two of them had one name."""
    for name in ("a", "b", "images/c", "same"):
        scene(root / f"{name}.png")
    tasks = {"aaaaaaaa-a": "cat", "bbbbbbbb-b": "dog", "cccccccc-c": "dog", "11111111-same": "cat", "22222222-same": "dog"}
    write_label_studio(root, {f"/data/upload/7/{name}.png": [[choice(label)]] for name, label in tasks.items()})


def _json_min(root: Path) -> None:
    """Two people on one picture, who disagree."""
    for name in ("a", "b", "c"):
        scene(root / "pets" / f"{name}.png")
    rows = [(1, "a", "cat"), (2, "b", "dog"), (3, "c", "cat"), (3, "c", "dog")]
    document = [
        {"image": f"/data/local-files/?d=store/pets/{name}.png", "id": task, "kind": label, "annotator": row, "lead_time": 1.5}
        for row, (task, name, label) in enumerate(rows)
    ]
    (root / "min.json").write_text(json.dumps(document))


TAGS = [
    cvat_image("a", '<tag label="cat"/>'),
    cvat_image("b", '<tag label="dog"/>'),
    cvat_image("c", '<tag label="cat"/><tag label="dog"/>'),
]
CVAT_BOX = '<box label="{}" xtl="3" ytl="4" xbr="13" ybr="10"/>'
SUBSETS = [cvat_image("Train/a", '<box label="cat" xtl="3" ytl="4" xbr="13" ybr="10"/>', "Train")]
SUBSETS += [cvat_image("Train/b", '<mask label="dog" rle="1" left="3" top="4" width="5" height="6"/>', "Train")]
SUBSETS += [cvat_image("Test/a", '<polygon label="dog" points="3,4;13,10;5,20"/><points label="cat" points="1,2"/>', "Test")]


def _shared_by_parts(root: Path) -> str:
    """Annotators who divide objects and not pictures: b is in both files, with another object in each."""
    for part, objects in {"train": {**TWO}, "val": {"b": [("cat", (20, 4, 30, 10))], "c": DOG}}.items():
        path = Path(write_coco(root, objects))
        path.rename(root / f"instances_{part}.json")
    return str(root)


def _subset_without_pictures(root: Path) -> str:
    path = write_cvat(root, [cvat_image(name, CVAT_BOX.format(label), "Train") for name, label in (("Train/a", "cat"), ("Train/b", "dog"))])
    lost = cvat_image("a", CVAT_BOX.format("dog"), "Validation")
    Path(path).write_text(Path(path).read_text().replace("Train/", "").replace("</annotations>", f"{lost}</annotations>"))
    return str(root)


def _shifted(write: Callable[[Path, dict[str, Objects]], str]) -> Callable[[Path], None]:
    """Files 1 to 3 that were renamed 2 to 4, pictures and annotations, in which the old names stand; 1 came after that."""

    def make(root: Path) -> None:
        write(root, {"1": DOG, "2": CAT, "3": DOG, "4": CAT})
        for number in (2, 3, 4):
            for path in (*root.glob(f"{number}.xml"), *root.glob(f"{number}.json")):
                path.write_text(path.read_text().replace(f"{number}.png", f"{number - 1}.png"))

    return make


ROWS = {
    **{
        f"{kind}: files that were renamed together": Row(
            _shifted(write),
            {"train": {f"{number}.png": label for number, label in zip("1234", ("dog", "cat", "dog", "cat"), strict=True)}},
            said=("3 annotations name the picture of another one, and are read for that of their own name, such as ",),
            data={"use_crops": False},
            source=kind,
        )
        for kind, write in (("voc", write_voc), ("labelme", write_labelme))
    },
    "parts without train": Row(
        _voc(valid=TWO, test={"c": CAT}),
        {"train": {"valid/a.png": "cat", "valid/b.png": "dog", "test/c.png": "cat"}},
        said=("nothing is of train by its name, so all is read as train, what is of test and val too",),
        data={"use_crops": False},
        source="voc",
    ),
    "subsets without train": Row(
        _cvat(*(one.replace("Train", "Validation") for one in SUBSETS)),
        {"train": {f"images/{name}.png#0": label for name, label in (("Test/a", "dog"), ("Validation/a", "cat"), ("Validation/b", "dog"))}},
        said=("no subset is of train, so all are read as train: Test, Validation", "shapes without an area"),
        source="cvat",
    ),
    "a picture that two parts name is of one": Row(
        _shared_by_parts,
        {"train": {"a.png#0": "cat", "b.png#0": "dog"}, "val": {"c.png#0": "dog"}},
        aside={"b.png": "is annotated for val too, but is of train already"},
        said=("3 annotated objects of 3 pictures",),
    ),
    "a picture of a subset that is gone is not taken from another one": Row(
        _subset_without_pictures,
        {"train": {"images/Train/a.png#0": "cat", "images/Train/b.png#0": "dog"}},
        aside={"annotations.xml: a.png": "is an annotation without a picture"},
        said=("2 annotated objects",),
    ),
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
    "Roboflow's COCO export": Row(
        _roboflow_coco,
        {"train": {"train/a.png": "cat", "train/b.png": "dog"}, "val": {"valid/a.png": "dog"}, "test": {"test/b.png": "cat"}},
        source="coco",
        data={"use_crops": False},
    ),
    "COCO's own folders": Row(
        _cocos_own,
        {"train": {"train2017/1.png": "cat", "train2017/2.png": "dog"}, "val": {"val2017/3.png": "dog"}},
        aside={
            f"{kind}_{part}2017.json": "is not read beside files that are called instances"
            for kind in ("captions", "person_keypoints")
            for part in ("train", "val")
        },
        data={"use_crops": False},
    ),
    "Roboflow's VOC export": Row(
        _voc(train=TWO, valid={"a": DOG}, test={"b": CAT}),
        {"train": {"train/a.png#0": "cat", "train/b.png#0": "dog"}, "val": {"valid/a.png#0": "dog"}, "test": {"test/b.png#0": "cat"}},
        said=("4 annotated objects of 4 pictures are cut out as squares with 0.1 of the longer side around them",),
        source="voc",
    ),
    "Roboflow's YOLO export": Row(
        _yolo(
            {"train/images": {"1": f"0 {BOX}", "2": f"1 {OUTLINE}"}, "valid/images": {"3": f"1 {BOX}0 {BOX}"}, "test/images": {"4": ""}},
            data__yaml=ROBOFLOW,
            README__roboflow__txt="pets",
        ),
        {
            "train": {"train/images/1.png#0": "cat", "train/images/2.png#0": "dog"},
            "val": {"valid/images/3.png#0": "dog", "valid/images/3.png#1": "cat"},
        },
        aside={"4.png": "has no annotated object", "README.roboflow.txt": "is no label file"},
        said=("4 annotated objects of 3 pictures",),
        source="yolo",
    ),
    "Ultralytics' folders, and the path of another machine": Row(
        _yolo(
            {"images/train": {"1": f"0 {BOX}", "2": f"1 {BOX}"}, "images/val": {"3": f"1 {BOX}"}, "images/old": {"4": f"1 {BOX}"}},
            data__yaml=ULTRALYTICS,
        ),
        {"train": {"images/train/1.png": "cat", "images/train/2.png": "dog"}, "val": {"images/val/3.png": "dog"}},
        aside={"4.png": "is in no part that data.yaml names", "4.txt": "is an annotation without a picture"},
        said=("train: /content/datasets/pets/images/train, which is read as ", "val: /content/datasets/pets/images/val, which is read as"),
        data={"use_crops": False},
    ),
    "YOLO's list of pictures, and one folder for two parts": Row(
        _yolo(
            {"images": {"1": f"0 {BOX}", "2": f"1 {BOX}", "3": f"1 {BOX}"}},
            data__yaml="train: images\nval: images\ntest: test.txt\nnames: [cat, dog]\n",
            test__txt="./images/3.png\n",
        ),
        {"train": {"images/1.png": "cat", "images/2.png": "dog"}, "test": {"images/3.png": "dog"}},
        said=("data.yaml names the same pictures for val as for another part, which has them",),
        data={"use_crops": False},
    ),
    "LabelImg's YOLO files, beside the pictures": Row(
        _yolo({"": {"1": f"0 {BOX}", "2": f"1 {BOX}", "3": f"2 {BOX}", "4": "0 20 30 8 9", "5": f"0 .5 {BOX}"}}, classes__txt="cat\ndog\n"),
        {"train": CROPS},
        aside={
            "3.txt": "has a line 1 that is none of YOLO's: 2 is no class of the 2 that classes.txt names",
            "4.txt": "positions must be shares of the picture, from 0 to 1",
            "5.txt": "a class is followed by 4 numbers or by 3 points and more, not by 5 numbers",
        },
        said=("2 annotated objects",),
        source="yolo",
    ),
    "YOLO's labels parted by commas, and in UTF-16": Row(
        _yolo({"images": {"1": f"0 {BOX}", "2": f"1 {BOX}".encode("utf-16"), "3": "1, .2, .5, .2, .4\n"}}, classes__txt="cat\ndog\n"),
        {"train": {"images/1.png#0": "cat", "images/2.png#0": "dog"}},
        aside={"3.txt": "has a line 1 that is none of YOLO's: numbers are parted by spaces, but these by ','"},
        said=("2 annotated objects",),
        source="yolo",
    ),
    "YOLO's labels, all parted by commas": Row(
        _yolo({"images": {"1": "0, .2, .5, .2, .4\n", "2": "1;.2;.5;.2;.4\n"}}, classes__txt="cat\ndog\n"),
        refused=("(and 1 more) has a line 1 that is none of YOLO's: numbers are parted by spaces, but these by ','",),
    ),
    "YOLO's names of classes in one line": Row(
        _yolo({"images": {"1": f"0 {BOX}", "2": f"1 {BOX}"}}, classes__txt="cat, dog\n"),
        refused=("1 is no class of the 1 that classes.txt names: a name stands on a line of its own, but 'cat, dog' on one",),
    ),
    "YOLO's labels without names of classes": Row(
        _yolo({"images": {"1": f"0 {BOX}", "2": f"1 {BOX}"}}),
        refused=("must hold data.yaml with `names`, or classes.txt",),
    ),
    "YOLO's classification": Row(
        lambda root: (
            tree(root, {"train/cat/a.png": 0, "train/dog/b.png": 1, "val/cat/c.png": 2, "val/dog/d.png": 3, "test/dog/e.png": 4}) and None
        ),
        {
            "train": {"train/cat/a.png": "cat", "train/dog/b.png": "dog"},
            "val": {"val/cat/c.png": "cat", "val/dog/d.png": "dog"},
            "test": {"test/dog/e.png": "dog"},
        },
        source="folder",
    ),
    "CVAT's project, by subsets": Row(
        _cvat(*SUBSETS),
        {"train": {"images/Train/a.png#0": "cat", "images/Train/b.png#0": "dog"}, "test": {"images/Test/a.png#0": "dog"}},
        said=("3 annotated objects of 3 pictures", "shapes without an area are not read: 1 of points"),
        source="cvat",
    ),
    "CVAT's tags": Row(
        _cvat(*TAGS, cvat_image("d", "")),
        {"train": {"images/a.png": "cat", "images/b.png": "dog"}},
        aside={"c.png": "has 2 labels (cat, dog), of which none counts", "d.png": "has no annotated object"},
        source="cvat",
    ),
    "Label Studio's choices, and names without the server's digits": Row(
        _uploads,
        {"train": {"a.png": "cat", "b.png": "dog", "images/c.png": "dog"}},
        aside={
            "11111111-same.png": "is an annotation without a picture",
            "22222222-same.png": "is an annotation without a picture",
            "same.png": "is a picture without an annotation",
        },
        source="label_studio",
    ),
    "Label Studio's JSON-MIN": Row(
        _json_min,
        {"train": {"pets/a.png": "cat", "pets/b.png": "dog"}},
        aside={"c.png": "has 2 labels (cat, dog)"},
        said=("of 1 tasks with several annotations",),
        source="label_studio",
    ),
    "a folder of VOC's that is left out": Row(
        _voc(a=TWO, old={"c": DOG}),
        {"train": {"a/a.png": "cat", "a/b.png": "dog"}},
        said=("'old' leaves out 1 folder",),
        data={"use_crops": False, "exclude": ["old"]},
    ),
    "annotations of pictures that are left out": Row(
        lambda root: write_coco(root, {**TWO, "thumbs/c": DOG}),
        {"train": {"a.png": "cat", "b.png": "dog"}},
        aside={"c.png": "is an annotation of a picture that data.exclude leaves out"},
        said=("'thumbs' leaves out 1 folder",),
        data={"use_crops": False, "exclude": ["thumbs"]},
    ),
    "YOLO's pictures that are left out": Row(
        _yolo({"images/train": {"1": f"0 {BOX}", "2": f"1 {BOX}"}, "images/old": {"3": f"1 {BOX}"}}, data__yaml=ULTRALYTICS),
        {"train": {"images/train/1.png": "cat", "images/train/2.png": "dog"}},
        said=("'old' leaves out 2 folders",),
        data={"use_crops": False, "exclude": ["old"]},
    ),
    "a pattern that leaves out nothing": Row(lambda root: write_labelme(root, TWO), refused=("'old' does not",), data={"exclude": ["old"]}),
    "a few annotations among folders of classes": Row(
        _some_annotated,
        refused=(
            "by 40 pictures in 2 folders that may be classes (cat, dog), or by 6 LabelMe files; say which by source=folder or source=",
            "or source=labelme",
        ),
    ),
    "the same, left out": Row(
        _some_annotated,
        {"train": {f"{label}/{number}.png": label for label in ("cat", "dog") for number in range(20)}},
        aside={"boxes": "is a class without pictures"},
        said=("'*.json' leaves out 6 files",),
        source="folder",
        data={"exclude": ["*.json"]},
    ),
    "files that are no annotations": Row(
        _stray,
        {"train": {"cat/a.png": "cat", "dog/b.png": "dog"}},
        aside={"notes.xml": "is not named like a picture", "settings.json": "is not named like a picture"},
        source="folder",
    ),
}


@pytest.mark.parametrize(("kind", "place"), [("folder", "path"), ("labelme", "path"), ("label_studio", "annotations")])
def test_the_source_that_is_said_is_read(kind: str, place: str, tmp_path: Path) -> None:
    _some_annotated(tmp_path)
    path = write_label_studio(tmp_path, {"cat/1.png": [[choice("cat")]]})
    with pytest.raises(UserError, match=f"or by 1 tasks of Label Studio, .*; say which by .*source={kind}"):
        section_of(str(tmp_path), [])
    section = section_of(str(tmp_path), [f"source={kind}", "allow_bad=0.5"])
    assert (section["source"], section[place]) == (kind, path if place == "annotations" else str(tmp_path))
    assert section_of(str(tmp_path), ['exclude=["*.json"]'])["source"] == "folder"
    with pytest.raises(UserError, match=r"source=digits reads no files, so SOURCE must be digits, but is /"):
        section_of(str(tmp_path), ["source=digits"])


def test_yolos_box_is_a_centre_and_a_size_in_shares(tmp_path: Path) -> None:
    """Against COCO's for the same boxes of a picture of 40 x 30."""
    _yolo({"images": {"1": "0 .2 .5 .2 .4\n1 .7 .5 .25 .6666667\n"}}, classes__txt="cat\ndog\n")(tmp_path / "yolo")
    (tmp_path / "coco").mkdir()
    path = write_coco(tmp_path / "coco", {"1": [("cat", (4, 9, 12, 21)), ("dog", (23, 5, 33, 25))]})
    expected, found = given(coco(annotations=path, crop_margin=0.2)), given(yolo(path=str(tmp_path / "yolo"), crop_margin=0.2))
    assert [label for label, _ in found.values()] == [label for label, _ in expected.values()]
    for (_, crop), (_, other) in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(crop, other)


def test_label_studio_counts_percent_and_turns_about_a_corner(tmp_path: Path) -> None:
    """Against COCO's for the same boxes; 90 degrees clockwise about the upper left corner lie left of it."""
    boxes: Objects = [("cat", (4, 9, 12, 21)), ("dog", (23, 5, 33, 11))]
    results = [place("cat", (4, 9, 12, 21)), place("dog", (33, 5, 39, 15), rotation=90)]
    (tmp_path / "coco").mkdir()
    scene(tmp_path / "ls" / "1.png")
    path = write_label_studio(tmp_path / "ls", {"1.png": [results]})
    expected = given(coco(annotations=write_coco(tmp_path / "coco", {"1": boxes}), crop_margin=0.2))
    found = given(label_studio(annotations=path, crop_margin=0.2))
    assert [label for label, _ in found.values()] == [label for label, _ in expected.values()]
    for (_, crop), (_, other) in zip(found.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(crop, other)


def test_label_studio_asks_which_control_gives_the_label(tmp_path: Path) -> None:
    for name in ("1", "2"):
        scene(tmp_path / f"{name}.png")
    tasks = {f"{name}.png": [[choice(label), choice("day", "time")]] for name, label in (("1", "cat"), ("2", "dog"))}
    path = write_label_studio(tmp_path, tasks)
    with pytest.raises(UserError, match=r"data\.control: must say which control gives the label where several do: kind, time"):
        label_studio(annotations=path, use_crops=False)
    with pytest.raises(UserError, match="'kinds' gave none; nearest is 'kind'"):
        label_studio(annotations=path, use_crops=False, control="kinds")
    assert [label for label, _ in given(label_studio(annotations=path, use_crops=False, control="kind")).values()] == ["cat", "dog"]


def test_a_turned_box_of_cvats_is_opencvs(tmp_path: Path) -> None:
    inner = '<box label="cat" xtl="10" ytl="12" xbr="26" ybr="18" rotation="30"/><box label="dog" xtl="1" ytl="1" xbr="5" ybr="5"/>'
    source = cvat(annotations=write_cvat(tmp_path, [cvat_image("a", inner)]), crop_margin=0.0)
    corners = cv2.boxPoints(((18, 15), (16, 6), 30))
    side = int(np.ceil(corners[:, 0].max()) - np.floor(corners[:, 0].min()))
    assert given(source)["images/a.png#0"][1].shape == (side, side, 3)


@pytest.mark.parametrize("name", ROWS)
def test_what_lies_there_is_what_is_read(name: str, tmp_path: Path) -> None:
    assert differences(ROWS[name], tmp_path) == []
