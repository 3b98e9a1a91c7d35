"""The table of models in docs/recipes.md, as `visiontune list models --markdown` prints it: parameters are counted, sizes tried out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visiontune.models.shape_check import num_parameters, smallest_picture
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_zoo import LIBRARY

_SIZES = {"num_classes": 1000, "in_channels": 3}
_LARGE_ENOUGH = 320
"""Pixels at which every network of the table can be built; parameters are counted at 224 where it can be."""


def model_table() -> Iterator[str]:
    """Lines of Markdown: parameters at 1,000 classes and three channels, the smallest picture, what it is. Half a minute."""
    yield "| model | parameters | from px | what |"
    yield "|---|---:|---:|---|"
    for name, entry in MODELS.entries.items():
        if LIBRARY in entry.traits:
            yield f"| `{name}` | | | {entry.doc} |"
            continue
        section: dict[str, Any] = fill(SPACE.fields["model"].fields, {"name": name})  # type: ignore[union-attr]
        smallest = smallest_picture(section, **_SIZES)
        size = 224 if smallest is None or smallest <= 224 else _LARGE_ENOUGH
        yield f"| `{name}` | {num_parameters(section, **_SIZES, image_size=size):,} | {smallest} | {entry.doc} |"
