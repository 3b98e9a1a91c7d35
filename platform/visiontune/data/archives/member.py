"""What an index knows of a file in an archive, and its bytes: checked against the length and checksum that the archive has."""

from __future__ import annotations

import errno
import io
import zlib
from typing import Any, NamedTuple

from visiontune.data.archives.volume import Volume

STORED, DEFLATED, TAR = 0, 8, -1
"""Methods of zip files by their numbers; a member of a tar begins at its offset, that of a zip with a header."""
_HEADER_BYTES, _MARK = 30, b"PK\x03\x04"
_USUAL_NAMES = 256
"""Of a header's name and extra field: longer ones cost a second read."""


class Member(NamedTuple):
    """`num_packed` bytes at `offset`, from which `num_bytes` come."""

    offset: int
    num_packed: int
    num_bytes: int
    method: int = TAR
    checksum: int = 0


class DamagedMember(OSError):
    """The bytes are not those that were packed."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EIO, f"it is damaged in its archive: {why}")


def read_member(volume: Volume, member: Member) -> bytes:
    """All its bytes. Raises DamagedMember, OSError."""
    if member.method == TAR:
        content = volume.read_at(member.offset, member.num_bytes)
    else:
        packed = _packed(volume, member)
        content = packed if member.method == STORED else _inflated(packed, member.num_bytes)
    if len(content) != member.num_bytes:
        raise DamagedMember(f"{len(content):,} bytes in place of {member.num_bytes:,}")
    if member.method != TAR and zlib.crc32(content) != member.checksum:
        raise DamagedMember("its checksum is another one")
    return content


def open_member(volume: Volume, member: Member) -> Any:
    """The file as pyarrow's object; a stored one is read as far as it is asked for. Raises DamagedMember, OSError."""
    import pyarrow as pa

    if member.method == DEFLATED:
        return pa.BufferReader(read_member(volume, member))
    start = member.offset if member.method == TAR else member.offset + _header_bytes(volume.read_at(member.offset, _HEADER_BYTES))
    return pa.PythonFile(_Stored(volume, start, member.num_bytes), mode="r")


class _Stored(io.RawIOBase):
    """Bytes of a volume as a file of their own."""

    def __init__(self, volume: Volume, start: int, num_bytes: int) -> None:
        self._volume, self._start, self._num_bytes, self._at = volume, start, num_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._num_bytes}[whence])
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._num_bytes - self._at)
        content = self._volume.read_at(self._start + self._at, left if size < 0 else min(size, left))
        self._at += len(content)
        return content


def _packed(volume: Volume, member: Member) -> bytes:
    """What follows the header: in one read, for on a network each costs a request."""
    block = volume.read_at(member.offset, _HEADER_BYTES + _USUAL_NAMES + member.num_packed)
    start = _header_bytes(block)
    if start > _HEADER_BYTES + _USUAL_NAMES:
        return volume.read_at(member.offset + start, member.num_packed)
    return block[start : start + member.num_packed]


def _header_bytes(block: bytes) -> int:
    """Of a zip member, before its packed bytes. Raises DamagedMember."""
    if block[:4] != _MARK or len(block) < _HEADER_BYTES:
        raise DamagedMember("it does not begin where the archive's index says")
    return _HEADER_BYTES + int.from_bytes(block[26:28], "little") + int.from_bytes(block[28:30], "little")


def _inflated(packed: bytes, num_bytes: int) -> bytes:
    """Never more than one byte over what is expected: a few bytes may unpack to any number."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, num_bytes + 1)
    except zlib.error as error:
        raise DamagedMember(str(error)) from error
