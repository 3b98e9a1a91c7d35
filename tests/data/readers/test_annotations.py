"""VOC, COCO and LabelMe files as their tools write them: crops are the pixels of the boxes; every annotation that can't be used is said."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from annotation_files import SCENE, TWO, Objects, scene, write_coco, write_labelme, write_voc, xml
from picture_files import png
from source_files import given, set_aside

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.coco import coco
from visiontune.data.readers.annotations.labelme import labelme
from visiontune.data.readers.annotations.voc import voc
from visiontune.data.readers.crop import crop_of
from visiontune.data.readers.item import Item
from visiontune.errors import UserError


def read(kind: str, folder: Path, pictures: dict[str, Objects], **args: Any) -> Any:
    folder.mkdir(exist_ok=True)
    if kind == "coco":
        return coco(annotations=write_coco(folder, pictures), **args)
    return voc(path=write_voc(folder, pictures), **args) if kind == "voc" else labelme(path=write_labelme(folder, pictures), **args)


KINDS = pytest.mark.parametrize("kind", ["voc", "coco", "labelme"])


@KINDS
def test_crops_are_the_pixels_of_the_boxes(tmp_path: Path, kind: str) -> None:
    source = read(kind, tmp_path, TWO, crop_margin=0.0)
    found = given(source)
    assert {key: label for key, (label, _) in found.items()} == {"a.png#0": "cat", "a.png#1": "dog", "b.png#0": "dog"}
    on_black = np.pad(SCENE, ((5, 5), (0, 0), (0, 0)))
    for key, expected in {"a.png#0": SCENE[2:12, 3:13], "a.png#1": SCENE[5:25, 15:35], "b.png#0": on_black}.items():
        np.testing.assert_array_equal(found[key][1], expected)
    assert source.first() == (10, 10, 3) and source.encoded is None
    assert source.groups("train") == ["a.png", "a.png", "b.png"] and source.set_aside == ()
    assert source.names("train")[1] == str(tmp_path / "a.png object 1")
    np.testing.assert_array_equal(next(iter(source.pictures("train", np.array([1])))), SCENE[5:25, 15:35])


@KINDS
def test_a_margin_is_a_share_of_the_longer_side_and_moves_in_at_the_edge(tmp_path: Path, kind: str) -> None:
    found = given(read(kind, tmp_path, TWO, crop_margin=0.5))
    np.testing.assert_array_equal(found["a.png#0"][1], SCENE[0:20, 0:20])
    np.testing.assert_array_equal(found["a.png#1"][1], np.pad(SCENE, ((5, 5), (0, 0), (0, 0))))


@pytest.mark.parametrize("margin", [0.0, 0.3, 9.0])
@pytest.mark.parametrize("box", [(0, 0, 6, 6), (34, 24, 40, 30), (0, 3, 5, 28), (1, 24, 39, 30), (17, 0, 23, 30), (0, 0, 40, 30)])
def test_a_crop_is_a_square_that_cuts_nothing_of_its_box(margin: float, box: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = map(int, box)
    picture = np.full((30, 40, 1), 100, np.uint8)
    picture[top:bottom, left:right] = 200
    crop = crop_of(picture, Item("a.png", "x", None, box), margin)
    assert crop.shape[0] == crop.shape[1] <= 40 and crop.shape[0] >= min(40, (1 + 2 * margin) * max(right - left, bottom - top))
    assert (crop == 200).sum() == (right - left) * (bottom - top)
    is_padded = (crop == 0).any()
    assert is_padded == (crop.shape[0] > 30)  # the picture's shorter side


@pytest.mark.parametrize(("picture", "black"), [(np.full((10, 40, 1), 40_000, np.uint16), 0), (np.linspace(-1000, 900, 400), -1000)])
def test_a_crop_of_deep_values_keeps_them_and_is_padded_with_black(picture: Any, black: int) -> None:
    """Of 16 bits, and of a CT, in which air is -1000 and 0 is water."""
    picture = picture.reshape(10, 40, 1)
    crop = crop_of(picture, Item("a.dcm", "x", None, (0, 0, 40, 10)), 0.0)
    np.testing.assert_array_equal(crop[15:25], picture)
    assert crop.dtype == picture.dtype and (crop[:15] == black).all() and (crop[25:] == black).all()


@KINDS
def test_labels_of_whole_pictures(tmp_path: Path, kind: str) -> None:
    pictures: dict[str, Objects] = {**TWO, "c": [("cat", (0, 0, 5, 5)), ("cat", (9, 9, 12, 12))], "d": []}
    source = read(kind, tmp_path, pictures, use_crops=False)
    found = given(source)
    assert {key: label for key, (label, _) in found.items()} == {"b.png": "dog", "c.png": "cat"}
    np.testing.assert_array_equal(found["c.png"][1], SCENE)
    reasons = set_aside(source)
    assert reasons["a.png"].startswith("has objects of 2 classes (cat, dog)") and reasons["d.png"] == "has no annotated object"
    assert source.groups("train") is None and source.encoded is not None


@KINDS
def test_boxes_outside_are_told_and_those_over_the_edge_are_cut(tmp_path: Path, kind: str) -> None:
    boxes = {"in": (30, 20, 46, 29), "half": (36, 0, 46, 10), "out": (50, 5, 60, 9), "line": (5, 5, 5, 9), "back": (9, 9, 4, 4)}
    if kind == "labelme":
        del boxes["back"]  # two points are a box in any order
    source = read(kind, tmp_path, {**TWO, "c": [(f"x{name}", box) for name, box in boxes.items()]}, crop_margin=0.0)
    found = {label[1:]: one for label, one in given(source).values() if label.startswith("x")}
    np.testing.assert_array_equal(found["in"], SCENE[20:30, 30:40])
    assert str(found["half"]) == "is 40 x 30, and the box (36, 0) to (46, 10) lies more than half outside"
    assert str(found["out"]) == "is 40 x 30, and the box (50, 5) to (60, 9) lies outside"
    assert all(str(found[name]).startswith("has an annotation without area") for name in ("line", "back") if name in found)


@KINDS
def test_a_picture_without_annotation_and_an_annotation_without_picture(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "set"
    read(kind, folder, {**TWO, "gone": [("cat", (0, 0, 5, 5))]})
    (folder / "gone.png").unlink()
    scene(folder / "extra.png")
    (folder / "notes.txt").write_text("x")
    source = (
        coco(annotations=str(folder / "instances.json")) if kind == "coco" else {"voc": voc, "labelme": labelme}[kind](path=str(folder))
    )
    assert {*given(source)} == {"a.png#0", "a.png#1", "b.png#0"}
    reasons = [(one.reason, one.is_bad) for one in source.set_aside]
    assert ("is a picture without an annotation", False) in reasons and ("is not named like a picture", False) in reasons
    assert len(reasons) == 3 and any("picture" in reason and is_bad for reason, is_bad in reasons)


@KINDS
def test_an_annotation_of_another_size_is_told(tmp_path: Path, kind: str) -> None:
    read(kind, tmp_path, TWO)
    (tmp_path / "b.png").write_bytes(png(SCENE[:, :20]))
    source = (
        coco(annotations=str(tmp_path / "instances.json")) if kind == "coco" else {"voc": voc, "labelme": labelme}[kind](path=str(tmp_path))
    )
    assert str(given(source)["b.png#0"][1]) == "is 20 x 30, but its annotation says 40 x 30"


@KINDS
def test_content_follows_boxes_and_margin(tmp_path: Path, kind: str) -> None:
    contents = {read(kind, tmp_path, TWO).content(), read(kind, tmp_path, TWO, crop_margin=0.2).content()}
    moved: dict[str, Objects] = {**TWO, "b": [("dog", (1, 0, 40, 30))]}
    contents.add(read(kind, tmp_path, moved).content())
    assert len(contents) == 3 and read(kind, tmp_path, TWO).content() in contents


BOMB = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>'
EXTERNAL = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("head", [BOMB, EXTERNAL])
def test_an_entity_bomb_is_not_read(tmp_path: Path, head: str) -> None:
    write_voc(tmp_path, TWO)
    scene(tmp_path / "bomb.png")
    xml(tmp_path / "bomb.xml", [("&c;" if head == BOMB else "&a;", (0, 0, 5, 5))], head=head)
    source = voc(path=str(tmp_path))
    assert set_aside(source)["bomb.xml"] == "has a DOCTYPE, which may hide an entity bomb" and len(given(source)) == 3
    assert [one.is_bad for one in source.set_aside if one.name.endswith(".xml")] == [True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation><object>", "is no XML"),
        ("", "is no XML"),
        ("<html/>", "is no Pascal VOC file: its root is <html>"),
        ("<annotation><filename>b.png</filename><object><bndbox/></object></annotation>", "an object without a name"),
        ("<annotation><filename>b.png</filename><object><name>x</name></object></annotation>", "whose box is not four numbers"),
        (
            "<annotation><filename>b.png</filename><object><name>x</name><bndbox><xmin>a</xmin></bndbox></object></annotation>",
            "not four numbers",
        ),
    ],
)
def test_xml_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    (Path(write_voc(tmp_path, TWO)) / "bad.xml").write_text(text)
    assert reason in set_aside(voc(path=str(tmp_path)))["bad.xml"]


def test_vocs_own_folders_and_lists(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for number, name in enumerate(["000", "001", "002", "003", "004"]):
        scene(root / "JPEGImages" / f"{name}.png")
        xml(root / "Annotations" / f"{name}.xml", [("cat" if number % 2 else "dog", (0, 0, 9, 9))])
    lists = root / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for part, text in {
        "train": "000\n001\n",
        "val": "002  1\n",
        "trainval": "000\n001\n002\n",
        "test": "003\n",
        "cat_train": "000 -1\n001  1\n",
    }.items():
        (lists / f"{part}.txt").write_text(text)
    source = voc(path=str(tmp_path))
    assert {part: [key.rpartition("/")[2] for key in given(source, part)] for part in ("train", "val", "test")} == {
        "train": ["000.png#0", "001.png#0"],
        "val": ["002.png#0"],
        "test": ["003.png#0"],
    }
    assert set_aside(source) == {"004.xml": "is in no list of ImageSets/Main"}


@pytest.mark.parametrize("kind", ["voc", "labelme"])
def test_folders_train_valid_and_test(tmp_path: Path, kind: str) -> None:
    for part in ("train", "valid", "test"):
        read(kind, tmp_path / part, TWO)
    source = {"voc": voc, "labelme": labelme}[kind](path=str(tmp_path))
    assert source.has_val and source.has_test
    assert [*given(source, "val")] == ["valid/a.png#0", "valid/a.png#1", "valid/b.png#0"]


def test_labelimg_with_a_file_name_from_another_machine(tmp_path: Path) -> None:
    write_voc(tmp_path, TWO)
    for name, written in {"a": "C:\\Users\\me\\a.png", "b": "../../../elsewhere/b.png"}.items():
        xml(tmp_path / f"{name}.xml", TWO[name], filename=written)
    assert len(given(voc(path=str(tmp_path)))) == 3
    xml(tmp_path / "a.xml", TWO["a"], filename="../../../../../../../etc/hostname")
    assert len(given(voc(path=str(tmp_path)))) == 3  # by the name that the annotation bears


def test_no_annotation_at_all(tmp_path: Path) -> None:
    scene(tmp_path / "a.png")
    for read_one, what in ((voc, "Pascal VOC files"), (labelme, "LabelMe files")):
        with pytest.raises(UserError, match=f"must hold {what}"):
            read_one(path=str(tmp_path))


def test_coco_crowds_and_orphans_are_said(tmp_path: Path) -> None:
    crowd = {"id": 7, "image_id": 0, "category_id": 10, "bbox": [0, 0, 5, 5], "iscrowd": 1}
    bad = [crowd, {**crowd, "id": 8, "iscrowd": 0, "image_id": 99}, {**crowd, "id": 9, "iscrowd": 0, "category_id": 3}]
    bad += [{**crowd, "id": 10, "iscrowd": 0, "bbox": [1, 2]}, {**crowd, "id": 11, "iscrowd": 0, "bbox": None}]
    source = coco(annotations=write_coco(tmp_path, TWO, annotations=bad))
    assert len(given(source)) == 3
    assert {reason.split(":")[0]: one.is_bad for one in source.set_aside for reason in [one.reason]} == {
        "marks a crowd, not one object": False,
        "belongs to no picture of the file": True,
        "has category_id 3, which categories lacks": True,
        "has a bbox that is not four numbers": True,
    }
    assert len(source.set_aside) == 5


@pytest.mark.parametrize("width", ["wide", float("inf"), [40]])
def test_a_size_that_is_no_number_is_told(tmp_path: Path, width: Any) -> None:
    """JSON knows Infinity, which no whole number is."""
    path = Path(write_coco(tmp_path, TWO))
    document = json.loads(path.read_text())
    document["images"][0]["width"] = width
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"instances\.json: the entry of \w+\.png has a width and height that are no numbers"):
        coco(annotations=str(path))


def test_coco_pictures_elsewhere_and_names_that_climb_out(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    moved = Path(write_coco(tmp_path / "set", TWO)).rename(tmp_path / "instances.json")
    assert len(given(coco(annotations=str(moved), images=str(tmp_path / "set")))) == 3
    document = json.loads(moved.read_text())
    document["images"][0]["file_name"] = "../../b.png"
    moved.write_text(json.dumps(document))
    with pytest.raises(UserError, match=r"must lie inside .*set, but '../../b.png' does not"):
        coco(annotations=str(moved), images=str(tmp_path / "set"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": [], "categories": []}', '{"images": [{}], "categories": [], "annotations": []}', "[" * 100_000]
)
def test_json_that_is_not_cocos(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match="must be COCO's JSON") as caught:
        coco(annotations=str(tmp_path / "x.json"))
    assert len(str(caught.value).splitlines()) == 1


def test_labelme_shapes_of_all_kinds(tmp_path: Path) -> None:
    shapes = [
        {"label": "polygon", "points": [[5, 4], [9, 20], [15.5, 6]], "shape_type": "polygon"},
        {"label": "circle", "points": [[20, 15], [20, 10]], "shape_type": "circle"},
        {"label": "turned", "points": [[30, 20], [10, 5]], "shape_type": "rectangle"},
    ]
    scene(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    found = dict(given(labelme(path=str(tmp_path), crop_margin=0.0)).values())
    np.testing.assert_array_equal(found["polygon"], SCENE[4:20, 3:19])
    np.testing.assert_array_equal(found["circle"], SCENE[10:20, 15:25])
    np.testing.assert_array_equal(found["turned"], SCENE[3:23, 10:30])


def test_labelme_with_the_picture_inside_and_flags(tmp_path: Path) -> None:
    for name, flag in {"a": "cat", "b": "dog"}.items():
        document = {
            "shapes": [],
            "imagePath": "..\\lost.png",
            "imageData": base64.b64encode(png(SCENE)).decode(),
            "flags": {flag: True, "other": False},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    found = given(labelme(path=str(tmp_path), use_crops=False))
    assert {key: label for key, (label, _) in found.items()} == {"a.json": "cat", "b.json": "dog"}
    np.testing.assert_array_equal(found["a.json"][1], SCENE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"shapes": 3}',
        '{"shapes": [{}]}',
        '{"shapes": [{"label": "x", "points": [["a", 1]]}]}',
        '{"shapes": [{"label": "x", "points": []}]}',
    ],
)
def test_json_that_is_not_labelmes(tmp_path: Path, text: str) -> None:
    (Path(write_labelme(tmp_path, TWO)) / "bad.json").write_text(text)
    source = labelme(path=str(tmp_path))
    assert set_aside(source)["bad.json"].startswith(("is no JSON", "is no LabelMe file", "has a shape without", "could not convert"))
    assert not any(isinstance(one, BadPicture) for _, one in given(source).values())
