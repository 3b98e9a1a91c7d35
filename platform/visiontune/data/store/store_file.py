"""What lies in a store's file: its columns, its metadata if they are whole, and where each picture begins."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.picture.stored_form import Form
from visiontune.data.split import IntArray
from visiontune.data.store.large_pictures import Large
from visiontune.data.store.layout import CHECKSUM_KEY, METADATA_KEY, VERSION
from visiontune.filesystem.json_text import from_json

_FORM_KEYS = ("kind", "image_size", "stored_size", "channels", "is_resized", "frame", "low", "high")


def opened(path: Path) -> tuple[Any, dict[str, Any]]:
    """The record batch and what the metadata say. Raises OSError, ValueError, KeyError."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        file = pa.ipc.open_file(mapped)
        return file.get_batch(0), content_of(file.metadata or {})


def column(batch: Any, name: str, kind: Any) -> Any:
    """A column of numbers as an array, of the memory map."""
    return np.frombuffer(batch.column(name).buffers()[1], kind)[: batch.num_rows]


def content_of(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What its metadata say, if they are whole."""
    text = metadata[METADATA_KEY]
    if hashlib.sha256(text).hexdigest().encode() != metadata[CHECKSUM_KEY]:
        raise ValueError("its metadata are damaged")
    content: dict[str, Any] = from_json(text)
    if content["version"] != VERSION:
        raise ValueError(f"it has version {content['version']}, not {VERSION}")
    return content


def form_of(content: Mapping[str, Any]) -> Form:
    """How its pictures lie there."""
    return Form.from_json({key: content[key] for key in _FORM_KEYS if key in content})


def whole_of(batch: Any, form: Form, num_bytes: int, path: Path, shape_P2: IntArray | None) -> Large:
    """All pictures of a file. Raises ValueError."""
    buffers = batch.column("image").buffers()
    data = np.frombuffer(buffers[-1], np.uint8)[:num_bytes]
    if len(data) != num_bytes:
        raise ValueError("its pictures are cut off")
    if form.is_even:
        return Large(path, form, data.reshape(-1, *form.stored_size, form.channels), shape_N2=shape_P2)
    offset_P = np.frombuffer(buffers[1], np.int64)[: batch.num_rows + 1]
    return Large(path, form, data=data, offset_N=offset_P, shape_N2=shape_P2)


def pictures_in(path: Path) -> tuple[Form, IntArray]:
    """The form of a store's pictures, and (P,) at which byte of the file each begins. Raises ValueError, KeyError, OSError."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as mapped:
        start = mapped.read_buffer(mapped.size()).address
        mapped.seek(0)
        file = pa.ipc.open_file(mapped)
        batch, content = file.get_batch(0), content_of(file.metadata or {})
        form, buffers = form_of(content), batch.column("image").buffers()
        if form.is_even:
            offset_P = np.arange(batch.num_rows) * form.picture_bytes
        else:
            offset_P = np.frombuffer(buffers[1], np.int64)[: batch.num_rows].copy()
        return form, offset_P + (buffers[-1].address - start)
