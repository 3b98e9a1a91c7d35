"""The point of a space that lies nearest to the tables' own defaults: where a search begins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visiontune.spec.declarations.declare import NOTHING, REQUIRED, Arg, Field, Section, Table
from visiontune.spec.declarations.domains import Choice, FixedParams, Float
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import Space
from visiontune.spec.tables.preprocessings import AS_PRETRAINED
from visiontune.spec.tables.regimes import PRETRAINED


def default_params(space: Space, wanted: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """Params of that point; empty where nothing varies. `wanted` are values by param, in place of the defaults."""
    asked = DefaultParams(_constants(space), wanted)
    for _ in range(2):  # an lr may stand before the optimizer that it should suit
        space.resolve(asked)
    return space.params(FixedParams(asked.given))


@dataclass(frozen=True)
class DefaultParams:
    """A Suggest that gives every param what is `wanted`, else its declared default, what suits the entry beside it, the domain's middle.

    What lies outside the domain is clipped to it; of a choice that lacks it the nearest number, the default or the first one is taken.
    `given` has what was asked for.
    """

    given: dict[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

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
        default = self._default(name, choices[0])
        found = next((value for value in (self.wanted.get(name), default) if value in choices and value is not None), choices[0])
        if _is_number(wanted := self.wanted.get(name)) and all(_is_number(choice) for choice in choices):
            found = min(choices, key=lambda choice: abs(choice - wanted))
        return self._give(name, found)

    def _wanted(self, name: str, otherwise: Any) -> Any:
        """A number."""
        return self.wanted[name] if _is_number(self.wanted.get(name)) else self._default(name, otherwise)

    def _default(self, name: str, otherwise: Any) -> Any:
        default = default_of(name, self.given)
        return otherwise if default in (None, REQUIRED) else default

    def _give(self, name: str, value: Any) -> Any:
        self.given[name] = value
        return value


def with_pictures_of_weights(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Sections as they were read, with preprocessing `as_pretrained` where they name none and a regime with weights can be chosen."""
    regime, preprocessing = tree.get("transfer", {}).get("regime"), tree.get("preprocessing", {})
    named = regime.choices if isinstance(regime, Choice) else (regime,)
    if "name" in preprocessing or not {*named} & {*PRETRAINED}:
        return tree
    return {**tree, "preprocessing": {"name": AS_PRETRAINED, **preprocessing}}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _constants(space: Space) -> dict[str, Any]:
    """Entries that the file names itself, by dotted key; of a choice with conditions the one that it is elsewhere."""
    trees = ((section, tree) for section, tree in space.tree.items() if isinstance(tree, Mapping))
    items = ((f"{section}.{key}", item) for section, tree in trees for key, item in tree.items())
    named = ((key, item.when.otherwise if isinstance(item, Choice) and item.when else item) for key, item in items)
    return {key: name for key, name in named if isinstance(name, str)}


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
