"""Sections `data` from before there was `frame` or `depth`, which made pictures as a form without them says (data/picture/stored_form.py).

A study that was begun so goes on so, to the last pixel, and so do its recipes and winners: for them the key stays absent.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from visiontune.spec.study_spec import StudySpec

ADDED = ("frame", "depth")
"""Keys whose default is not what was done before; in the order in which they came."""

_WRITTEN_BEFORE = frozenset(
    ("val_fraction", "test_fraction", "seed", "image_size", "max_pictures", "allow_bad", "duplicates", "store"),
)


def as_begun(spec: StudySpec, identity: Mapping[str, Any]) -> StudySpec:
    """The spec with the data of the study whose identity this is, as it was begun."""
    return replace(spec, data=without_added(spec.data, [key for key in ADDED if f"data.{key}" in identity]))


def as_recipe(data: Mapping[str, Any], filled: Mapping[str, Any]) -> dict[str, Any]:
    """`filled`, without the keys that a recipe's section lacks if a version that did not know them wrote it whole: people name a few."""
    return without_added(filled, data) if data.keys() >= _WRITTEN_BEFORE else dict(filled)


def without_added(data: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    """As a new mapping, the added keys only where they are known."""
    return {key: value for key, value in data.items() if key not in ADDED or key in known}
