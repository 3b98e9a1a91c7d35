"""`TrialRecipe`, the frozen record of one trial: everything needed to train it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from visiontune.spec.fingerprint import fingerprint, flatten


@dataclass(frozen=True)
class TrialRecipe:
    """One trial, every default filled in. Each section is flat: a named entry's arguments stand beside its name.

    `plugins` are names with the SHA-256 of their content, of the user's own code that the sections may name.
    """

    data: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    model: Mapping[str, Any]
    transfer: Mapping[str, Any]
    regularization: Mapping[str, Any]
    loss: Mapping[str, Any]
    balance: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    schedule: Mapping[str, Any]
    augmentation: Mapping[str, Any]
    training: Mapping[str, Any]
    plugins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "plugins", tuple(self.plugins))  # JSON has lists

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts, as they stand in a recipe's YAML file; a copy. There is a list of plugins where there are any."""
        sections = {one.name: json.loads(json.dumps(getattr(self, one.name))) for one in fields(self) if one.name != "plugins"}
        return {**({"plugins": list(self.plugins)} if self.plugins else {}), **sections}

    def flat(self) -> dict[str, Any]:
        """Dotted keys, for MLflow's params."""
        return flatten(self.to_dict())

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for equal recipes on any machine. The order of ops counts, that of other keys does not."""
        return fingerprint({**self.to_dict(), "ops": [*self.augmentation, *map(list, self.augmentation.get("by_class", ()))]})
