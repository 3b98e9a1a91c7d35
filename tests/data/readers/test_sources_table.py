"""The table of sources beside their builders, and each of them named in a study's file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visiontune.data.readers.digits import digits
from visiontune.errors import UserError
from visiontune.spec.declarations.declare import REQUIRED, Arg, Items
from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import completed
from visiontune.spec.tables.sources import SOURCES

NEEDED: dict[str, dict[str, Any]] = {
    "digits": {},
    "parquet": {"train": "a.parquet"},
    "saved_dataset": {"path": "pictures"},
    "folder": {"path": "pictures"},
    "manifest": {"path": "labels.csv"},
    "voc": {"path": "pictures", "use_crops": "false"},
    "coco": {"annotations": "instances.json", "crop_margin": 0.25},
    "labelme": {"path": "pictures"},
    "yolo": {"path": "pictures/data.yaml"},
    "cvat": {"annotations": "annotations.xml"},
    "label_studio": {"annotations": "export.json", "control": "kind"},
    "webdataset": {"train": "shards"},
    "torchvision": {"dataset": "CIFAR10", "root": "data"},
}


def study(folder: Path, data: dict[str, Any]) -> Path:
    shown = ", ".join(f"{key}: {value}" for key, value in data.items())
    path = folder / "s.yaml"
    path.write_text(
        f"study: s\ndata: {{{shown}}}\nbudget: {{num_trials: 1, max_epochs: 1}}\n"
        "space: {model: {name: lenet5}, optimizer: {name: sgd, lr: 0.1}}\n"
    )
    return path


@pytest.mark.parametrize("name", SOURCES.entries)
def test_arguments_and_defaults_are_the_builders(name: str) -> None:
    entry = SOURCES.entries[name]
    builders = {
        key: REQUIRED if one.default is one.empty else one.default for key, one in inspect.signature(entry.load()).parameters.items()
    }
    assert {key: arg.default for key, arg in entry.args.items() if isinstance(arg, Arg | Items)} == builders


@pytest.mark.parametrize("name", SOURCES.entries)
def test_a_study_can_name_it(name: str, tmp_path: Path) -> None:
    data = load_study(study(tmp_path, {"source": name, **NEEDED[name]})).data
    defaults = {key: arg.default for key, arg in SOURCES.entries[name].args.items() if isinstance(arg, Arg | Items)}
    given = {key: {"false": False}.get(str(value), value) for key, value in NEEDED[name].items()}
    assert {key: data[key] for key in defaults} == {**defaults, **given}


@pytest.mark.parametrize("name", SOURCES.entries)
def test_a_study_that_is_older_than_an_argument_goes_on(name: str, tmp_path: Path) -> None:
    new = load_study(study(tmp_path, {"source": name, **NEEDED[name]})).identity()
    later = {f"data.{key}" for key, arg in SOURCES.entries[name].args.items() if isinstance(arg, Arg | Items) and key not in NEEDED[name]}
    old = {key: value for key, value in new.items() if key not in later}
    assert completed(old, new) == new
    assert all(completed(old, {**new, key: "another"}) != {**new, key: "another"} for key in later)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"s\.yaml:2: data\.use_crops: 'use_crops' is an argument of voc, coco, labelme, yolo, cvat and label_studio, not of folder",
    ):
        load_study(study(tmp_path, {"source": "folder", "path": "x", "use_crops": "true"}))
    with pytest.raises(UserError, match="nearest is 'MNIST'"):
        load_study(study(tmp_path, {"source": "torchvision", "root": "x", "dataset": "MINST"}))


def test_the_digits_are_those_that_scikit_learn_gives() -> None:
    from sklearn.datasets import load_digits

    source, theirs = digits(), load_digits()
    assert source.labels()["train"].tolist() == theirs.target.tolist()
    pictures_NHWC = np.stack(list(source.pictures("train", np.arange(1797))))
    assert np.array_equal(pictures_NHWC[..., 0], np.rint(theirs.images * 255 / 16))
