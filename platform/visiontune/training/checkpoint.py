"""Checkpoints that are whole or not there: a file is its magic, the SHA-256 of the rest, and the rest as torch.save writes it.

A new one is written beside the old, and only then the old ones go. What a crash, a full disk or a flipped bit left behind is
skipped on reading.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from visiontune.filesystem.atomic_write import write_whole

_MAGIC = b"visiontune 2\n"  # the number rises with what a state holds, so that an older one is trained again
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size


def save(folder: Path, epoch: int, state: Mapping[str, Any]) -> Path:
    """Write the state after `epoch`; it is the only checkpoint left in `folder`. Raises OSError, and then the old one stays."""
    path = folder / f"epoch-{epoch:06d}.ckpt"
    write_whole(path, _packed(state))
    for old in folder.iterdir():
        if old != path:
            old.unlink(missing_ok=True)
    return path


def load_newest(folder: Path) -> dict[str, Any] | None:
    """The state of the highest epoch whose file is whole, on the CPU; None where there is none."""
    for path in sorted(folder.glob("epoch-*.ckpt"), reverse=True):
        state = _read(path)
        if state is not None:
            return state
    return None


def size_bytes(folder: Path) -> int:
    """Bytes of the folder's files; 0 for a folder that is not there."""
    return sum(path.stat().st_size for path in folder.glob("*"))


def _packed(state: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getvalue()
    return _MAGIC + hashlib.sha256(content).digest() + content


def _read(path: Path) -> dict[str, Any] | None:
    try:
        packed = path.read_bytes()
    except OSError:
        return None
    header, content = packed[:_HEADER_BYTES], packed[_HEADER_BYTES:]
    if header != _MAGIC + hashlib.sha256(content).digest():
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return None
    return state
