"""`TrialRecipe`, the frozen record of one trial: everything needed to train it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from visiontune.spec.declarations.fingerprint import fingerprint, flatten

AFTER = "after_epoch"
"""The key of a phase that says when it begins."""


@dataclass(frozen=True)
class TrialRecipe:
    """One trial, every default filled in. Each section is flat: a named entry's arguments stand beside its name.

    `plugins` are names with the SHA-256 of their content, of the user's own code that the sections may name.
    `phases`, of a recipe that changes while it is trained, in order: each a mapping of `after_epoch` and of what changes then, by dotted
    keys, such as {"after_epoch": 3, "optimizer.lr": 0.02}. The sections are those of the first epochs.
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
    phases: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "plugins", tuple(self.plugins))  # JSON has lists
        object.__setattr__(self, "phases", tuple(self.phases))

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts, as they stand in a recipe's YAML file; a copy. Lists of plugins and phases are there where there are any."""
        names = [one.name for one in fields(self) if one.name not in ("plugins", "phases")]
        sections = {name: json.loads(json.dumps(getattr(self, name))) for name in names}
        phases = {"phases": json.loads(json.dumps(self.phases))} if self.phases else {}
        return {**({"plugins": list(self.plugins)} if self.plugins else {}), **sections, **phases}

    def flat(self) -> dict[str, Any]:
        """Dotted keys, for MLflow's params."""
        return flatten(self.to_dict())

    def at(self, epoch: int) -> TrialRecipe:
        """What that epoch, counted from 1, is trained by: the sections with every change up to it, and no phases."""
        if not self.phases:
            return self
        sections = self.to_dict()
        for phase in self.up_to(epoch).phases:
            for key, value in phase.items():
                if key != AFTER:
                    _put(sections, key.split("."), value)
        return TrialRecipe(**{**sections, "phases": ()})

    def up_to(self, epoch: int) -> TrialRecipe:
        """As far as the state after that epoch depends on it: recipes that part later are one until then, and share checkpoints."""
        phases = tuple(phase for phase in self.phases if phase[AFTER] < epoch)
        return self if phases == self.phases else replace(self, phases=phases)

    def changes_after(self, epoch: int) -> bool:
        """Whether a phase begins after that epoch."""
        return any(phase[AFTER] == epoch for phase in self.phases)

    @property
    def fingerprint(self) -> str:
        """16 hex digits; equal for equal recipes on any machine. The order of ops counts, that of other keys does not."""
        return fingerprint({**self.to_dict(), "ops": [*self.augmentation, *map(list, self.augmentation.get("by_class", ()))]})


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        tree = tree[key]
    tree[path[-1]] = value
