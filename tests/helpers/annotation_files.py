"""VOC, COCO and LabelMe files as their tools write them, beside one made scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
from picture_files import COLOUR, png

SCENE = cv2.resize(COLOUR[0], (40, 30), interpolation=cv2.INTER_CUBIC)
"""30 rows, 40 columns."""

Objects = list[tuple[str, tuple[float, float, float, float]]]


def scene(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(SCENE))


def xml(path: Path, objects: Objects, filename: str | None = None, size: tuple[int, int] = (40, 30), head: str = "") -> None:
    """As LabelImg writes it; boxes are pixel slices from 0, which VOC counts from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>"
        f"<xmin>{left + 1}</xmin><ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, (left, top, right, bottom) in objects
    )
    filename = f"{path.stem}.png" if filename is None else filename
    path.write_text(
        f"{head}<annotation><folder>x</folder><filename>{filename}</filename><path>/home/someone/{filename}</path>"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{shown}</annotation>",
        encoding="utf-8",
    )


def write_voc(folder: Path, pictures: dict[str, Objects]) -> str:
    for name, objects in pictures.items():
        scene(folder / f"{name}.png")
        xml(folder / f"{name}.xml", objects)
    return str(folder)


def write_coco(folder: Path, pictures: dict[str, Objects], **changes: Any) -> str:
    names = sorted({label for objects in pictures.values() for label, _ in objects})
    document: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(names)],
    }
    for number, (name, objects) in enumerate(pictures.items()):
        scene(folder / f"{name}.png")
        document["images"].append({"id": number, "file_name": f"{name}.png", "width": 40, "height": 30})
        for label, (left, top, right, bottom) in objects:
            box = [left, top, right - left, bottom - top]
            one = {
                "id": len(document["annotations"]),
                "image_id": number,
                "category_id": 10 + names.index(label),
                "bbox": box,
                "iscrowd": 0,
            }
            document["annotations"].append(one)
    for key, added in changes.items():
        document[key] += added
    (folder / "instances.json").write_text(json.dumps(document))
    return str(folder / "instances.json")


def write_labelme(folder: Path, pictures: dict[str, Objects]) -> str:
    for name, objects in pictures.items():
        scene(folder / f"{name}.png")
        shapes = [{"label": label, "points": [box[:2], box[2:]], "shape_type": "rectangle"} for label, box in objects]
        document = {"shapes": shapes, "imagePath": f"{name}.png", "imageData": None, "imageWidth": 40, "imageHeight": 30, "flags": {}}
        (folder / f"{name}.json").write_text(json.dumps(document))
    return str(folder)


TWO = {"a": [("cat", (3, 4, 13, 10)), ("dog", (20, 5, 30, 25))], "b": [("dog", (0, 0, 40, 30))]}


def cvat_image(name: str, inner: str, subset: str = "") -> str:
    """An image of CVAT's XML."""
    shown = f' subset="{subset}"' if subset else ""
    return f'<image id="0" name="{name}.png"{shown} width="40" height="30">{inner}</image>'


def write_cvat(folder: Path, images: list[str]) -> str:
    """As CVAT exports a task together with its pictures, which lie in images/."""
    for image in images:
        scene(folder / "images" / image.split('"')[3])
    path = folder / "annotations.xml"
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta/>{"".join(images)}</annotations>')
    return str(path)


def place(label: str, box: tuple[float, float, float, float], rotation: float = 0) -> dict[str, Any]:
    """A result of Label Studio's: percent of 40 x 30 pixels."""
    left, top, right, bottom = box
    value = {"x": left / 0.4, "y": top / 0.3, "width": (right - left) / 0.4, "height": (bottom - top) / 0.3, "rotation": rotation}
    return {
        "from_name": "boxes",
        "type": "rectanglelabels",
        "original_width": 40,
        "original_height": 30,
        "value": {**value, "rectanglelabels": [label]},
    }


def choice(label: str, control: str = "kind") -> dict[str, Any]:
    return {"from_name": control, "type": "choices", "value": {"choices": [label]}}


def write_label_studio(folder: Path, tasks: dict[str, list[list[dict[str, Any]]]]) -> str:
    """Results by annotator, by the picture's address."""
    folder.mkdir(parents=True, exist_ok=True)
    document = [
        {"id": number, "data": {"image": address, "camera": "left"}, "annotations": [{"id": 1, "result": one} for one in given]}
        for number, (address, given) in enumerate(tasks.items())
    ]
    (folder / "export.json").write_text(json.dumps(document))
    return str(folder / "export.json")
