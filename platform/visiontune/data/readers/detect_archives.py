"""What is said of files and folders that no source reads: what they are, and how to convert them."""

from __future__ import annotations

import posixpath
import shlex

from visiontune.data.archives.open_archive import is_archive_name
from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.readers.foreign_formats import commonest, foreign_of, foreign_suffix
from visiontune.data.readers.listing import pictures_in
from visiontune.errors import UserError

_MAX_SHOWN = 3


def refuse_foreign_file(text: str) -> None:
    """Raise UserError for a file that is of a format that is known and not read."""
    suffix = foreign_suffix(text)
    foreign = foreign_of(suffix) if suffix else None
    if foreign:
        raise UserError(f"SOURCE {text} holds {foreign.what}; to read it, {foreign.way}")


def refuse_foreign_folder(root: Root, text: str) -> None:
    """Raise UserError for a folder with files of such a format and no folders or pictures beside them."""
    top = root.scan()
    if any(not is_hidden(name) for name in top.folders):
        return
    found = commonest(name for name in top.files if not is_hidden(name))
    if found is None or pictures_in("", top.files, root, []):
        return
    suffix, num = found
    foreign = foreign_of(suffix)
    assert foreign is not None
    archives = [posixpath.join(text, name) for name in top.files if is_archive_name(name) and not is_hidden(name)]
    ways = " or ".join(f"`visiontune ingest {shlex.quote(name)}`" for name in archives[:_MAX_SHOWN])
    one = f": {ways}" if ways and root.filesystem is None else ""
    raise UserError(f"SOURCE {text} holds {num:,} {suffix} and no pictures, {foreign.what}; to read them, {foreign.way}{one}")
