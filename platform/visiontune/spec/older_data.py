"""Sections `data` from before there was `frame`, which made pictures as a form without one says (data/picture/stored_form.py).

A study that was begun so goes on so, to the last pixel, and so do its recipes and winners: for them the key stays absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from visiontune.spec.study_spec import StudySpec

FRAME = "frame"
_WRITTEN_BEFORE = frozenset(
    ("val_fraction", "test_fraction", "seed", "image_size", "max_pictures", "allow_bad", "duplicates", "store"),
)


def as_begun(spec: StudySpec, identity: Mapping[str, Any]) -> StudySpec:
    """The spec with the data of the study whose identity this is, as it was begun."""
    return spec if f"data.{FRAME}" in identity else replace(spec, data=without_frame(spec.data))


def is_older_recipe(data: Mapping[str, Any]) -> bool:
    """Whether a recipe's section was written whole, by a version that did not know the key: what people write names a few keys."""
    return FRAME not in data and data.keys() >= _WRITTEN_BEFORE


def without_frame(data: Mapping[str, Any]) -> dict[str, Any]:
    """As a new mapping."""
    return {key: value for key, value in data.items() if key != FRAME}
