"""What the names of policies meant in recipes of older versions, whose draws were softer than their papers'."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FORMER_POLICIES: Mapping[str, str] = MappingProxyType(
    {name: f"soft_{name}" for name in ("randaugment", "trivialaugment", "augmix")},
)
"""By the name of the entry that has the paper's strength today, the entry that does what it did before."""
MARK = "interpolation"
"""An argument of today's entries, which every complete recipe of them has and none of those before."""
PUBLISHED = "space.augmentation.published"
"""Of a study's identity: entries with a paper's strength that it may draw, which no study before has."""
_ALWAYS_THERE = ("flip_probability", "crop_magnitude")


def as_meant(augmentation: Mapping[str, Any]) -> dict[str, Any]:
    """A complete section, with the policy that it meant when it was written."""
    policy = str(augmentation.get("policy"))
    if policy not in FORMER_POLICIES or MARK in augmentation:
        return dict(augmentation)
    return {**augmentation, "policy": FORMER_POLICIES[policy]}


def as_softer(augmentation: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved section of a space that is older: the entry that does what the policy did, and its arguments."""
    return as_meant({key: value for key, value in augmentation.items() if key != MARK})


def is_older(sections: Mapping[str, Any], complete: set[str]) -> bool:
    """Whether a file was written by a version before: all sections are there, and all of a policy's arguments but the mark."""
    augmentation = sections.get("augmentation", {})
    has_all = complete <= sections.keys() and all(key in augmentation for key in _ALWAYS_THERE)
    return has_all and augmentation.get("policy") in FORMER_POLICIES and MARK not in augmentation


def published_in(flat: Mapping[str, Any]) -> list[str]:
    """Entries with a paper's strength that a study's flat space names anywhere."""
    words: set[Any] = set()
    for key, value in flat.items():
        if key.startswith("space.augmentation."):
            found = value if isinstance(value, list) else [value]
            words.update(key.split("."), (one for one in found if isinstance(one, str)))
    return sorted(words & FORMER_POLICIES.keys())
