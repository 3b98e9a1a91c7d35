"""Decode once: from a source to one uncompressed Arrow IPC file that can be memory-mapped.

File: one record batch with the columns image (fixed_size_binary, uint8 HWC), label (int64) and split (uint8: 0 train, 1 val,
2 test); the schema's metadata holds a JSON text under b"visiontune" and its SHA-256. Written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.pictures import BadPicture, Picture, fit, refuse_size, square_size
from visiontune.data.sources import Source
from visiontune.data.splits import IntArray, choose_rows, plan_sizes
from visiontune.spec.errors import Problem, UserError

VERSION = 1
METADATA_KEY = b"visiontune"
CHECKSUM_KEY = b"visiontune.sha256"
SPLITS = ("train", "val", "test")
_CHUNK_BYTES = 8 * 2**20
_MAX_LISTED = 5


@dataclass(frozen=True)
class Plan:
    """What goes into the file: rows of each of the source's parts, then label and split of every picture, in the file's order."""

    rows: Mapping[str, IntArray]
    label_N: IntArray
    split_N: NDArray[np.uint8]


def make_plan(source: Source, data: Mapping[str, Any]) -> Plan:
    """Choose the rows. Raises UserError when a class is too small to be split."""
    sizes = plan_sizes(
        source.counts_C,
        source.class_names,
        val_fraction=data["val_fraction"],
        test_fraction=None if source.has_test else data["test_fraction"],
        max_pictures=data["max_pictures"],
    )
    labels = source.labels()
    parts = choose_rows(labels["train"], sizes, data["seed"])
    rows = np.concatenate(parts)
    split = np.repeat(np.arange(3, dtype=np.uint8), [len(part) for part in parts])
    order = np.argsort(rows)
    chosen = {"train": rows[order]}
    label_N, split_N = labels["train"][rows[order]], split[order]
    if source.has_test:
        chosen["test"] = np.arange(len(labels["test"]), dtype=np.int64)
        label_N = np.concatenate([label_N, labels["test"]])
        split_N = np.concatenate([split_N, np.full(len(labels["test"]), 2, np.uint8)])
    return Plan(chosen, label_N, split_N)


def ingest(source: Source, data: Mapping[str, Any], digest: str, path: Path) -> None:
    """Make the file at `path`. Raises UserError for bad pictures, OSError when the disk refuses; leaves nothing behind then."""
    plan = make_plan(source, data)
    height, width, channels = source.first()
    size = square_size(height, width, data["image_size"])
    raw, whole = (path.with_name(f".{path.stem}.{os.getpid()}.{kind}.tmp") for kind in ("raw", "arrow"))
    try:
        histogram_CV = _write_raw(raw, source, plan, size, channels, is_resized=data["image_size"] is not None)
        if histogram_CV is None:
            channels = 3
            histogram_CV = _write_raw(raw, source, plan, size, channels, is_resized=data["image_size"] is not None)
        assert histogram_CV is not None
        mean_C, std_C = moments(histogram_CV)
        content = {
            "version": VERSION,
            "digest": digest,
            "class_names": list(source.class_names),
            "image_size": size,
            "channels": channels,
            "mean": mean_C,
            "std": std_C,
            "splits": {name: int((plan.split_N == code).sum()) for code, name in enumerate(SPLITS)},
            "rows_sha256": rows_checksum(plan.label_N, plan.split_N),
        }
        _write_arrow(whole, raw, plan, content)
        whole.replace(path)
        _sync(path.parent)
    finally:
        raw.unlink(missing_ok=True)
        whole.unlink(missing_ok=True)


def rows_checksum(label_N: IntArray, split_N: NDArray[np.uint8]) -> str:
    """SHA-256 over labels and splits."""
    return hashlib.sha256(label_N.tobytes() + split_N.tobytes()).hexdigest()


def _write_raw(path: Path, source: Source, plan: Plan, size: int, channels: int, *, is_resized: bool) -> NDArray[np.int64] | None:
    """Decoded pictures end to end, and how often each value occurs in train; None when a colour picture turns up among greys."""
    histogram_CV = np.zeros((channels, 256), np.int64)
    num_chunk = max(1, _CHUNK_BYTES // (size * size * channels))
    pictures = _every_picture(source, plan, size, is_resized=is_resized)
    with path.open("wb") as file:
        for start in range(0, len(plan.label_N), num_chunk):
            chunk = list(islice(pictures, num_chunk))
            if any(picture.shape[2] > channels for picture in chunk):
                return None
            if not chunk:
                break
            chunk_NHWC = np.stack([fit(picture, size, channels) for picture in chunk])
            file.write(chunk_NHWC.data)
            is_train = plan.split_N[start : start + len(chunk)] == 0
            for channel in range(channels):
                histogram_CV[channel] += np.bincount(chunk_NHWC[is_train, :, :, channel].ravel(), minlength=256)
        # A source tells of bad pictures when it is exhausted.
        next(pictures, None)
    return histogram_CV


def _every_picture(source: Source, plan: Plan, size: int, *, is_resized: bool) -> Iterator[Picture]:
    bad: list[Problem] = []
    for part, rows in plan.rows.items():
        names = source.names(part)
        for row, picture in zip(rows, source.pictures(part, rows), strict=True):
            if isinstance(picture, BadPicture):
                bad.append(Problem(names[row], 0, "", f"picture {picture}"))
                if len(bad) == _MAX_LISTED:
                    raise UserError(*bad)
                continue
            if not is_resized:
                refuse_size(f"data.{part}: row {row}", picture, size)
            yield picture
    if bad:
        raise UserError(*bad)


def moments(histogram_CV: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, values divided by 255; a constant channel counts as one level wide."""
    share_CV = histogram_CV / histogram_CV.sum(axis=1, keepdims=True)
    value_V = np.arange(256) / 255
    mean_C = share_CV @ value_V
    std_C = np.sqrt(np.maximum((share_CV * (value_V - mean_C[:, np.newaxis]) ** 2).sum(axis=1), 0.0))
    return mean_C.tolist(), np.maximum(std_C, 1 / 255).tolist()


def _write_arrow(path: Path, raw: Path, plan: Plan, content: Mapping[str, Any]) -> None:
    import pyarrow as pa

    text = json.dumps(content, sort_keys=True).encode()
    num = len(plan.label_N)
    with pa.memory_map(str(raw)) as mapped:
        kind = pa.binary(mapped.size() // num)
        image = pa.FixedSizeBinaryArray.from_buffers(kind, num, [None, mapped.read_buffer()])
        schema = pa.schema(
            [("image", kind), ("label", pa.int64()), ("split", pa.uint8())],
            metadata={METADATA_KEY: text, CHECKSUM_KEY: hashlib.sha256(text).hexdigest().encode()},
        )
        batch = pa.record_batch([image, pa.array(plan.label_N), pa.array(plan.split_N)], schema=schema)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
