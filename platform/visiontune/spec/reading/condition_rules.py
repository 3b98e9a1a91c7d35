"""Rules that tie conditions to the whole space: no circles, no value that a key never has, none that always or never holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from visiontune.spec.declarations.when import DEFAULT, WHEN, When
from visiontune.spec.reading.condition_reader import condition_nodes
from visiontune.spec.reading.value_reader import Problems, listed, nearest_of
from visiontune.spec.space.asking import ABSENT, Asker, takers
from visiontune.spec.space.space import Space
from visiontune.spec.space.tree_walk import recipe_key
from visiontune.spec.yaml.yaml_node import Node

MAX_TRIED = 20_000
"""Combinations of what conditions name that are tried for what can never be; where there are more, nothing is said of it."""


@dataclass(frozen=True)
class ConditionRules:
    """Reports conditions that can't be met or need not be asked to `problems`; `nodes` are those of every key that was read."""

    problems: Problems
    nodes: Mapping[str, Node]
    space: Space

    def check(self) -> None:
        """All of them, where each is right by itself."""
        if not self.space.has_conditions:
            return
        conditional = [(name, item.when, given) for name, item, given in self.space.domains() if item.when is not None]
        if self._circles(conditional):
            return
        for name, when, given in conditional:
            can_be = [self._can_be(name, key, values) for key, values in when.conditions.items()]  # each is told
            if all(can_be):
                self._decides(name, when, given)

    def _circles(self, conditional: Sequence[tuple[str, When, dict[str, Any]]]) -> bool:
        """Whether any was reported; each once, at its first param."""
        told: set[frozenset[str]] = set()
        for name, when, given in conditional:
            own = recipe_key(name, given)
            for key in when.conditions:
                circle = self._way(key, own, (key,))
                if circle and frozenset(circle) not in told:
                    told.add(frozenset(circle))
                    rule = f"a circle of conditions: {' needs '.join((own, *circle))}"
                    self._add(name, key, f"{own} can't be a condition of itself" if key == own else rule)
        return bool(told)

    def _way(self, key: str, goal: str, way: tuple[str, ...]) -> tuple[str, ...]:
        """Keys from the first one to the goal, each needing the next; empty where none leads there."""
        if key == goal:
            return way
        ways = (self._way(needed, goal, (*way, needed)) for needed in self._needs(key) if needed not in way)
        return next((found for found in ways if found), ())

    def _needs(self, key: str) -> list[str]:
        """Keys on which it depends whether a key stands somewhere, and its default."""
        needed = takers(key)
        for _, item, given in self.space.places(key):
            when = getattr(item, "when", None)
            needed += [recipe_key(name, given) for name in given] + [*(when.conditions if when else ())]
        return needed

    def _can_be(self, name: str, key: str, values: Sequence[Any]) -> bool:
        outcomes = [found for found, _ in islice(self.space.outcomes(lambda asker: asker.of(key)), MAX_TRIED)]
        if len(outcomes) == MAX_TRIED:
            return True
        possible = tuple(dict.fromkeys(found for found in outcomes if found is not ABSENT and found == found))
        wrong = [value for value in values if value not in possible]
        for value in wrong:
            has_range = any(found != found for found in outcomes)
            tail = "it is a range without a step, of which no value can be named: give it a step, or write a choice"
            self._add(name, key, f"{key} is never {value!r} in this space; {tail if has_range else nearest_of(value, possible)}")
        return not wrong

    def _decides(self, name: str, when: When, given: Mapping[str, Any]) -> None:
        """Whether each condition, and all of them together, both can hold and can fail where the param stands."""

        def held(asker: Asker) -> tuple[bool, ...] | None:
            return tuple(asker.of(key) in values for key, values in when.conditions.items()) if asker.has(given) else None

        found = [one for one, _ in islice(self.space.outcomes(held), MAX_TRIED)]
        reached = [one for one in found if one is not None]
        if len(found) == MAX_TRIED or not reached:
            return
        where = f" under {listed([str(value) for value in given.values()])}" if given else ""
        always = [key for key, holds in zip(when.conditions, zip(*reached, strict=True), strict=True) if all(holds)]
        for key in always:
            self._add(name, key, f"this condition always holds{where}, so it says nothing; leave it out")
        if not any(all(one) for one in reached):
            constant = "its default" if when.otherwise is DEFAULT else f"the constant {when.otherwise}"
            names = listed([*when.conditions])
            self._add(
                name, next(iter(when.conditions)), f"`{WHEN}` never holds{where} ({names}), so nothing varies; write {constant} instead"
            )

    def _add(self, name: str, key: str, rule: str) -> None:
        node = self.nodes[f"space.{name}"]
        when = node.items.get(WHEN)
        at = dict(condition_nodes(when[1])).get(key) if when else None
        self.problems.add(at[0] if at else node, f"space.{name}.{WHEN}.{key}", rule)
