"""Which columns of a table hold the pictures and their labels, by its schema and, where that leaves it open, its first row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from visiontune.data.picture.formats import kind_of
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.readers.picture_tables import PictureTable, encoded, is_picture_type
from visiontune.errors import UserError, first_line
from visiontune.filesystem.json_text import from_json


def columns_of(shard: ShardFile) -> dict[str, str]:
    """`image_column`, and `label_column` where it isn't called so and is the only ClassLabel; nothing for a table without pictures.

    Raises UserError for what is no such file.
    """
    try:
        table = shard.open()
        image = _image_column(table)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"SOURCE {shard} must be {shard.kind}, but is none ({first_line(error)})") from error
    if image is None:
        return {}
    classes = [name for name in table.schema.names if declared_names(table.schema, name)]
    is_named = "label" not in table.schema.names and len(classes) == 1
    return {"image_column": image, **({"label_column": classes[0]} if is_named else {})}


def declared_names(schema: Any, column: str) -> list[str] | None:
    """Class names of a ClassLabel feature, or of a list of them, from the metadata that Hugging Face's datasets writes."""
    try:
        features = from_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = features[column]
        found = found[0] if isinstance(found, list) else found.get("feature", found)  # of a list of labels
        names = found["names"]
    except (AttributeError, LookupError, TypeError, ValueError):  # what others write there declares nothing
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None


def _image_column(table: PictureTable) -> str | None:
    found = [field for field in table.schema if is_picture_type(field.type)]
    structs: list[str] = [field.name for field in found if pa.types.is_struct(field.type)]
    if structs:
        return structs[0]
    # Binary may be anything: embeddings, masks, an id.
    return next((field.name for field in found if _begins_with_a_picture(table, field.name)), None)


def _begins_with_a_picture(table: PictureTable, column: str) -> bool:
    if table.num_rows == 0 or table.schema.names.count(column) > 1:
        return False
    return kind_of(next(encoded(table.read_group(column, 0), np.zeros(1, np.int64)), None) or b"") is not None
