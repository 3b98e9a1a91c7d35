"""Which files an archive has and where their bytes lie.

Names are relative, with "/", as unpacking into an empty folder would make them; one that would leave it is refused. Where a name comes
twice the last one counts, as it does when unpacked; where its contents differ the index knows it.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import re
import shlex
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from visiontune.data.archives.member import DEFLATED, STORED, TAR, Member
from visiontune.data.file_names import as_utf8, printable
from visiontune.errors import UserError, first_line

_COMPRESSIONS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_READ_AHEAD = 1 << 20
"""Headers of a tar lie between its files: on a network fewer, longer reads pass over small files sooner."""
_METHODS = {STORED, DEFLATED}
_MAX_SHOWN = 3


@dataclass(frozen=True)
class Index:
    """`folders` are those that the archive lists itself; `odd` are links that lead out of it or to folders, and devices.

    `repeated` are names of several files that are not equal.
    """

    members: dict[str, Member] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)
    repeated: set[str] = field(default_factory=set)


def index_of(file: Any, kind: str, shown: str, *, is_local: bool) -> Index:
    """Read the index of a zip, or all headers of a tar; `kind` is "zip" or "tar", `file` can be read and sought.

    Raises UserError for an archive that can't be read, OSError.
    """
    start = bytes(file.read(6))
    file.seek(0)
    for mark, method in _COMPRESSIONS.items():
        if start.startswith(mark):
            raise UserError(_compressed(shown, method))
    try:
        return _of_zip(file, shown) if kind == "zip" else _of_tar(file if is_local else _ahead(file), shown)
    except (zipfile.BadZipFile, tarfile.TarError, NotImplementedError, EOFError, ValueError, struct.error) as error:
        raise UserError(f"{shown} must be a {kind} archive that can be read, but: {first_line(error)}") from error


def _compressed(shown: str, method: str) -> str:
    name = re.sub(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst)$", "", posixpath.basename(shown), flags=re.IGNORECASE)
    into, archive = shlex.quote(name or "pictures"), shlex.quote(shown)
    rule = f"{shown} must be a tar without compression, whose pictures can be read in any order, but is compressed by {method}"
    return f"{rule}; unpack it: `mkdir {into} && tar -xf {archive} -C {into}`, then give {into}"


def _ahead(file: Any) -> BinaryIO:
    return io.BufferedReader(file, _READ_AHEAD)


def _of_zip(file: Any, shown: str) -> Index:
    index = Index()
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    _refuse_locked(infos, shown)
    num_bytes = file.seek(0, io.SEEK_END)
    for info in infos:
        if info.header_offset + info.compress_size > num_bytes:  # or room would be made for what it claims
            raise zipfile.BadZipFile(f"its member {printable(info.filename)} would end behind it")
        name = _inside(_zip_name(info), shown)
        if info.filename.endswith("/"):
            index.folders.add(name)
        elif not name:
            continue  # nothing that could be unpacked
        elif stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            index.odd.add(name)
        else:
            member = Member(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)
            before = index.members.get(name, member)
            if (before.num_bytes, before.checksum) != (member.num_bytes, member.checksum):
                index.repeated.add(name)
            index.members[name] = member
    return index


def _refuse_locked(infos: Iterable[zipfile.ZipInfo], shown: str) -> None:
    """Raise UserError for members that need a password, or a method that is not zlib's."""
    locked = [info.filename for info in infos if info.flag_bits & 1]
    if locked:
        rule = f"{shown} must have no password, but {_named(locked)} of {len([*infos]):,} members are encrypted"
        raise UserError(f"{rule}; unpack it (7z x {shlex.quote(shown)}) and give the folder")
    packed = [info.filename for info in infos if info.compress_type not in _METHODS]
    if packed:
        rule = f"members of {shown} must be stored or deflated, but {_named(packed)} are packed in another way"
        raise UserError(f"{rule}; unpack it (7z x {shlex.quote(shown)}) and give the folder")


def _named(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_MAX_SHOWN])
    return f"{len(names):,} ({shown}{', ...' if len(names) > _MAX_SHOWN else ''})"


def _zip_name(info: zipfile.ZipInfo) -> str:
    """macOS writes UTF-8 without saying so, and old programs of Windows their own separator."""
    name = info.filename
    if not info.flag_bits & 0x800 and not name.isascii():
        try:
            name = name.encode("cp437").decode()
        except ValueError:
            name = info.filename
    return name.replace("\\", "/")


def _of_tar(file: Any, shown: str) -> Index:
    index, links, pairs = Index(), dict[str, str](), list[tuple[str, Member, Member]]()
    for info in _headers(file):
        name = _inside(info.name, shown)
        if info.isdir():
            index.folders.add(name)
        elif not name:
            continue
        elif info.isreg() and not info.issparse():
            member = Member(info.offset_data, info.size, info.size, TAR)
            if name in index.members:
                pairs.append((name, index.members[name], member))
            index.members[name] = member
        elif info.islnk():
            links[name] = info.linkname
        elif info.issym():
            links[name] = posixpath.join(posixpath.dirname(name), info.linkname)
        else:
            index.odd.add(name)
    index.repeated.update(name for name, one, other in pairs if not _is_same(file, one, other))
    for name, target in links.items():
        linked = index.members.get(posixpath.normpath(target))
        if linked is None:
            index.odd.add(name)
        else:
            index.members[name] = linked
    return index


def _is_same(file: Any, one: Member, other: Member) -> bool:
    """Whether a tar, which has no checksums, has the same bytes in both places."""
    if one.num_bytes != other.num_bytes:
        return False
    digests = []
    for member in (one, other):
        file.seek(member.offset)
        digest = hashlib.sha256()
        for left in range(member.num_bytes, 0, -_READ_AHEAD):
            digest.update(file.read(min(left, _READ_AHEAD)))
        digests.append(digest.digest())
    return digests[0] == digests[1]


def _headers(file: Any) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=file, mode="r:") as archive:
        while (info := archive.next()) is not None:
            # Or it keeps each, which takes more room than the index.
            archive.members.clear()  # type: ignore[attr-defined]
            yield info


def _inside(name: str, shown: str) -> str:
    """Raises UserError for a name that would leave the folder that the archive is unpacked into."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:$", parts[0] if parts else ""):
        raise UserError(f"names in {shown} must lie within it, but one is {as_utf8(name)!r}; whoever made this archive may mean harm")
    return "/".join(parts)
