"""The store: decoded pictures in one Arrow file, memory-mapped, so that all trials of a node share them in the page cache.

Layout: images_NHWC uint8 0 to 255, square, C is 1 (grey) or 3 (RGB), read-only; labels_N int64 from 0; mean_C and std_C
float32 of the training pictures divided by 255; index arrays int64, ascending, disjoint.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.ingest import CHECKSUM_KEY, METADATA_KEY, SPLITS, VERSION, ingest, rows_checksum
from visiontune.data.pictures import square_size
from visiontune.data.sources import Source
from visiontune.data.splits import IntArray, plan_sizes
from visiontune.spec.declare import NOTHING, Arg, chosen
from visiontune.spec.errors import UserError
from visiontune.spec.recipe import fingerprint
from visiontune.spec.study import DATA
from visiontune.spec.tables.data import SOURCES


@dataclass(frozen=True)
class DataInfo:
    """What a model must fit. `image_size` in pixels."""

    image_size: int
    channels: int
    num_classes: int
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Store:
    """An open file; see the top of the module for layout and types. Reading goes through the page cache."""

    path: Path
    digest: str
    class_names: tuple[str, ...]
    images_NHWC: NDArray[np.uint8]
    labels_N: IntArray
    train_idx: IntArray
    val_idx: IntArray
    test_idx: IntArray
    mean_C: NDArray[np.float32]
    std_C: NDArray[np.float32]

    @staticmethod
    def open(path: Path) -> Store:
        """Map the file in milliseconds: its length, metadata and labels are checked, not every pixel. Raises UserError."""
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"the store {path} cannot be read ({reason}); `visiontune search` makes it again") from error

    @property
    def info(self) -> DataInfo:
        """Size, channels and classes, for building a model."""
        _, size, _, channels = self.images_NHWC.shape
        return DataInfo(size, channels, len(self.class_names), self.class_names)


def describe(data: Mapping[str, Any]) -> DataInfo:
    """What `prepare` would make: reads labels and the first pictures only. Raises UserError for what can't be used."""
    data = _with_defaults(data)
    source = _source(data)
    plan_sizes(
        source.counts_C,
        source.class_names,
        val_fraction=data["val_fraction"],
        test_fraction=None if source.has_test else data["test_fraction"],
        max_pictures=data["max_pictures"],
    )
    height, width, channels = source.first()
    return DataInfo(square_size(height, width, data["image_size"]), channels, len(source.class_names), source.class_names)


def prepare(data: Mapping[str, Any], cache: Path) -> Path:
    """The store of this data: found in `cache` by the digest of content and settings, or made there once under a lock.

    Several processes may call at once. A damaged file is made again. Raises UserError, also when `cache` can't be written.
    """
    data = _with_defaults(data)
    source = _source(data)
    digest = _digest(source, data)
    path = cache / f"{digest}.arrow"
    if _is_good(path):
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{digest}.lock"):
            if not _is_good(path):
                _remove_leftovers(path)
                ingest(source, data, digest, path)
    except OSError as error:
        raise UserError(f"the folder {cache} must take the decoded pictures, but: {error.strerror or error}") from error
    return path


def _source(data: Mapping[str, Any]) -> Source:
    entry, args = chosen(SOURCES, data, "source")
    source: Source = entry.load()(**args)
    return source


def _with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {name: field.default for name, field in DATA.fields.items() if isinstance(field, Arg)}
    return {**defaults, **data}


def _digest(source: Source, data: Mapping[str, Any]) -> str:
    """Content and settings; paths are left out, so that a moved file is not decoded again."""
    settings = {name: data[name] for name in ("val_fraction", "seed", "image_size", "max_pictures")}
    settings["test_fraction"] = None if source.has_test else data["test_fraction"]
    return fingerprint({"version": VERSION, "content": source.content(), **settings})


def _is_good(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        Store.open(path)
    except UserError:
        return False
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of that file. Raises OSError where it can't be made."""
    # The kernel drops the lock with its process, however that ends; the file itself stays, as removing it would race.
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.stem}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _read(path: Path) -> Store:
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        batch = pa.ipc.open_file(mapped).get_batch(0)
    metadata: Mapping[bytes, bytes] = batch.schema.metadata or NOTHING  # type: ignore[assignment]
    text = metadata[METADATA_KEY]
    if hashlib.sha256(text).hexdigest().encode() != metadata[CHECKSUM_KEY]:
        raise ValueError("its metadata are damaged")
    content = json.loads(text)
    if content["version"] != VERSION:
        raise ValueError(f"it has version {content['version']}, not {VERSION}")
    size, channels = content["image_size"], content["channels"]
    images = np.frombuffer(batch.column("image").buffers()[1], np.uint8)
    label_N = np.frombuffer(batch.column("label").buffers()[1], np.int64)[: batch.num_rows]
    split_N = np.frombuffer(batch.column("split").buffers()[1], np.uint8)[: batch.num_rows]
    if rows_checksum(label_N, split_N) != content["rows_sha256"]:
        raise ValueError("its labels are damaged")
    index = {name: np.flatnonzero(split_N == code).astype(np.int64) for code, name in enumerate(SPLITS)}
    return Store(
        path=path,
        digest=content["digest"],
        class_names=tuple(content["class_names"]),
        images_NHWC=images[: batch.num_rows * size * size * channels].reshape(-1, size, size, channels),
        labels_N=label_N,
        train_idx=index["train"],
        val_idx=index["val"],
        test_idx=index["test"],
        mean_C=np.array(content["mean"], np.float32),
        std_C=np.array(content["std"], np.float32),
    )
