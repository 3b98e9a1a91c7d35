"""Right inputs of every kind, small, as people and tools write them: what the fuzzer makes wrong ones of."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

SPACE = b"""\
study: cifar10_small
data: {source: folder, path: pictures, val_fraction: 0.1, seed: 0, image_size: [24, 32]}
objective: {metric: val_loss, mode: min, costs: [num_parameters]}
budget: {num_trials: 64, min_epochs: 2, max_epochs: 54, reduction_factor: 3, hours: 1}
sampler: {name: tpe, seed: 0}
trial_scheduler: {name: asha}
resources: {gpus_per_trial: 0.25, cpus_per_trial: 4, max_concurrent_trials: auto}
confirm: {num_seeds: 2}
constraints: {num_parameters: "<= 1e6"}
start: {recipes: [{optimizer.lr: 0.1}], portfolio: none}
space:
  model:
    name: {choice: {resnet18: {stem: small}, lenet5: {width: {choice: [1, 2, 4]}}, cnn: {kernel_size: {int: [1, 7], step: 2}}}}
    activation: {choice: {relu: , prelu: {slope: 0.1}, leaky_relu: {slope: {float: [0, 0.5], step: 0.1}}}}
    init: {choice: [he_normal, glorot_uniform, lecun_normal]}
    dropout: {float: [0.0, 0.5]}
  regularization: {l1: {float: [1e-8, 1e-4], log: true}, l2: 0}
  optimizer:
    name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}, nesterov: {choice: [true, false]}}, adamw: {}}}
    lr: {float: [1e-4, 1.0], log: true}
  schedule: {name: {choice: {cosine: {warmup_epochs: {int: [0, 3]}}, plateau: {factor: {float: [0.1, 0.5]}}}}}
  augmentation:
    policy:
      choice:
        fixed:
          Affine: {probability: 0.5, magnitude: {float: [0, 1]}}
          HorizontalFlip:
        none: {}
  training: {batch_size: {choice: [32, 64]}}
"""
BRANCHED = b"""\
study: branched
data: {source: digits, folds: 3}
budget: {num_trials: 8, max_epochs: 9}
sampler: {name: nsga2}
space:
  model:
    name:
      choice:
        lenet5:
          width: {choice: [1, 2]}
          activation: {choice: {leaky_relu: {slope: {choice: [0.1, 0.2]}, norm: layer}, tanh: {}}}
        cnn: {activation: elu, alpha: {float: [0.5, 1.0], step: 0.25}}
        timm: {model: resnet18}
    init: {choice: [he_normal, lecun_normal], when: {model.name: cnn}}
  optimizer: {name: {choice: {sgd: {lr: {float: [0.01, 1], log: true}}, adamw: {lr: auto}}}}
  augmentation: {mixing: {choice: {none: {policy: {choice: {trivialaugment: {}, augmix: {severity: {int: [1, 5]}}}}}, cutmix: {}}}}
  transfer: {weights: weights.safetensors, regime: linear}
"""
RECIPE = b"""\
plugins: [NAME.py]
data: {source: digits, val_fraction: 0.15, test_fraction: 0.2, seed: 0, image_size: 16}
model: {name: cnn, width: 16, depth: 2, activation: leaky_relu, slope: 0.1, init: he_normal, dropout: 0.1}
regularization: {l1: 0.0, l2: 1e-4}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}
schedule: {name: cosine, warmup_epochs: 1}
augmentation: {policy: fixed, Affine: {probability: 0.5, magnitude: 0.3}, mixing: mixup, mixup_alpha: 0.2}
training: {batch_size: 64, num_epochs: 3, seed: 5}
"""
PLUGIN = b"""\
from visiontune.spec.declarations.declare import Arg, Entry, Items
def net(*, num_classes, in_channels, image_size, width): return width
def asgd(parameters, *, decay): return parameters
def dots(*, image_size, magnitude): return magnitude
MODELS = {"my_net": Entry("mine", net, {"width": Arg(int, "channels", 8, 1, 64)})}
OPTIMIZERS = {"my_sgd": Entry("mine", asgd, {"decay": Arg(float, "of weights", 0.0, 0.0, 1.0)}, suits={"lr": 0.03})}
OPS = {"Dots": Entry("mine", dots, {"probability": Arg(float, "chance", 0.5, 0.0, 1.0), "magnitude": Arg(float, "how", 0.5, 0.0, 1.0)})}
"""
OVERRIDES = (
    *("budget.num_trials=8", "space.optimizer.lr={float: [0.01, 1], log: true}", "data.path=pics #2", "sampler.name=random"),
    *("space.model.name={choice: [lenet5, cnn]}", "study=other", "resources.gpus_per_trial=0.5", "confirm.num_seeds=0"),
    *("storage.url=sqlite:///x.db", "data.image_size=[24, 32]", "budget={num_trials: 3, max_epochs: 9}", "space.training.batch_size=64"),
)


def picture(kind: str = "PNG", size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    """A file of Pillow's; `size` is (width, height)."""
    values = np.random.default_rng(7).integers(0, 256, (size[1] // 5, size[0] // 5, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


PICTURES = (
    *(picture(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PPM", "TGA")),
    *(picture("PNG", mode=mode) for mode in ("L", "LA", "P", "RGBA", "1", "I;16")),
    *(picture("JPEG", mode=mode) for mode in ("L", "CMYK")),
)


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def coco() -> bytes:
    """Two pictures, three objects."""
    boxes = [(0, 1, [3, 4, 10, 6]), (0, 2, [20, 5, 10, 20]), (1, 2, [0, 0, 40, 30])]
    return _json(
        {
            "images": [{"id": number, "file_name": f"{name}.png", "width": 40, "height": 30} for number, name in enumerate("ab")],
            "annotations": [
                {"id": at, "image_id": image, "category_id": kind, "bbox": box, "iscrowd": 0} for at, (image, kind, box) in enumerate(boxes)
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
    )


def labelme() -> bytes:
    """A rectangle, a circle and a polygon."""
    shapes = [
        ("cat", [[3, 4], [13, 10]], "rectangle"),
        ("dog", [[20, 15], [25, 15]], "circle"),
        ("dog", [[1, 1], [9, 1], [9, 9]], "polygon"),
    ]
    listed = [{"label": label, "points": points, "shape_type": kind, "group_id": None} for label, points, kind in shapes]
    return _json({"shapes": listed, "imagePath": "a.png", "imageData": None, "imageWidth": 40, "imageHeight": 30, "flags": {"x": True}})


def label_studio() -> bytes:
    """Boxes of one picture, choices of another."""
    value = {"x": 10, "y": 10, "width": 30, "height": 40, "rotation": 15, "rectanglelabels": ["cat"]}
    box = {"from_name": "boxes", "type": "rectanglelabels", "original_width": 40, "original_height": 30, "value": value}
    other = {**box, "value": {**value, "x": 50, "rectanglelabels": ["dog"]}}
    kind = {"from_name": "kind", "type": "choices", "value": {"choices": ["dog"]}}
    return _json(
        [
            {"id": 1, "data": {"image": "/data/upload/1/a.png"}, "annotations": [{"id": 1, "result": [box, other]}]},
            {"id": 2, "data": {"image": "b.png"}, "annotations": [{"id": 2, "result": [kind, box], "was_cancelled": False}]},
        ]
    )


CVAT = b"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta/>
<image id="0" name="a.png" subset="train" width="40" height="30"><box label="cat" xtl="3" ytl="4" xbr="13" ybr="10" occluded="0"/>
<polygon label="dog" points="1,1;9,1;9,9"/><ellipse label="dog" cx="20" cy="10" rx="5" ry="4"/></image>
<image id="1" name="b.png" width="40" height="30"><tag label="dog"/>
<box label="dog" xtl="0" ytl="0" xbr="40" ybr="30" rotation="20.0"/></image>
</annotations>"""
VOC = b"""<annotation><folder>x</folder><filename>a.png</filename><path>/home/someone/a.png</path>
<size><width>40</width><height>30</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>13</xmax><ymax>10</ymax></bndbox></object>
<object><name>dog</name><bndbox><xmin>21</xmin><ymin>6</ymin><xmax>30</xmax><ymax>25</ymax></bndbox></object></annotation>"""
YOLO = b"0 0.5 0.5 0.2 0.3\n1 0.2 0.2 0.1 0.1\n1 0.1 0.1 0.9 0.1 0.9 0.9\n"
YOLO_YAML = b"train: .\nnames: {0: cat, 1: dog}\nnc: 2\n"
TABLES = (
    b"path,label,split\na.png,cat,train\nb.png,dog,train\nsub/c.png,dog,val\n",
    b"path;label\na.png;1\nb.png;2\n",
    b'"path","label"\r\n"a.png","a ""b"""\r\n"b.png","x, y"\r\n',
    "path\tlabel\na.png\tBär\nb.png\tdog\n".encode("utf-16"),
)
ROWS = b'{"path": "a.png", "label": "cat"}\n{"path": "b.png", "label": "dog", "box": [0, 1]}\n'


def members() -> Mapping[str, bytes]:
    """Of an archive: two classes."""
    small = picture("PNG", (10, 10))
    return {"cat/a.png": small, "cat/b.png": small, "dog/c.png": picture("JPEG", (10, 10)), "dog/d.png": small, "notes.txt": b"x" * 400}


def zips() -> tuple[bytes, ...]:
    """Deflated and stored."""
    found = []
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for name, content in members().items():
                archive.writestr(name, content)
        found.append(buffer.getvalue())
    return tuple(found)


def tars() -> tuple[bytes, ...]:
    """Folders of classes in three formats, with a long name and a link, and a shard of WebDataset's."""
    small = picture("PNG", (10, 10))
    forms = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    classes = [_tar({**members(), f"cat/{'n' * 90}.png": small}, form, {"dog/link.png": "c.png"}) for form in forms]
    return *classes, _tar({"0001.png": small, "0001.cls": b"3", "0002.png": small, "0002.json": b'{"label": 4}', "0002.cls": b"4"})


def _tar(files: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT, links: Mapping[str, str] = MappingProxyType({})) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def parquets() -> tuple[bytes, ...]:
    """Pictures with labels, and a table of paths."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    encoded = [{"bytes": content, "path": name} for name, content in members().items() if not name.endswith("txt")]
    tables = (
        pa.table({"image": pa.array(encoded), "label": pa.array([0, 0, 1, 1])}),
        pa.table({"path": ["a.png", "b.png"], "label": ["cat", "dog"]}),
    )
    found = []
    for table in tables:
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        found.append(buffer.getvalue())
    return tuple(found)
