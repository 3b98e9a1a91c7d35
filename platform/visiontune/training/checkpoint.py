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
from typing import IO, Any

import torch

from visiontune.filesystem.atomic_write import replacing

_MAGIC = b"visiontune 3\n"  # the number rises with what a state holds or what an epoch is, so that an older one is trained again
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size


def save(folder: Path, epoch: int, state: Mapping[str, Any]) -> Path:
    """Write the state after `epoch`; it is the only checkpoint left in `folder`. Raises OSError, and then the old one stays."""
    path = folder / f"epoch-{epoch:06d}.ckpt"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        _pack(state, file)
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


class _Hashed:
    """A file that is written from its beginning to its end, and the digest of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.sha = file, hashlib.sha256()
        self.error: OSError | None = None  # torch makes its own of it, which says nothing of the disk

    def write(self, part: Any) -> int:
        self.sha.update(part)
        try:
            return self._file.write(part)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def _pack(state: Mapping[str, Any], file: IO[bytes]) -> None:
    """No byte of a tensor is copied on its way."""
    file.write(bytes(_HEADER_BYTES))
    hashed = _Hashed(file)
    try:
        torch.save(dict(state), hashed)  # type: ignore[arg-type]
    except RuntimeError as error:
        raise hashed.error or error from None
    file.seek(0)
    file.write(_MAGIC + hashed.sha.digest())


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            header, content = file.read(_HEADER_BYTES), file.read()
    except OSError:
        return None
    if header != _MAGIC + hashlib.sha256(content).digest():
        return None
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        return None
    return state
