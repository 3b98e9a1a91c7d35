"""Phases of a recipe's file: what changes while it is trained, after which epoch, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.trial_recipe import AFTER
from visiontune.spec.reading.items_reader import recipe_values
from visiontune.spec.reading.value_reader import BAD, Problems
from visiontune.spec.space.changing import crosses_zero, may_change
from visiontune.spec.yaml.yaml_node import Node

KEY = "phases"


def split_phases(root: Node) -> tuple[Node, Node | None]:
    """The file without its phases, and these."""
    rest = tuple((key, value) for key, value in root.value if key.value != KEY)
    return Node(root.kind, rest, root.file, root.line), root.items[KEY][1] if KEY in root.items else None


def read_phases(node: Node | None, flat: Mapping[str, Any], problems: Problems) -> tuple[dict[str, Any], ...]:
    """Of a recipe with these dotted keys; what is wrong is reported and left out."""
    if node is None:
        return ()
    if node.kind != "list":
        problems.add(node, KEY, f"must be a list of mappings such as {{{AFTER}: 3, optimizer.lr: 0.1}}, but got {node.shown()}")
        return ()
    phases: list[dict[str, Any]] = []
    so_far = dict(flat)
    for number, one in enumerate(node.value):
        phase = _phase(one, f"{KEY}[{number}]", so_far, phases[-1][AFTER] if phases else 0, problems)
        if phase is not None:
            phases.append(phase)
            so_far |= phase
    return tuple(phases)


def _phase(node: Node, where: str, flat: Mapping[str, Any], last: int, problems: Problems) -> dict[str, Any] | None:
    after = node.items.get(AFTER)
    if node.kind != "mapping" or after is None:
        problems.add(node, where, f"must be a mapping with {AFTER} and keys of the recipe, such as {{{AFTER}: 3, optimizer.lr: 0.1}}")
        return None
    epoch, longest = after[1].value, flat["training.num_epochs"]
    if type(epoch) is not int or not last < epoch < longest:
        rule = "must be an int, later than the phase before and before the last epoch"
        rule += f", {last + 1} to {longest - 1}" if last + 1 < longest else f": there is none, as training.num_epochs is {longest}"
        problems.add(after[1], f"{where}.{AFTER}", f"{rule}, but got {after[1].shown()}")
        return None
    rest = Node("mapping", tuple(pair for pair in node.value if pair[0].value != AFTER), node.file, node.line)
    found = dict(recipe_values(rest, where, problems))
    known = {key: value for key, value in found.items() if _is_right(key, value, flat, node, where, problems) is not BAD}
    return {AFTER: epoch, **known}


def _is_right(key: str, value: Any, flat: Mapping[str, Any], node: Node, where: str, problems: Problems) -> Any:
    able = [one for one in flat if may_change(one)]
    at = f"{where}.{key}"
    if not may_change(key):
        return problems.add(node, at, f"can't change while a network is trained; {nearest(key, able)}")
    if key not in flat:
        return problems.add(node, at, f"is no key of this recipe; {nearest(key, able)}")
    if crosses_zero(key, flat[key], value):
        return problems.add(node, at, f"an optimizer keeps other things at 0 than above: it can't change from {flat[key]:g} to {value:g}")
    return value
