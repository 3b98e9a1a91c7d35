"""Pictures as users name them or hold them, one after the other: files, folders, patterns, URIs, bytes, arrays, images of Pillow's.

Nothing is read here. Names may come from an iterator without end; of a folder the names in it are held, of an iterator one.
"""

from __future__ import annotations

import glob
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from visiontune.data.archives.open_archive import is_archive_name
from visiontune.data.file_names import as_utf8, printable
from visiontune.data.file_tree import Root
from visiontune.data.open_files import beside, kind_at, open_root
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.decode_pillow import of_image
from visiontune.data.readers.listing import pictures_in
from visiontune.errors import UserError, first_line
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.uri import is_uri, shown

_WHERE = "PICTURES"
_MOST_TOLD = 5
_EMPTY = "one is an empty string, which names none"


class Given(NamedTuple):
    """A picture to come: its name, and what gives its file's bytes or its pixels, or raises BadPicture."""

    name: str
    load: Callable[[], bytes | Values]


def find_pictures(pictures: Any) -> Iterator[Given]:
    """One picture, a name, or any iterable of them; a folder stands for all pictures below it, in the order of names, folders last.

    Names in a list or tuple are looked up now: raises UserError with those that lead nowhere. Those that an iterator gives become
    pictures that can't be read.
    """
    if isinstance(pictures, str | os.PathLike | bytes | bytearray) or _is_one(pictures):
        pictures = [pictures]
    if isinstance(pictures, Sequence):
        _refuse_missing(pictures)
    if not isinstance(pictures, Iterable):
        raise UserError(f"pictures are paths, bytes, arrays or Pillow's images, one or many, but got {type(pictures).__name__}")
    return (given for number, one in enumerate(pictures) for given in _all_of(number, one))


def _is_one(pictures: Any) -> bool:
    return (isinstance(pictures, np.ndarray) and pictures.ndim < 4) or _is_image(pictures)


def _is_image(one: Any) -> bool:
    from PIL import Image

    return isinstance(one, Image.Image)


def _refuse_missing(pictures: Sequence[Any]) -> None:
    words = (os.fspath(one) for one in pictures if isinstance(one, str | os.PathLike))
    local = [word for word in words if not is_uri(word)]
    missing = [word for word in local if not _lies_there(word)]
    if missing:
        told = [_missing(word) for word in missing[:_MOST_TOLD]]
        more = [f"and {len(missing) - _MOST_TOLD:,} more"] if len(missing) > _MOST_TOLD else []
        raise UserError(*(f"{_WHERE} must be pictures, folders or patterns of them, but {one}" for one in told), *more)


def _missing(word: str) -> str:
    return f"there is no {printable(word)}{beside(open_root(word, _WHERE))}" if word else _EMPTY


def _lies_there(word: str) -> bool:
    """Here or in an archive. Raises UserError for an archive that can't be read."""
    if not word:
        return False
    is_here = kind_of(word) is not None and not is_archive_name(word)
    return is_here or next(_matches(word), None) is not None or kind_at(open_root(word, _WHERE)) is not None


def _matches(word: str) -> Iterator[str]:
    # glob and not Path.glob: it leaves out hidden names, as a shell does, and keeps names as they were written.
    return iter(sorted(glob.glob(word, recursive=True))) if glob.has_magic(word) else iter(())  # noqa: PTH207


def _all_of(number: int, one: Any) -> Iterator[Given]:
    if isinstance(one, str | os.PathLike):
        word = os.fspath(one)
        yield from _remote(word) if is_uri(word) else _local(os.path.expanduser(word))  # noqa: PTH111  odd bytes too
    elif isinstance(one, bytes | bytearray | memoryview):
        yield Given(str(number), partial(bytes, one))
    elif _is_image(one):
        yield Given(str(number), partial(of_image, one))
    else:
        yield Given(str(number), partial(_pixels, one))


def _local(word: str) -> Iterator[Given]:
    if not word:
        yield Given("''", partial(_raise, "is an empty string, which names no picture"))
        return
    kind = kind_of(word)
    found = iter([(word, kind)]) if kind is not None else ((name, kind_of(name)) for name in _matches(word))
    is_any = False
    for name, kind in found:
        is_any = True
        if kind == "folder" or is_archive_name(name):
            yield from _opened(name)
        else:
            parent, _, file = name.rpartition("/")
            root = _parent(parent or ("/" if name.startswith("/") else "."))
            yield Given(as_utf8(name), partial(root.read, file))
    if not is_any:
        yield from _opened(word)


def _opened(word: str) -> Iterator[Given]:
    """The pictures of a folder, of an archive or of a folder in one, or a picture in one."""
    try:
        root = open_root(word, _WHERE)
        kind = kind_at(root)
    except UserError as error:
        yield Given(as_utf8(word), partial(_raise, first_line(error)))
        return
    if kind == "folder":
        yield from _below(root)
    else:
        yield Given(as_utf8(word), partial(root.read, "") if kind else partial(_nothing_there, word))


@lru_cache(maxsize=64)
def _parent(folder: str) -> Root:
    """One object for the neighbours: a file system is opened once for each folder."""
    return open_root(folder, _WHERE)


def _remote(word: str) -> Iterator[Given]:
    above, _, file = word.rpartition("/")
    try:
        near = _parent(above) if is_uri(above + "/") and not above.endswith("/") else None
        root = open_root(word, _WHERE) if near is None else Root(f"{near.path}/{file}", shown(word), near.filesystem)
        if kind_at(root) == "folder":
            yield from _below(root)
            return
        yield Given(shown(word), partial(root.read, ""))  # which says why, where there is none
    except UserError as error:
        yield Given(shown(word), partial(_raise, first_line(error)))


def _below(root: Root) -> Iterator[Given]:
    """All pictures of a folder by their names, hidden ones left out."""
    for folder, found in root.walk():
        for name in pictures_in(folder, found.files, root, []):
            file = posixpath.join(folder, name)
            yield Given(as_utf8(posixpath.join(root.shown, file)), partial(root.read, file))


def _pixels(one: Any) -> Values:
    picture = np.asarray(one)
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in (1, 3, 4)):
        raise BadPicture(f"must be uint8 of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), but is {picture.dtype} {picture.shape}")
    if 0 in picture.shape:
        raise BadPicture("has no pixels")
    if picture.ndim == 3 and picture.shape[2] == 4:
        from PIL import Image

        return of_image(Image.fromarray(picture))
    return picture.reshape(*picture.shape[:2], -1)


def _nothing_there(word: str) -> bytes:
    return _raise(f"cannot be read (there is no {Path(word).name})")


def _raise(reason: str) -> bytes:
    raise BadPicture(reason)
