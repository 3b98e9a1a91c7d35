"""A recipe, or a part of one, as a point of a space: each value as it is, else the nearest that the space has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.fingerprint import flatten
from visiontune.spec.declarations.start import OF_A_STUDY
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.space import Space
from visiontune.spec.space.tree_walk import recipe_key

_ABSENT = object()


@dataclass(frozen=True)
class Fitted:
    """`params` of the point; `said`: each value that is another in the space, as "optimizer.lr 5 -> 1"; `num_kept` of the recipe's
    values lie in domains of the space, and `num_moved` of them had to be changed.
    """

    params: Mapping[str, Any]
    said: tuple[str, ...]
    num_kept: int
    num_moved: int

    @property
    def is_outside(self) -> bool:
        """Whether nothing of what varies could be kept."""
        return self.num_kept == 0


def fit_to_space(space: Space, values: Mapping[str, Any]) -> Fitted:
    """The point of the space that lies nearest to values by recipe keys; of what they do not say it has the default.

    >>> from visiontune.spec.declarations.domains import Float
    >>> fit_to_space(Space({"optimizer": {"name": "sgd", "lr": Float(0.1, 1.0)}}), {"optimizer.lr": 5.0}).said
    ('optimizer.lr 5 -> 1',)
    """
    asked = {key: value for key, value in values.items() if not key.startswith(OF_A_STUDY)}
    keys = {name: recipe_key(name, given) for name, _, given in space.domains()}
    params = default_params(space, {name: asked[key] for name, key in keys.items() if key in asked})
    found = flatten(space.resolve(FixedParams(params)))
    differing = [key for key, value in asked.items() if not _is_same(value, found.get(key, _ABSENT))]
    varying = {keys[name] for name in params} & asked.keys()
    said = tuple(f"{key} {_shown(asked[key])} -> {_shown(found[key])}" if key in found else f"{key} has no use" for key in differing)
    return Fitted(params, said, len(varying - {*differing}), len(varying & {*differing}))


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float) and not isinstance(one, bool):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
