"""torchvision's data sets out of small files in each one's own format, and its ImageFolder as the reference for folders."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import png
from source_files import given, tree

from visiontune.data.readers.folder import folder
from visiontune.data.readers.torchvision_datasets import torchvision
from visiontune.errors import UserError
from visiontune.spec.tables.sources import SOURCES

RNG = np.random.default_rng(0)


def pixels(num: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (num, *shape), dtype=np.uint8)


def idx(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes())


def write_mnist(root: Path, name: str) -> dict[str, Any]:
    written = {}
    for part, start in {"train": "train", "test": "t10k"}.items():
        images, labels = pixels(20, 28, 28), np.arange(20, dtype=np.uint8) % 10
        idx(root / name / "raw" / f"{start}-images-idx3-ubyte", images)
        idx(root / name / "raw" / f"{start}-labels-idx1-ubyte", labels)
        written[part] = (images[..., np.newaxis], labels)
    return written


def write_cifar(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from torchvision import datasets

    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *args: True)
    one, num, label_key = getattr(datasets, name), 10 if name == "CIFAR10" else 100, "labels" if name == "CIFAR10" else "fine_labels"
    base = root / one.base_folder
    base.mkdir(parents=True)
    written = {}
    for part, files in {"train": one.train_list, "test": one.test_list}.items():
        images, labels = pixels(num * len(files), 32, 32, 3), np.arange(num * len(files)) % num
        for number, (file, _) in enumerate(files):
            rows = slice(number * num, (number + 1) * num)
            content = {"data": images[rows].transpose(0, 3, 1, 2).reshape(num, -1), label_key: labels[rows].tolist()}
            (base / file).write_bytes(pickle.dumps(content))
        written[part] = (images, labels)
    (base / one.meta["filename"]).write_bytes(pickle.dumps({one.meta["key"]: [f"name {label:02}" for label in range(num)]}))
    return written


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    monkeypatch.setattr(SVHN, "_check_integrity", lambda self: True)
    written = {}
    for part in ("train", "test"):
        images, labels = pixels(20, 32, 32, 3), np.arange(20) % 10
        savemat(root / f"{part}_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, np.newaxis]})
        written[part] = (images, labels)
    return written


def write_stl(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    from torchvision.datasets import STL10

    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    base = root / "stl10_binary"
    base.mkdir(parents=True)
    (base / "fold_indices.txt").write_text("")
    (base / "class_names.txt").write_text("\n".join(f"name {label}" for label in range(10)))
    written = {}
    for part in ("train", "test"):
        images, labels = pixels(10, 96, 96, 3), np.arange(10, dtype=np.uint8)
        images.transpose(0, 3, 2, 1).tofile(base / f"{part}_X.bin")  # columns first
        (labels + 1).tofile(base / f"{part}_y.bin")
        written[part] = (images, labels)
    return written


def write(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if name in ("MNIST", "FashionMNIST"):
        return write_mnist(root, name)
    if name in ("CIFAR10", "CIFAR100"):
        return write_cifar(root, name, monkeypatch)
    return {"SVHN": write_svhn, "STL10": write_stl}[name](root, monkeypatch)


NAMES = [name for name in SOURCES.entries["torchvision"].args["dataset"].choices if name != "ImageNet"]  # type: ignore[union-attr]


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_pictures_and_labels_are_those_of_the_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = write(name, tmp_path, monkeypatch)
    source = torchvision(dataset=name, root=str(tmp_path))
    assert source.has_test and len(source.class_names) == (100 if name == "CIFAR100" else 10)
    for part, (images, labels) in written.items():
        np.testing.assert_array_equal(source.labels()[part], labels)
        np.testing.assert_array_equal(np.stack([one for _, one in given(source, part).values()]), images)
        some = np.array([1, 4, 5])
        np.testing.assert_array_equal(np.stack(list(source.pictures(part, some))), images[some])
    assert source.first() == written["train"][0].shape[1:]
    np.testing.assert_array_equal(source.counts_C, np.bincount(written["train"][1]))
    assert source.content() == torchvision(dataset=name, root=str(tmp_path)).content()
    assert (source.set_aside != ()) == (name == "STL10")


def test_class_names_are_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("FashionMNIST", tmp_path, monkeypatch)
    assert torchvision(dataset="FashionMNIST", root=str(tmp_path)).class_names[:2] == ("T-shirt/top", "Trouser")
    write("CIFAR100", tmp_path, monkeypatch)
    assert torchvision(dataset="CIFAR100", root=str(tmp_path)).class_names[99] == "name 99"


@pytest.mark.parametrize("name", NAMES)
def test_missing_files_are_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"data\.root: must hold the files of {name}.*data\.use_download: true fetches them") as caught:
        torchvision(dataset=name, root=str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_damaged_files_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write("MNIST", tmp_path, monkeypatch)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="must hold the files of MNIST"):
        torchvision(dataset="MNIST", root=str(tmp_path))


def test_imagenet_is_a_folder(tmp_path: Path) -> None:
    names = {
        f"{part}/{label}/{part}_{number}.JPEG": number
        for part in ("train", "val")
        for label in ("n01440764", "n01443537")
        for number in range(2)
    }
    root = tree(tmp_path, names)
    for name in names:
        (tmp_path / name).write_bytes(png(pixels(1, 9, 9, 3)[0], "jpeg"))
    source = torchvision(dataset="ImageNet", root=root)
    assert source.class_names == ("n01440764", "n01443537") and source.has_val and len(given(source, "val")) == 4


def test_folders_have_the_classes_and_files_of_torchvisions_image_folder(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    source = folder(path=tree(tmp_path, {"cat/a.png": 0, "dog/deep/down/a.png": 2, "Ästhetik/x.png": 4, "zebra/y.png": 5}))
    theirs = ImageFolder(str(tmp_path))
    assert {path: theirs.classes[label] for path, label in theirs.samples} == dict(
        zip(source.names("train"), np.array(source.class_names)[source.labels()["train"]], strict=True)
    )
