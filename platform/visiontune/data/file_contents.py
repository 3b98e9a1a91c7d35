"""Which files a source consists of, and their bytes, as digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from visiontune.data.decode import BadPicture
from visiontune.data.paths import Root, identity
from visiontune.data.processes import crew

if TYPE_CHECKING:
    from visiontune.data.files import Item

    Items = Mapping[str, Sequence[Item]]

_BLOCK = 256
# Processes take 20 ms to start.
_FORK_FILES = 4096


def listing_of(kind: str, items: Items, margin: float) -> str:
    """Names, labels, groups and boxes, in order."""
    digest = hashlib.sha256(f"{kind} {margin}".encode())
    for part, found in items.items():
        for item in found:
            digest.update(repr((part, identity(item.path), *item[1:])).encode())
    return f"{kind} {digest.hexdigest()}"


def stamp_of(root: Root, items: Items, listing: str) -> str:
    """Where the files are, how long, and when they were changed."""
    digest = hashlib.sha256(root.shown.encode("utf-8", "backslashreplace") + root.path.encode("utf-8", "backslashreplace"))
    digest.update("".join(root.stamps(paths_of(items))).encode())
    return f"{listing} {digest.hexdigest()}"


def content_of(listing: str, digests: bytes) -> str:
    """`digests` are the SHA-256 of all files, in order."""
    return f"{listing} {hashlib.sha256(digests).hexdigest()}"


def digests_of_files(paths: Sequence[str], read: Callable[[str], bytes], tell: Callable[[float], object], *, can_fork: bool) -> bytes:
    """SHA-256 of each, end to end, read on all cores; a file that can't be read counts as empty."""
    starts, digests = range(0, len(paths), _BLOCK), b""

    def digests_from(start: int) -> bytes:
        return b"".join(hashlib.sha256(_or_nothing(path, read)).digest() for path in paths[start : start + _BLOCK])

    with crew(digests_from, use_processes=can_fork and len(paths) > _FORK_FILES) as submit:
        for number, future in enumerate([submit(start) for start in starts]):
            digests += future.result()
            tell((number + 1) / len(starts))
    return digests


def paths_of(items: Items) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(item.path for found in items.values() for item in found))


def _or_nothing(path: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(path)
    except BadPicture:
        return b""
