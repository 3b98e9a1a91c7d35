"""What to write in place of a name that a table has not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from visiontune.errors import closest, nearest
from visiontune.spec.declarations.declare import Field, Section, Table
from visiontune.spec.reading.called_elsewhere import meant_by
from visiontune.spec.yaml.yaml_node import Node

_MOST_LISTED = 24
"""Names that are read to their end in a message."""
MOST_PLACES = 3


def wrong_name(node: Node, table: Table, others: Iterable[Table] = (), *, is_choice: bool = False, use_domains: bool = False) -> str:
    """Rule, value and the nearest entry; `is_choice` where the name is one of a list, `use_domains` where a list may be a choice.

    A name of one of the `others` is told as that.
    """
    hint = _hint(node, table, others, is_choice=is_choice)
    if (
        use_domains
        and node.kind == "list"
        and node.value
        and all(one.kind == "scalar" and one.value in table.entries for one in node.value)
    ):
        hint = f"nearest is {{choice: {node.shown()}}}".replace("'", "")
    return f"must name one {table.what}, but got {node.shown()}; {hint}"


def named_as_key(key: str, name: str) -> str:
    """How an entry is named that stands as a key itself."""
    return f"one is named by `{key}: {name}`, with its arguments beside it, several by `{key}: {{choice: {{{name}: {{...}}, ...}}}}`"


def nearest_place(key: str, known: Collection[str], fields: Mapping[str, Field], whole: Mapping[str, Field], *, is_section: bool) -> str:
    """The nearest key for one that `fields` have not; `is_section` where a mapping stands under it.

    As it is written from here: what is meant by it elsewhere, a key of its name in a section below, one of `known` that is nearly so spelt;
    else as it is written from the top of the file, whose fields are `whole`.
    """
    meant = meant_by(key)
    name = meant.removesuffix(".name") if is_section else meant
    last = name.rpartition(".")[2]
    if last in known:
        return nearest(last, known)
    if found := _told([place for place in places_of(last, fields) if f".{place}".endswith(f".{name}")], is_section, fields):
        return f"nearest is {found}"
    if found := _told([*places_of(key, fields)], is_section, fields):
        return f"nearest is {found}"
    if meant or not closest(key, known):
        above = [name] if name in whole else [place for place in places_of(last or key, whole) if place.endswith(name or key)]
        if found := _told(above, is_section, whole):
            return f"it stands at {found}; choices here: {', '.join(known)}"
    return nearest(key, known)


def _told(places: Collection[str], is_section: bool, fields: Mapping[str, Field]) -> str:
    """Those that may be meant, sections where one was written; "" where there are none, or too many to tell anything."""
    sections = [place for place in dict.fromkeys(places) if is_section and _is_section(place, fields)]
    found = sections or [*dict.fromkeys(places)]
    return " or ".join(map(repr, found)) if 0 < len(found) <= MOST_PLACES else ""


def _is_section(place: str, fields: Mapping[str, Field]) -> bool:
    head, _, rest = place.partition(".")
    one = fields.get(head)
    return isinstance(one, Section) and (not rest or _is_section(rest, one.fields))


def is_misspelt(key: str, given: Collection[str], fields: Mapping[str, Field]) -> bool:
    """Whether one of the keys that are given, which nothing has, is told to be this one: that it is unknown says it already."""
    args = {arg for one in fields.values() if isinstance(one, Table) for entry in one.entries.values() for arg in entry.args}
    unknown = [one for one in given if one not in fields and one not in args]
    meant = {meant_by(one).removesuffix(".name").rpartition(".")[2] for one in unknown}
    return key in meant or any(closest(one, fields) == [key] for one in unknown)


def places_of(key: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """Dotted keys that end in it, in sections below and in arguments of tables of theirs."""
    for name, one in fields.items():
        if isinstance(one, Section):
            if key in one.fields or any(key in entry.args for entry in _entries(one)):
                yield f"{name}.{key}"
            yield from (f"{name}.{below}" for below in places_of(key, one.fields))


def _entries(section: Section) -> Iterator[Any]:
    for one in section.fields.values():
        if isinstance(one, Table):
            yield from one.entries.values()


def _hint(node: Node, table: Table, others: Iterable[Table], *, is_choice: bool) -> str:
    if node.kind == "mapping" and is_choice and all(name in table.entries for name in node.items):
        return f"branches stand in a mapping: {{choice: {{{', '.join(f'{name}: {{...}}' for name in node.items)}, ...}}}}"
    word = str(node.value) if node.kind == "scalar" else ""
    library, colon, model = word.partition(":")
    if colon and library in table.entries and "model" in table.entries[library].args:
        return f"nearest is {f'{{choice: {{{library}: {{model: {model}}}}}}}' if is_choice else f'{{name: {library}, model: {model}}}'}"
    others = [*others]
    kinds = [other.what for other in others if word in other.entries and word not in table.entries]
    other = _beside_fixed(word, table, others) or (f"{word} is a {kinds[0]}; " if kinds else "")
    if len(table.entries) <= _MOST_LISTED:
        return other + nearest("" if other else word, table.entries)
    near = ", ".join(map(repr, closest(word, table.entries, num=3)))
    return f"{other or (near and f'nearest is {near}; ')}`visiontune list {table.what.replace(' ', '_')}s` has all {len(table.entries)}"


def _beside_fixed(word: str, table: Table, others: Iterable[Table]) -> str:
    """Of an op, or a word of its name such as flip, where a policy is named; "" for any other."""
    ops = [op for other in others if other.what == "op" for op in other.entries if len(word) > 3 and word.casefold() in op.casefold()]
    is_op = table.what == "policy" and ops and not closest(word, table.entries)
    return f"an op stands beside the policy fixed: `policy: fixed, {ops[0]}: {{...}}`; " if is_op else ""
