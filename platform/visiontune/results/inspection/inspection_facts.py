"""What `visiontune inspect` finds, as JSON carries it; what is a picture lies in the folder of pictures, and is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

_LARGEST_TABLE = 2


def facts_of(record: Any, name_of: Mapping[int, str]) -> Any:
    """Figures and names of a view's record; a row of the store has the name of its picture beside it.

    Arrays of more than two dimensions, and those of two that are maps of a picture (..._HW), are left out.
    """
    if is_dataclass(record):
        found = {one.name: getattr(record, one.name) for one in fields(record)}
        facts = {_plain_name(name): facts_of(value, name_of) for name, value in found.items() if not _is_picture(name, value)}
        return facts | ({"picture": name_of[found["row"]]} if "row" in found else {})
    if isinstance(record, Mapping):
        return {name: facts_of(value, name_of) for name, value in record.items()}
    if isinstance(record, (tuple, list)):
        return [facts_of(value, name_of) for value in record]
    return record.tolist() if isinstance(record, (np.ndarray, np.generic)) else record


def _is_picture(name: str, value: Any) -> bool:
    return name.endswith(("HW", "HWC")) or (isinstance(value, np.ndarray) and value.ndim > _LARGEST_TABLE)


def _plain_name(name: str) -> str:
    """Without the letters of its dimensions."""
    stem, _, letters = name.rpartition("_")
    return stem if stem and letters.isupper() else name
