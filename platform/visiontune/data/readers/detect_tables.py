"""What tables a folder holds: Parquet files of pictures named after their parts."""

from __future__ import annotations

from typing import Any

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.readers.parquet_splits import parts_section
from visiontune.data.readers.picture_columns import columns_of
from visiontune.errors import UserError

_MOST_FOLDERS = 100
_MAX_LISTED = 5


def table_section(root: Root, text: str) -> dict[str, Any] | None:
    """The section `data` for a folder of tables; None for a folder without. Raises UserError for two in one folder."""
    return _parquet(root, text)


def _parquet(root: Root, text: str) -> dict[str, Any] | None:
    """Files of pictures at the top or in a folder below."""
    folders = ["", *(name for name in root.scan().folders if not is_hidden(name))][:_MOST_FOLDERS]
    found = {folder: parts for folder in folders if (parts := parts_section(root, folder, text)) is not None}
    if len(found) > 1:
        listed = ", ".join(folder or "the top" for folder in [*found][:_MAX_LISTED])
        raise UserError(f"SOURCE {root.shown} has Parquet files for training in {len(found)} places ({listed}): give one of the folders")
    for parts in found.values():
        shards_root, names = open_files(parts["train"], "SOURCE", ".parquet")
        if columns := columns_of(ShardFile(shards_root, names[0])):
            return {"source": "parquet", **parts, **columns}
    return None
