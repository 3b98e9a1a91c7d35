"""Lists of names or of start recipes: a `Node` against `Items`. Values of recipes are checked key by key, as a part of a recipe may stand
there that is none by itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.errors import closest
from visiontune.spec.declarations.declare import Arg, Field, Items, Section, Table
from visiontune.spec.declarations.start import OF_A_STUDY, StartRecipe
from visiontune.spec.reading.called_elsewhere import meant_by
from visiontune.spec.reading.name_hints import nearest_place, wrong_name
from visiontune.spec.reading.value_reader import BAD, Problems, read_constant
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.yaml.yaml_node import Node

WHOLE = frozenset({"data.source", "training.num_epochs", "training.seed"})
"""Keys of a whole recipe, in which what is a study's own is passed over."""

OWN_HINTS = {"training.num_epochs": "budget.max_epochs", "training.seed": "sampler.seed"}


def read_items(node: Node, items: Items, where: str, problems: Problems) -> Any:
    """A word of `also`, or a tuple of names (strings) and StartRecipes; what is wrong is reported and left out."""
    if node.kind == "scalar" and node.value in items.also:
        return node.value
    what = "files and mappings of recipe keys" if items.takes_recipes else "names"
    if node.kind != "list":
        words = f"{', '.join(items.also)} or a list" if items.also else "a list"
        tail = f"; nearest is [{node.shown()}]" if node.kind != "scalar" or isinstance(node.value, str) else ""
        return problems.add(node, where, f"must be {words} of {what}, but got {node.shown()}{tail}")
    found = [_item(one, items, f"{where}[{number}]", problems, what) for number, one in enumerate(node.value)]
    for number, one in enumerate(found):
        if items.item is not None and one is not BAD and one in found[:number]:
            problems.add(node.value[number], f"{where}[{number}]", f"{one} stands there already; one of them must go")
    return tuple(one for one in found if one is not BAD)


def _item(node: Node, items: Items, where: str, problems: Problems, what: str) -> Any:
    if isinstance(items.item, Arg):
        return read_constant(node, items.item, where, problems)
    if node.kind == "scalar" and isinstance(node.value, str) and node.value.strip():
        return StartRecipe({}, node.value, node.file, node.line) if items.takes_recipes else node.value
    if node.kind != "mapping" or not items.takes_recipes:
        return problems.add(node, where, f"must be one of {what}, but got {node.shown()}")
    if not node.items:
        return problems.add(node, where, "says nothing; write keys of a recipe, such as {optimizer.lr: 0.1}")
    values = dict(_values(node, (), where, problems))
    own = [] if values.keys() >= WHOLE else [key for key in values if key.startswith(OF_A_STUDY)]
    for key in own:
        problems.add(
            node, f"{where}.{key}", f"is the study's own, and no start recipe's: {OWN_HINTS.get(key, 'section data')} says it; leave it out"
        )
    if own or not values:
        return BAD
    return StartRecipe(values, textwrap.shorten(", ".join(f"{key}={value}" for key, value in values.items()), 60), node.file, node.line)


def recipe_values(node: Node, where: str, problems: Problems) -> Iterator[tuple[str, Any]]:
    """(dotted key of a recipe, value) of a mapping of such keys; what is wrong is reported and left out."""
    return _values(node, (), where, problems)


def _values(node: Node, above: tuple[str, ...], where: str, problems: Problems) -> Iterator[tuple[str, Any]]:
    """(dotted key of a recipe, value), mappings inside of it flattened, the name of a branch left out."""
    for key_node, value in node.items.values():
        path = (*above, *str(key_node.value).split("."))
        if value.kind == "mapping" and value.value:
            yield from _values(value, path, where, problems)
            continue
        found = list(declared_at(path, RECIPE.fields))
        if not found:
            problems.add(
                key_node, f"{where}.{'.'.join(path)}", f"unknown key of a recipe {'.'.join(path)!r}; {nearest_key(path, RECIPE.fields)}"
            )
            continue
        item = read_declared(value, [field for _, field in found], f"{where}.{'.'.join(path)}", problems)
        if item is not BAD:
            yield ".".join(found[0][0]), item


def read_declared(node: Node, declared: Sequence[Arg | Table | Items], where: str, problems: Problems) -> Any:
    """A value that one of several declarations of a key takes: entries may have an argument of one name with another range each."""
    first = Problems()
    for number, field in enumerate(declared):
        tried = first if number == 0 else Problems()
        if isinstance(field, Items):  # compared with the space's, which alone can be right or wrong
            return node.plain()
        item = _name(node, field, where, tried) if isinstance(field, Table) else read_constant(node, field, where, tried)
        if item is not BAD:
            return item
    problems.found += first.found
    return BAD


def _name(node: Node, table: Table, where: str, problems: Problems) -> Any:
    if isinstance(node.value, str) and node.value in table.entries:
        return node.value
    return problems.add(node, where, wrong_name(node, table))


def declared_at(path: Sequence[str], fields: Mapping[str, Field]) -> Iterator[tuple[tuple[str, ...], Arg | Table | Items]]:
    """What may stand at a dotted key of a recipe, with the key as the recipe has it: a branch's name may stand in the path or not."""
    part, *rest = path
    entries = [pair for table in fields.values() if isinstance(table, Table) for pair in table.entries.items()]
    own = [fields[part]] if part in fields else [entry.args[part] for _, entry in entries if part in entry.args]
    for field in own:
        if not rest and (isinstance(field, Arg | Table) or (isinstance(field, Items) and isinstance(field.item, Section))):
            yield (part,), field
        elif isinstance(field, Section) and rest:
            yield from (((part, *inner), found) for inner, found in declared_at(rest, field.fields))
    if rest and not own:
        yield from (pair for name, entry in entries if name == part for pair in declared_at(rest, {**fields, **entry.args}))


def nearest_key(path: Sequence[str], fields: Mapping[str, Field]) -> str:
    """The tail of a rule about a key that is none of these sections'."""
    section = fields.get(path[0])
    if not isinstance(section, Section):
        return nearest_place(path[0], [*fields], fields, fields, is_section=len(path) > 1)
    tables = [table for table in section.fields.values() if isinstance(table, Table)]
    args = (arg for table in tables for entry in table.entries.values() for arg in entry.args)
    known, meant = [*dict.fromkeys([*section.fields, *args])], meant_by(path[-1]).rpartition(".")[2]
    near = [meant] if meant in known else closest(".".join(path[1:]), known)
    told = f"nearest is {f'{path[0]}.{near[0]}'!r}; " if near else ""
    return f"{told}choices: {', '.join(f'{path[0]}.{key}' for key in known)}"
