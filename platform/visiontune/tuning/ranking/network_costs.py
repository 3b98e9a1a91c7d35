"""What was measured of networks: a latency that differs between two trials of one network is noise, by which neither is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.spec.declarations.declare import NOTHING
from visiontune.spec.declarations.fingerprint import fingerprint
from visiontune.spec.tables.costs import MEASURED_COSTS

NETWORK = ("model", "preprocessing", "transfer")
"""The sections of a recipe that say what a network does from pictures to logits."""


class NetworkCosts:
    """The measured costs of each network of a study: those of the first trial that has it, whichever was measured first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, Mapping[str, float]]] = {}

    def know(self, number: int, recipe: Mapping[str, Any], costs: Mapping[str, float]) -> None:
        """A trial was measured."""
        measured, key = {name: cost for name, cost in costs.items() if name in MEASURED_COSTS}, _key(recipe)
        if measured and (key not in self._found or number < self._found[key][0]):
            self._found[key] = number, measured

    def of(self, recipe: Mapping[str, Any]) -> Mapping[str, float]:
        """Nothing where none of this network was measured."""
        return self._found[key][1] if (key := _key(recipe)) in self._found else NOTHING


def _key(recipe: Mapping[str, Any]) -> str:
    return fingerprint({section: recipe[section] for section in NETWORK if section in recipe})
