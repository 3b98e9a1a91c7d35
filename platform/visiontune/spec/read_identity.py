"""A study's spec out of its identity, the flat dotted content that its storage keeps: `spec_of_identity`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from visiontune.spec.declarations.former_policies import PUBLISHED, published_in
from visiontune.spec.parse import load_study
from visiontune.spec.space.older_data import with_former_data
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.preprocessings import PREPROCESSINGS

_ORDER = "space.augmentation.order"
"""Says again, for comparing, in which order the ops stand; the keys are in that order themselves."""

_ONE_TRIAL: Mapping[str, float] = MappingProxyType({"num_trials": 1})


def spec_of_identity(identity: Mapping[str, Any], study: str = "study", limits: Mapping[str, float] = _ONE_TRIAL) -> StudySpec:
    """The spec whose `identity()` this is, with the name and the limits of the budget, which an identity leaves out, but for the size of a
    population.

    What else it leaves out (resources, storage, confirm) has its defaults. Raises UserError for an identity that no file has today.
    """
    flat = {key: value for key, value in identity.items() if key not in (_ORDER, PUBLISHED)}
    if not any(key.startswith("space.preprocessing.name") for key in flat) and any(key.startswith("space.transfer.") for key in flat):
        flat["space.preprocessing.name"] = PREPROCESSINGS.default  # such a study is older than the default `as_pretrained`
    tree = _unflattened(flat)
    whole = {key: int(limit) if float(limit).is_integer() else limit for key, limit in limits.items()}
    spec = with_former_data(load_study({"study": study, **tree, "budget": {**whole, **tree["budget"]}}), identity)
    is_older = PUBLISHED not in identity and bool(published_in(identity))
    return replace(spec, space=replace(spec.space, file=f"study {study}", is_older=is_older), places={})  # no file has its keys


def _unflattened(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to nested mappings, in their order: what `flatten` was given."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *above, last = key.split(".")
        at = tree
        for name in above:
            at = at.setdefault(name, {})
        at[last] = value
    return tree
