"""torchvision's data sets by name. All but ImageNet are read whole into memory: 30 to 700 MB while a store is made.

ImageNet is read as the folder that it is (train/ and val/ with a folder for each class), without torchvision's development kit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.class_names import class_order, encode
from visiontune.data.picture.bad_picture import BadPicture, Picture
from visiontune.data.readers.folder import folder
from visiontune.data.source import SetAside, Source
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, first_line

SPLIT_ARG = {"CIFAR10": "train", "CIFAR100": "train", "MNIST": "train", "FashionMNIST": "train", "SVHN": "split", "STL10": "split"}


def torchvision(*, dataset: str, root: str, use_download: bool = False) -> Source:
    """Load train and test. Raises UserError where the files are missing or damaged, or fewer than two classes have training pictures."""
    if dataset == "ImageNet":
        return folder(path=root)
    sets = {part: _load(dataset, root, part, use_download) for part in ("train", "test")}
    images = {part: _images(one) for part, one in sets.items()}
    names = _class_names(sets["train"])
    texts = {part: [names[label] for label in _labels(one).tolist()] for part, one in sets.items()}
    # For its errors: fewer than two classes, names that are alike. The order of the names is torchvision's.
    class_order(set(texts["train"]), root)
    labels = {part: encode(text, names, root, part) for part, text in texts.items()}
    return Source(
        class_names=names,
        counts_C=np.bincount(labels["train"], minlength=len(names)).astype(np.int64),
        has_test=True,
        content=lambda tell=float: _content(dataset, images, labels),
        first=lambda: images["train"].shape[1:],
        labels=lambda: labels,
        pictures=lambda part, rows: _pictures(images[part], rows),
        names=lambda part: [f"{dataset} {part}: row {row}" for row in range(len(labels[part]))],
        keys=lambda part: [str(row) for row in range(len(labels[part]))],
        set_aside=(SetAside("unlabeled_X.bin", "holds 100,000 pictures without labels", is_bad=False),) if dataset == "STL10" else (),
    )


def _load(dataset: str, root: str, part: str, use_download: bool) -> Any:
    from torchvision import datasets

    given: dict[str, Any] = {"split": part} if SPLIT_ARG[dataset] == "split" else {"train": part == "train"}
    try:
        return getattr(datasets, dataset)(root, download=use_download, **given)
    # MNIST's files are read without a checksum: damaged ones fail anywhere.
    except (RuntimeError, OSError, ValueError, AssertionError, LookupError, TypeError) as error:
        hint = "" if use_download else "; data.use_download: true fetches them"
        rule = f"must hold the files of {dataset}, but {Path(root)} does not ({first_line(error)}){hint}"
        raise UserError(Problem("", 0, "data.root", rule)) from error


def _images(one: Any) -> Any:
    """uint8 NHWC, a view where it can be."""
    images = np.asarray(one.data)
    if images.ndim == 3:
        return images[..., np.newaxis]
    # SVHN and STL-10 have the channels first.
    return images if images.shape[3] == 3 else images.transpose(0, 2, 3, 1)


def _labels(one: Any) -> IntArray:
    return np.asarray(one.targets if hasattr(one, "targets") else one.labels).astype(np.int64)


def _class_names(one: Any) -> tuple[str, ...]:
    """SVHN has no names: its labels are the digits."""
    return tuple(str(name) for name in getattr(one, "classes", range(10)))


def _pictures(images_NHWC: Any, rows: IntArray) -> Iterator[Picture | BadPicture]:
    for row in rows.tolist():
        yield np.ascontiguousarray(images_NHWC[row])


def _content(dataset: str, images: Mapping[str, Any], labels: Mapping[str, IntArray]) -> str:
    digest = hashlib.sha256()
    for part, images_NHWC in images.items():
        digest.update(np.ascontiguousarray(images_NHWC).data)
        digest.update(labels[part].data)
    return f"torchvision {dataset} {digest.hexdigest()}"
