"""Sections `data` from before a key, or a default, that makes other pictures: a study that was begun so goes on so, to the last pixel.

Without `frame` pictures are made as a form without one says (data/picture/stored_form.py): in older studies, recipes and winners the key
stays absent. Studies from before `duplicates: exact` left near repeats out.
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


def with_former_data(spec: StudySpec, identity: Mapping[str, Any]) -> StudySpec:
    """The spec with the data of the study whose identity this is, as it was begun, where its file leaves those keys out."""
    if not identity:
        return spec
    data = dict(spec.data)
    if f"data.{FRAME}" not in {*identity, *spec.places}:
        data = without_frame(data)
    if identity.get("data.duplicates") == "drop" and "data.duplicates" not in spec.places:
        data["duplicates"] = "drop"
    return replace(spec, data=data)


def is_older_recipe(data: Mapping[str, Any]) -> bool:
    """Whether a recipe's section was written whole, by a version that did not know the key: what people write names a few keys."""
    return FRAME not in data and data.keys() >= _WRITTEN_BEFORE


def without_frame(data: Mapping[str, Any]) -> dict[str, Any]:
    """As a new mapping."""
    return {key: value for key, value in data.items() if key != FRAME}
