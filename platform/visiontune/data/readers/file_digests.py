"""Which files a source consists of, and their bytes, as digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from visiontune.data.file_names import identity
from visiontune.data.file_stamps import stamps_of_files
from visiontune.data.file_tree import Root
from visiontune.data.ingest.worker_pool import open_pool
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.item import Item
from visiontune.data.reads_at_once import contents
from visiontune.data.source import SetAside, Stamps

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


def stamps_of(root: Root, items: Items, listing: str) -> Stamps:
    """The listing, and where the files are, how long, and when they were changed."""
    paths = paths_of(items)
    number_of = dict(zip(paths, stamps_of_files(root, paths).tolist(), strict=True))
    of_rows = {part: np.array([number_of[item.path] for item in found], np.uint64) for part, found in items.items()}
    return Stamps(f"{listing} {root.shown} {root.path}", of_rows)


def content_of(listing: str, digests: bytes) -> str:
    """The listing, and the files' content; `digests` are the SHA-256 of all files, in order."""
    return f"{listing} {hashlib.sha256(digests).hexdigest()}"


def digests_of_files(root: Root, paths: Sequence[str], read: Callable[[str], bytes], tell: Callable[[float], object]) -> bytes:
    """SHA-256 of each, end to end, read on all cores; a file that can't be read counts as empty."""
    starts, digests = range(0, len(paths), _BLOCK), dict[int, bytes]()
    can_fork = root.can_fork

    def digests_from(start: int) -> bytes:
        found = contents(read, paths[start : start + _BLOCK], is_remote=root.is_remote)
        return b"".join(hashlib.sha256(b"" if isinstance(one, BadPicture) else one).digest() for one in found)

    with open_pool(digests_from, use_processes=can_fork and len(paths) > _FORK_FILES) as pool:
        for finished in pool.finished(starts):
            digests |= finished
            tell(len(digests) / len(starts))
    return b"".join(digests[start] for start in starts)


def paths_of(items: Items) -> list[str]:
    """The path of each file, once."""
    return list(dict.fromkeys(item.path for found in items.values() for item in found))
