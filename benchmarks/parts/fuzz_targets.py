"""What reads what others wrote, one function each: it takes the bytes and a folder, and raises UserError where it can't use them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from parts import fuzz_examples as right
from parts.fuzz_study import StudyFiles
from parts.mutations import mutate, words_of
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import decode, shape_of
from visiontune.data.prepare import source_of
from visiontune.data.readers.detect import detect_source
from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study

Make = Callable[[random.Random], bytes]
REFUSALS = (UserError, BadPicture)


@dataclass(frozen=True)
class Target:
    """`make` gives one input; `run` reads it in a folder of its own and gives whether anything was accepted. REFUSALS are right answers."""

    make: Make
    run: Callable[[bytes, Path], bool]


def mutated(kind: str, *examples: bytes) -> Make:
    """Inputs made of these by mutation."""
    return lambda pick: mutate(pick, pick.choice(examples), examples, kind)


def targets(folder: Path) -> dict[str, Target]:
    """By name; `folder` gets the files of a study that some of them read."""
    study = StudyFiles.made(folder / "made")
    found: dict[str, Target] = {
        "search space": Target(mutated("yaml", right.SPACE, right.BRANCHED), _space),
        "recipe": Target(mutated("yaml", right.RECIPE), _recipe),
        "overrides": Target(lambda pick: json.dumps(words_of(pick, right.OVERRIDES)).encode(), _overrides),
        "plugin": Target(_declarations, _plugin),
        "manifest": Target(mutated("csv", *right.TABLES), lambda content, at: _source(at, "table.csv", content)),
        "manifest, JSON lines": Target(mutated("jsonl", right.ROWS), lambda content, at: _source(at, "table.jsonl", content)),
        "Parquet": Target(mutated("bytes", *right.parquets()), lambda content, at: _source(at, "table.parquet", content)),
        "COCO": Target(mutated("json", right.coco()), lambda content, at: _source(at, "coco.json", content)),
        "LabelMe": Target(mutated("json", right.labelme()), lambda content, at: _folder(at, "labelme", {"a.json": content})),
        "Label Studio": Target(mutated("json", right.label_studio()), lambda content, at: _source(at, "export.json", content)),
        "CVAT": Target(mutated("xml", right.CVAT), lambda content, at: _source(at, "annotations.xml", content)),
        "Pascal VOC": Target(mutated("xml", right.VOC), lambda content, at: _folder(at, "voc", {"a.xml": content})),
        "YOLO": Target(
            mutated("text", right.YOLO), lambda content, at: _folder(at, "yolo", {"a.txt": content, "data.yaml": right.YOLO_YAML})
        ),
        "YOLO, data.yaml": Target(
            mutated("yaml", right.YOLO_YAML), lambda content, at: _folder(at, "yolo", {"data.yaml": content, "a.txt": right.YOLO})
        ),
        "zip": Target(mutated("bytes", *right.zips()), lambda content, at: _source(at, "pets.zip", content)),
        "tar": Target(mutated("bytes", *right.tars()), lambda content, at: _source(at, "pets.tar", content)),
        "picture": Target(mutated("bytes", *right.PICTURES), _picture),
    }
    return found | {name: Target(*pair) for name, pair in study.makers().items()}


def _space(content: bytes, folder: Path) -> bool:
    (folder / "space.yaml").write_bytes(content)
    load_study(folder / "space.yaml").identity()
    return True


def _recipe(content: bytes, folder: Path) -> bool:
    (folder / "NAME.py").write_bytes(right.PLUGIN)
    (folder / "recipe.yaml").write_bytes(content)
    assert load_recipe(folder / "recipe.yaml").fingerprint
    return True


def _overrides(content: bytes, folder: Path) -> bool:
    path = folder / "good.yaml"
    if not path.exists():
        path.write_bytes(right.SPACE)
    load_study(path, json.loads(content)).identity()
    return True


def _declarations(pick: random.Random) -> bytes:
    """A plugin whose literals are others: the file is the user's own code, so only what it declares is at issue."""
    content = right.PLUGIN
    for _ in range(pick.choice((1, 1, 2, 4))):
        words = (
            b'"my_net"',
            b"int",
            b'"channels"',
            b"8",
            b"1",
            b"64",
            b"net",
            b'"mine"',
            b"0.0",
            b"suits",
            b"MODELS",
            b"Entry",
            b"Arg",
            b"{",
        )
        odd = pick.choice([repr(one).encode("utf-8", "surrogatepass") for one in _LITERALS] + list(words))
        old = pick.choice(words)
        parts = content.split(old)
        if len(parts) > 1:
            at = pick.randrange(1, len(parts))
            content = old.join(parts[:at]) + odd + old.join(parts[at:])
    return content


_LITERALS: tuple[Any, ...] = (None, True, -1, 0, 10**30, 1.5, 1e308, "", "a b", "../x", "\0", "x" * 200, [], {}, (), ["a"], {"a": 1}, b"x")


def _plugin(content: bytes, folder: Path) -> bool:
    from visiontune.spec import plugins

    path = folder / "NAME.py"
    path.write_bytes(content)
    try:
        plugins.load_plugin(path)
    finally:
        plugins._loaded.clear()
    return True


def _pictures(folder: Path) -> None:
    for name in ("a", "b"):
        if not (folder / f"{name}.png").exists():
            (folder / f"{name}.png").write_bytes(right.picture())


def _source(folder: Path, name: str, content: bytes) -> bool:
    _pictures(folder)
    (folder / name).write_bytes(content)
    return _read(detect_source(str(folder / name)))


def _folder(folder: Path, kind: str, files: Mapping[str, bytes]) -> bool:
    _pictures(folder)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    detect_source(str(folder))
    return _read({"source": kind, "path": str(folder)})


def _read(data: Mapping[str, Any]) -> bool:
    """Names, keys, sizes and the first pictures, as a search would."""
    source = source_of(data)
    labels = source.labels()
    assert all(len(source.names(part)) == len(source.keys(part)) == len(rows) for part, rows in labels.items())
    source.first()
    for part, rows in labels.items():
        list(source.pictures(part, np.arange(min(4, len(rows)))))
    return True


def _picture(content: bytes, folder: Path) -> bool:
    try:
        shape = shape_of(content)
    except BadPicture:
        shape = None
    picture = decode(content)
    assert picture.dtype == np.uint8 and (shape is None or picture.shape == shape or content[:4] == b"RIFF"), (shape, picture.shape)
    decode(content, 16)
    return True
