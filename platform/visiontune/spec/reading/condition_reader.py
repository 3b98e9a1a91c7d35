"""`when` and `otherwise` beside the kind of a domain, a `Node` against what the key takes and the keys of the space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import REQUIRED, Arg, Table
from visiontune.spec.declarations.when import DEFAULT, OTHERWISE, WHEN, When
from visiontune.spec.reading.items_reader import declared_at, nearest_key, read_declared
from visiontune.spec.reading.value_reader import BAD, Problems
from visiontune.spec.space.sections import SPACE
from visiontune.spec.yaml.yaml_node import Node


def read_when(node: Node, declared: Arg | Table, where: str, problems: Problems) -> When | Any | None:
    """What stands beside the kind of a domain: None where there is no condition, BAD where it is wrong."""
    items = node.items
    key = where.rpartition(".")[2]
    if WHEN not in items:
        rule = f"`{OTHERWISE}` is what {key} has where `{WHEN}` does not hold, but there is no `{WHEN}`; leave it out, or write one"
        return problems.add(items[OTHERWISE][0], f"{where}.{OTHERWISE}", rule) if OTHERWISE in items else None
    conditions = _conditions(items[WHEN][1], f"{where}.{WHEN}", problems)
    otherwise: Any = DEFAULT
    if OTHERWISE in items:
        otherwise = read_declared(items[OTHERWISE][1], [declared], f"{where}.{OTHERWISE}", problems)
    elif declared.default is REQUIRED:
        what = nearest("", declared.entries) if isinstance(declared, Table) else declared.doc
        rule = f"`{OTHERWISE}` is needed, since {key} has no default that it could have where `{WHEN}` does not hold; {what}"
        otherwise = problems.add(items[WHEN][0], where, rule)
    return BAD if conditions is BAD or otherwise is BAD else When(conditions, otherwise)


def _conditions(node: Node, where: str, problems: Problems) -> Mapping[str, tuple[Any, ...]] | Any:
    if node.kind != "mapping" or not node.items:
        rule = "must be a mapping of recipe keys to a value or a list of values, such as {model.name: [resnet18, cnn]}"
        return problems.add(node, where, f"{rule}, but got {node.shown()}")
    found = {key: _values(key, *nodes, f"{where}.{key}", problems) for key, nodes in condition_nodes(node)}
    return BAD if any(values is BAD for values in found.values()) else dict(sorted(found.items()))


def condition_nodes(node: Node, prefix: str = "") -> Iterator[tuple[str, tuple[Node, Node]]]:
    """Dotted key of the recipe, with the nodes of key and values: {model.name: cnn} and {model: {name: cnn}} say the same."""
    for key, (key_node, value) in node.items.items():
        if value.kind == "mapping" and value.value:
            yield from condition_nodes(value, f"{prefix}{key}.")
        else:
            yield prefix + key, (key_node, value)


def _values(key: str, key_node: Node, node: Node, where: str, problems: Problems) -> tuple[Any, ...] | Any:
    """In an order of their own, as a list of other order says the same."""
    path = key.split(".")
    declared = list(declared_at(path, SPACE.fields))
    if not declared:
        return problems.add(key_node, where, f"unknown key of the space {key!r}; {nearest_key(path, SPACE.fields)}")
    if key != (right := ".".join(declared[0][0])):
        return problems.add(key_node, where, f"a condition names the key of the recipe, in whatever branch it stands; nearest is {right!r}")
    nodes = node.value if node.kind == "list" else (node,)
    if not nodes:
        return problems.add(node, where, "a condition needs a value or a list of one or more values, but got []")
    values = [read_declared(one, [field for _, field in declared], where, problems) for one in nodes]
    return BAD if any(value is BAD for value in values) else tuple(sorted({*values}, key=str))
