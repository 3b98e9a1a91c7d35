"""Which ops a policy can draw and how strong they can get, for one recipe's section as for the section of a space.

A section's values are constants or domains; those of a choice's branch stand under it. A recipe has constants alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declare import Arg, Entry
from visiontune.spec.domains import Choice, Float, Int
from visiontune.spec.tables.augmentation import OPS, POLICIES


@dataclass(frozen=True)
class Reach:
    """The weakest and the strongest magnitude that an op can have; both are None for an op without one."""

    low: float | None = None
    high: float | None = None

    def wider(self, other: Reach) -> Reach:
        """Both together."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return self
        return Reach(min(self.low, other.low), max(self.high, other.high))


def ops_of(section: Mapping[str, Any]) -> dict[str, Reach]:
    """Ops in the order in which the section names them, none that never changes a picture among them."""
    found: dict[str, Reach] = {}
    for policy, args in policies_of(section):
        for name, reach in _ops(policy, args):
            if reach.high != 0:
                found[name] = found[name].wider(reach) if name in found else reach
    return found


def policies_of(section: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each policy but none that the section can name, with its own arguments."""
    item = section.get("policy", POLICIES.default)
    for name in _values(item):
        entry = POLICIES.entries[name]
        branch = item.branches.get(name, {}) if isinstance(item, Choice) else {}
        if entry.builder:
            yield name, {key: value for key, value in {**section, **branch}.items() if key in entry.args}


def _ops(policy: str, args: Mapping[str, Any]) -> Iterator[tuple[str, Reach]]:
    """`fixed` has ops as keys."""
    for name, values in args.items():
        if name in OPS.entries and isinstance(values, Mapping) and _highest(values, "probability", OPS.entries[name]) > 0:
            yield name, _reach(OPS.entries[name], values)


def _reach(op: Entry, values: Mapping[str, Any]) -> Reach:
    if "magnitude" not in op.args:
        return Reach()
    found = _values(values.get("magnitude", _default(op, "magnitude")))
    return Reach(min(found), max(found))


def _highest(values: Mapping[str, Any], key: str, op: Entry) -> float:
    return float(max(_values(values.get(key, _default(op, key)))))


def _default(op: Entry, key: str) -> Any:
    declared = op.args[key]
    assert isinstance(declared, Arg)
    return declared.default


def _values(item: Any) -> tuple[Any, ...]:
    """Of a number its ends, of a choice all."""
    if isinstance(item, Float | Int):
        return item.low, item.high
    return item.choices if isinstance(item, Choice) else (item,)
