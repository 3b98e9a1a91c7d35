"""The point of a space that lies nearest to the tables' own defaults: where a search begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visiontune.spec.declare import REQUIRED, Arg, Field, Section, Table
from visiontune.spec.domains import Float
from visiontune.spec.sections import SPACE
from visiontune.spec.space import Space


def default_params(space: Space) -> dict[str, Any]:
    """Params of that point; empty where nothing varies."""
    asked = DefaultParams(_constants(space))
    for _ in range(2):  # an lr may stand before the optimizer that it should suit
        space.resolve(asked)
    params = {name for name, _, _ in space.domains()}
    return {name: value for name, value in asked.given.items() if name in params}


@dataclass(frozen=True)
class DefaultParams:
    """A Suggest that gives every param its declared default, else what suits the entry beside it, else the middle of the domain.

    What lies outside the domain is clipped to it; of a choice without the default the first one is taken. `given` has what was asked for.
    """

    given: dict[str, Any] = field(default_factory=dict)

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False) -> float:
        middle = math.sqrt(low * high) if log else (low + high) / 2
        value = min(max(float(self._wanted(name, middle)), low), high)
        if step is not None:
            value = min(Float(low, high, step=step).values(), key=lambda one: abs(one - value))
        return float(self._give(name, value))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        middle = math.sqrt(low * high) if log else (low + high) / 2
        value = min(max(int(self._wanted(name, middle)), low), high)
        value = low + round((value - low) / step) * step
        return int(self._give(name, min(value, high - (high - low) % step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        wanted = self._wanted(name, choices[0])
        return self._give(name, wanted if wanted in choices else choices[0])

    def _wanted(self, name: str, otherwise: Any) -> Any:
        default = default_of(name, self.given)
        return otherwise if default in (None, REQUIRED) else default

    def _give(self, name: str, value: Any) -> Any:
        self.given[name] = value
        return value


def _constants(space: Space) -> dict[str, Any]:
    """Entries that the file names itself, by dotted key."""
    return {
        f"{section}.{key}": value
        for section, tree in space.tree.items()
        if isinstance(tree, Mapping)
        for key, value in tree.items()
        if isinstance(value, str)
    }


def default_of(name: str, given: Mapping[str, Any]) -> Any:
    """The declared default of a param by its dotted name; of one without, what suits an entry that its name or `given` has, else None.

    >>> default_of("optimizer.sgd.momentum", {}), default_of("optimizer.lr", {"optimizer.name": "adamw"})
    (0.9, 0.001)
    >>> default_of("optimizer.sgd.lr", {})
    0.05
    """
    section, *branches, key = name.split(".") if "." in name else ("", name)
    fields = getattr(SPACE.fields.get(section), "fields", {})
    declared = _declared((*branches, key), fields)
    default = getattr(declared, "default", REQUIRED)
    if default is not REQUIRED:
        return default
    tables = {at: table for at, table in fields.items() if isinstance(table, Table)}
    named = [str(given.get(f"{section}.{at}")) for at in tables]
    entries = (table.entries.get(one) for one in (*reversed(branches), *named) for table in tables.values())
    return next((entry.suits[key] for entry in entries if entry is not None and key in entry.suits), None)


def _declared(path: Sequence[str], fields: Mapping[str, Field]) -> Field | None:
    """What is declared at the end of the path. A part may be a key, an entry whose branch the rest is in, or an argument of any entry."""
    part, rest = path[0], path[1:]
    entries = [entry for table in fields.values() if isinstance(table, Table) for entry in table.entries.items()]
    found = fields.get(part) or next((entry.args[part] for _, entry in entries if part in entry.args), None)
    if rest and not isinstance(found, Section):
        return next((found for name, entry in entries if name == part and (found := _declared(rest, {**fields, **entry.args}))), None)
    if isinstance(found, Section) and rest:
        return _declared(rest, found.fields)
    return found if isinstance(found, Arg | Table) else None
