"""`when` beside the kind of a domain: the conditions under which its param exists, and what its key has elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WHEN, OTHERWISE = "when", "otherwise"
"""The keys that may stand beside the kind of any domain."""

DEFAULT: Any = type("Default", (), {"__repr__": lambda self: "DEFAULT"})()
"""In place of a value: the declared default, which may be another for each entry."""


@dataclass(frozen=True)
class When:
    """Every key of the recipe in `conditions` must have one of its values; where one has not, the param's own key has `otherwise`."""

    conditions: Mapping[str, tuple[Any, ...]]
    otherwise: Any = DEFAULT

    def fails(self, known: Mapping[str, Any]) -> bool:
        """Whether these values, by keys of the recipe, rule it out, whatever the others are."""
        return any(key in known and known[key] not in values for key, values in self.conditions.items())


def plain_when(when: When | None) -> dict[str, Any]:
    """As it stands beside the kind of the domain."""
    if when is None:
        return {}
    conditions = {WHEN: {key: list(values) for key, values in when.conditions.items()}}
    return conditions if when.otherwise is DEFAULT else {**conditions, OTHERWISE: when.otherwise}


def elsewhere(item: Any, default: Any) -> tuple[Any, ...]:
    """The value that the key of a domain has where its conditions do not hold; none where there are no conditions."""
    when = getattr(item, "when", None)
    return () if when is None else (default if when.otherwise is DEFAULT else when.otherwise,)
