"""The kinds of declaration from which the parser, the JSON Schema and `visiontune list` are made.

A file is a `Section` of fields. A field is an `Arg` (a value), a `Table` (one of several named entries, whose
arguments stand beside the name in the same section), `Items` (a list) or another `Section`. `Entry.builder` is a dotted name, imported
only when something is built, so that a wrong file is refused without paying for torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both inclusive; with `log` equal ratios count the same."""

    low: float
    high: float
    log: bool = False


Auto = Range | tuple[Any, ...]
"""What is worth searching of an argument: a range, or values to choose from. A file says `auto` for it."""
ALL: Auto = ()
"""Every choice; true and false of a flag."""


@dataclass(frozen=True)
class Arg:
    """One value: its type, default, range (both ends inclusive) or choices. `also` are words accepted beside the type.

    A dict is a mapping whose keys another library knows; it holds what YAML can say, and no domains.

    A default of None means that the value may be left out and then is None. `former` is as in a Table, for choices. `auto` is None
    where no range is worth searching for most pictures, or none can be named without knowing them. `settle` makes of a value and the
    file that has it what is meant by it, and raises UserError. `written` says how, where the type is too little to say. `pair` are what
    the two values of a list are called that may stand in place of one; a list of two equal ones is that one.
    """

    type: type
    doc: str
    default: Any = REQUIRED
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    also: tuple[str, ...] = ()
    former: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    auto: Auto | None = None
    settle: Callable[[str, str], str] | None = None
    written: str = ""
    pair: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One row of a table: `builder` is "package.module:function", or in a plugin the function, and takes `args` as flat keyword arguments.

    `needs` maps a flag among the args to the number that must be above 0 when the flag is true. `excludes` maps a number to
    another that says the same in another unit: where the second is above 0 the first must be left at its default, which is ignored.
    `suits` are good values of keys that stand beside the entry's name and have no default, such as an optimizer's lr; `auto` has the
    ranges of keys beside it that are worth searching with this entry. `traits` are what else must be known of it where no builder is
    loaded, in the words of its table.
    """

    doc: str
    builder: str | Callable[..., Any] = ""
    args: Mapping[str, Field] = field(default_factory=lambda: NOTHING)
    needs: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    excludes: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    suits: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    auto: Mapping[str, Auto] = field(default_factory=lambda: NOTHING)
    traits: frozenset[str] = frozenset()

    def load(self) -> Callable[..., Any]:
        """Import the builder; the first call of an entry may import torch or albumentations."""
        if not isinstance(self.builder, str):
            return self.builder
        module, _, name = self.builder.partition(":")
        return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Added:
    """Rows by the `what` of their table, and the plugins that they come from."""

    plugins: tuple[str, ...] = ()
    rows: Mapping[str, Mapping[str, Entry]] = field(default_factory=lambda: NOTHING)


_NONE = Added()
_added: ContextVar[Added] = ContextVar("added", default=_NONE)


@contextmanager
def adding(added: Added) -> Iterator[None]:
    """Within the block, and in no other thread, tables have these rows beside their own, and no others."""
    before = _added.set(added)
    try:
        yield
    finally:
        _added.reset(before)


def plugins_in_use() -> tuple[str, ...]:
    """The plugins whose rows tables have here: what is remembered by an entry's name is remembered for these alone."""
    return _added.get().plugins


@dataclass(frozen=True)
class Table:
    """A field whose value names one of `entries`; `what` is the singular noun for messages and `visiontune list`.

    `former` are names that people know from elsewhere, with what to say after them where one stands as a key.
    """

    what: str
    own: Mapping[str, Entry]
    default: Any = REQUIRED
    former: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The table's own, and those of the plugins that are in use here."""
        added = _added.get().rows.get(self.what)
        return {**self.own, **added} if added else self.own


@dataclass(frozen=True)
class Section:
    """A mapping with known keys. `is_space` sections may hold domains in place of values; `former` is as in a Table.

    At least one of the keys in `one_of`, where there are any, must have a value. A list or a word in place of the mapping is short for one
    with that under the key `short_for`; its first item is that of the key `first_for`, where there is one.
    """

    doc: str
    fields: Mapping[str, Field]
    is_space: bool = False
    former: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    one_of: tuple[str, ...] = ()
    short_for: str = ""
    first_for: str = ""


@dataclass(frozen=True)
class Items:
    """A list of names or, with `takes_recipes`, of recipe files and mappings of recipe keys; or one of the words in `also`.

    `item`: what each of them must be, and none twice. Items that are sections are mappings of constants, kept as dicts, and a recipe has
    the key only where there are any.
    """

    doc: str
    default: Any = ()
    also: tuple[str, ...] = ()
    takes_recipes: bool = False
    item: Arg | Section | None = None


Field = Arg | Table | Section | Items


def chosen(table: Table, section: Mapping[str, Any], key: str) -> tuple[Entry, dict[str, Any]]:
    """The entry that a resolved section names under `key`, and its own arguments out of that section."""
    entry = table.entries[section[key]]
    return entry, {name: section[name] for name in entry.args if name in section}
