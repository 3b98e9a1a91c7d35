"""Which files a source consists of, and their bytes, as digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from visiontune.data.file_names import identity
from visiontune.data.file_tree import Root
from visiontune.data.ingest.worker_pool import open_pool
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.item import Item
from visiontune.data.source import SetAside

Items = Mapping[str, Sequence[Item]]

# Of files: their digests must fit into one write to a pipe, which is whole or not at all up to 4 KiB.
_BLOCK = 64
# Processes take 20 ms to start.
_FORK_FILES = 4096


def listing_of(kind: str, root: Root, items: Items, set_aside: Sequence[SetAside], margin: float) -> str:
    """A text that names, labels, groups and boxes decide, in order; and what is set aside as bad, for that share is limited."""
    digest = hashlib.sha256(f"{kind} {margin}".encode())
    for one in set_aside:
        if one.is_bad:
            digest.update(repr((identity(one.name.removeprefix(root.show(""))), one.reason)).encode())
    for part, found in items.items():
        for item in found:
            digest.update(repr((part, identity(item.path), *item[1:])).encode())
    return f"{kind} {digest.hexdigest()}"


def stamp_of(root: Root, items: Items, listing: str) -> str:
    """The listing, and where the files are, how long, and when they were changed."""
    digest = hashlib.sha256(root.shown.encode("utf-8", "backslashreplace") + root.path.encode("utf-8", "backslashreplace"))
    digest.update("".join(root.stamps(paths_of(items))).encode())
    return f"{listing} {digest.hexdigest()}"


def content_of(listing: str, digests: bytes) -> str:
    """The listing, and the files' content; `digests` are the SHA-256 of all files, in order."""
    return f"{listing} {hashlib.sha256(digests).hexdigest()}"


def digests_of_files(paths: Sequence[str], read: Callable[[str], bytes], tell: Callable[[float], object], *, can_fork: bool) -> bytes:
    """SHA-256 of each, end to end, read on all cores; a file that can't be read counts as empty."""
    starts, digests = range(0, len(paths), _BLOCK), dict[int, bytes]()

    def digests_from(start: int) -> bytes:
        return b"".join(hashlib.sha256(_or_nothing(path, read)).digest() for path in paths[start : start + _BLOCK])

    with open_pool(digests_from, use_processes=can_fork and len(paths) > _FORK_FILES) as pool:
        for finished in pool.finished(starts):
            digests |= finished
            tell(len(digests) / len(starts))
    return b"".join(digests[start] for start in starts)


def paths_of(items: Items) -> list[str]:
    """The path of each file, once."""
    return list(dict.fromkeys(item.path for found in items.values() for item in found))


def _or_nothing(path: str, read: Callable[[str], bytes]) -> bytes:
    try:
        return read(path)
    except BadPicture:
        return b""
