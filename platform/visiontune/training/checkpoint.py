"""Checkpoints that are whole or not there: a file is its magic, the SHA-256 of the rest, and the rest as torch.save writes it.

A new one is written beside the old, and only then the old ones go, but for the one before: what a crash, a full disk or a flipped bit
left behind is skipped on reading. A full disk takes that one first.
"""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from visiontune.filesystem.atomic_write import replacing
from visiontune.filesystem.checkpoint_files import clear, state_path, states_in

NUM_KEPT = 2
_MAGIC = b"visiontune 3\n"  # the number rises with what a state holds or what an epoch is, so that an older one is trained again
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size


def save(folder: Path, epoch: int, state: Mapping[str, Any], attempt: int = 0) -> Path:
    """Write the state after `epoch`; it and the one before are left in `folder`. Raises OSError, and then what was there stays.

    Where the disk is full the ones before the newest go first.
    """
    path = state_path(folder, epoch, attempt)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write(path, state)
    except OSError as error:
        older = [one.path for one in states_in(folder) if one.attempt <= attempt][1:]
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not older:
            raise
        for one in older:
            one.unlink(missing_ok=True)
        _write(path, state)
    clear(folder, path, NUM_KEPT)
    return path


@dataclass(frozen=True)
class Found:
    """The newest state that is whole, on the CPU, None where there is none; and files of later ones that are not."""

    state: dict[str, Any] | None
    damaged: tuple[Path, ...] = ()


def find_newest(folder: Path) -> Found:
    """Look at the files, the newest first. Raises OSError where one can't be read that is there."""
    damaged: list[Path] = []
    for one in states_in(folder):
        try:
            state = _read(one.path)
        except FileNotFoundError:  # gone meanwhile
            continue
        if state is not None:
            return Found(state, tuple(damaged))
        damaged.append(one.path)
    return Found(None, tuple(damaged))


def load_newest(folder: Path) -> dict[str, Any] | None:
    """The newest state whose file is whole, on the CPU; None where there is none. Raises OSError."""
    return find_newest(folder).state


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


def _write(path: Path, state: Mapping[str, Any]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        _pack(state, file)


def _read(path: Path) -> dict[str, Any] | None:
    with path.open("rb") as file:
        header, content = file.read(_HEADER_BYTES), file.read()
    if header != _MAGIC + hashlib.sha256(content).digest():
        return None
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception:  # torch's reader raises whatever comes, of bytes whose digest is right and that are no state
        return None
    return state if isinstance(state, dict) else None
