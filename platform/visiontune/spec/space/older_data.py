"""Sections `data` from before a key, or a default, that makes other pictures: a study that was begun so goes on so, to the last pixel.

Without `frame` or `depth` pictures are made as a form without them says (data/picture/stored_form.py): in older studies, recipes and
winners these keys stay absent. Studies from before `duplicates: exact` left near repeats out.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Any

from visiontune.spec.space.study_spec import StudySpec

ADDED = ("frame", "depth")
"""Keys whose default is not what was done before; in the order in which they came."""

_NEVER_DEEP = ("digits", "torchvision")
_WRITTEN_BEFORE = frozenset(
    ("val_fraction", "test_fraction", "seed", "image_size", "max_pictures", "allow_bad", "duplicates", "store"),
)


def with_former_data(spec: StudySpec, identity: Mapping[str, Any]) -> StudySpec:
    """The spec with the data of the study whose identity this is, as it was begun, where its file leaves those keys out."""
    if not identity:
        return spec
    data = without_added(spec.data, [key for key in ADDED if f"data.{key}" in {*identity, *spec.places}])
    if identity.get("data.duplicates") == "drop" and "data.duplicates" not in spec.places:
        data["duplicates"] = "drop"
    return replace(spec, data=data)


def said_of_older(asked: StudySpec, begun: StudySpec) -> Iterator[str]:
    """What an older study goes on with and its file would not make today, a sentence each."""
    data = begun.data
    if "frame" not in data and data.get("image_size") is not None:
        yield "this study is older than data.frame: its pictures stay as they were, large ones cropped, small ones squashed"
    if "depth" not in data and data["source"] not in _NEVER_DEEP:
        yield "this study is older than data.depth: of files with more than 8 bits 0 to 65,535 become 0 to 255, whatever they hold"
    if data["duplicates"] != asked.data["duplicates"]:
        yield f"this study is older: near repeats stay left out of val and test (duplicates: {data['duplicates']}), as it began"


def as_recipe(data: Mapping[str, Any], filled: Mapping[str, Any]) -> dict[str, Any]:
    """`filled`, without the keys that a recipe's section lacks if a version that did not know them wrote it whole: people name a few."""
    return without_added(filled, data) if data.keys() >= _WRITTEN_BEFORE else dict(filled)


def without_added(data: Mapping[str, Any], known: Container[str]) -> dict[str, Any]:
    """As a new mapping, the added keys only where they are known."""
    return {key: value for key, value in data.items() if key not in ADDED or key in known}
