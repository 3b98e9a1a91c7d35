"""The rows that a plugin declares, held to what the tables' own rows are: `MODELS = {"mine": Entry(...)}` at the top of its module."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.errors import Problem, UserError, first_line, nearest
from visiontune.spec.declarations.declare import REQUIRED, Arg, Entry, Section, Table
from visiontune.spec.space.sections import RECIPE, TABLES
from visiontune.spec.tables.ops import OPS

GIVEN: Mapping[str, tuple[str, ...]] = {
    "MODELS": ("num_classes", "in_channels", "image_size"),
    "ACTIVATIONS": (),
    "OPTIMIZERS": (),
    "LR_SCHEDULES": ("steps_per_epoch", "num_epochs"),
    "LOSSES": ("label_smoothing", "weight_K"),
    "OPS": ("image_size",),
    "SOURCES": (),
}
"""Tables that take rows, and what their builders are called with beside `args`; an optimizer's has the parameters before them."""

_OF_OPS = ("probability", "magnitude")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
Rows = dict[str, dict[str, Entry]]


def rows_of(module: Mapping[str, Any], file: str, source: str) -> Rows:
    """Rows by the `what` of their table. Raises UserError with every problem, at its line of the plugin's source."""
    lines = _lines(source)
    declared = {name: value for name, value in module.items() if name in GIVEN or (name.isupper() and _has_rows(value))}
    if not declared:
        raise UserError(Problem(file, 1, "", f"declares nothing; a plugin has at least one of {', '.join(GIVEN)}, a dict of Entry by name"))
    problems = [one for name, value in declared.items() for one in _of_table(name, value, _Place(file, lines))]
    if problems:
        raise UserError(*problems)
    return {table_of(name).what: dict(value) for name, value in declared.items()}


def table_of(name: str) -> Table:
    """The table by the name of its constant, such as MODELS."""
    return TABLES[name.lower()]


@dataclass(frozen=True)
class _Place:
    """Where rows stand in a file; `lines` by (constant, row) and by (constant, "")."""

    file: str
    lines: Mapping[tuple[str, str], int]

    def problem(self, table: str, row: str, rule: str, line: int = 0) -> Problem:
        found = line or self.lines.get((table, row)) or self.lines.get((table, ""), 1)
        return Problem(self.file, found, f"{table}[{row!r}]" if row else table, rule)


def _lines(source: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        for name in (target.id for target in targets if isinstance(target, ast.Name)):
            found[name, ""] = node.lineno
            keys = node.value.keys if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict) else []
            found |= {(name, key.value): key.lineno for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
    return found


def _has_rows(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(one, Entry) for one in value.values())


def _of_table(name: str, value: Any, place: _Place) -> Iterator[Problem]:
    if name not in GIVEN:
        yield place.problem(name, "", f"no table {name} takes rows of a plugin; {nearest(name, GIVEN)}")
    elif not isinstance(value, Mapping) or not value:
        yield place.problem(name, "", f"must be a dict of Entry by name with at least one, but is {_shown(value)}")
    else:
        for row, entry in value.items():
            yield from _of_row(name, str(row), entry, place)


def _of_row(name: str, row: str, entry: Any, place: _Place) -> Iterator[Problem]:
    what = table_of(name).what
    if not _NAME.fullmatch(row):
        yield place.problem(name, row, "a name begins with a letter and has letters, digits and '_' alone")
    elif row in table_of(name).own:
        yield place.problem(name, row, f"the {what} {row!r} is visiontune's own; choose another name")
    if not isinstance(entry, Entry) or not all(isinstance(arg, Arg) for arg in entry.args.values()):
        yield place.problem(name, row, f"must be an Entry whose args are Arg, but is {_shown(entry)}")
        return
    rules = [*_of_args(entry), *_of_flat_form(name, row, entry)]
    yield from (place.problem(name, row, rule) for rule in rules)
    if not rules:
        yield from _of_builder(name, row, entry, place)


def _of_args(entry: Entry) -> Iterator[str]:
    known = [*entry.needs, *entry.needs.values(), *entry.excludes, *entry.excludes.values()]
    wrong = [one for one in known if one not in entry.args]
    yield from (f"needs or excludes names {one!r}, which is no argument; {nearest(one, entry.args)}" for one in wrong)
    for key, arg in entry.args.items():
        if isinstance(arg, Arg) and arg.default not in (REQUIRED, None, *arg.also) and not _is_in(arg):
            yield f"the default of {key} must be of type {arg.type.__name__}, within its range and choices, but is {arg.default!r}"


def _is_in(arg: Arg) -> bool:
    value, kind = arg.default, type(arg.default)
    if kind is not arg.type or (arg.choices and value not in arg.choices):
        return False
    return (arg.low is None or arg.low <= value) and (arg.high is None or value <= arg.high)


def _of_flat_form(name: str, row: str, entry: Entry) -> Iterator[str]:
    """A recipe's sections are flat, so that a key means one thing in each of them."""
    if table_of(name) is OPS:
        if "probability" not in entry.args or {*entry.args} - {*_OF_OPS}:
            declared = ", ".join(entry.args) or "none"
            yield f"an op has the arguments probability and, where it has a strength, magnitude, but declares {declared}"
        return
    for part, section in RECIPE.fields.items():
        if not isinstance(section, Section) or table_of(name) not in section.fields.values():
            continue
        others = [one for one in section.fields.values() if isinstance(one, Table) and one is not table_of(name)]
        taken = {*section.fields, *(arg for table in others for known in table.own.values() for arg in known.args)}
        yield from (f"{key!r} is a key of the section {part} already; choose another name" for key in (row, *entry.args) if key in taken)


def _of_builder(name: str, row: str, entry: Entry, place: _Place) -> Iterator[Problem]:
    """What it is called with is what it takes, as far as its signature says."""
    try:
        builder = entry.load()
        takes = inspect.signature(builder).parameters
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        yield place.problem(name, row, f"the builder {entry.builder!r} can't be had: {first_line(error)}")
        return
    code = getattr(builder, "__code__", None)
    line = code.co_firstlineno if code is not None and code.co_filename == place.file else 0
    named = [key for key, one in takes.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    first = named[:1] if name == "OPTIMIZERS" else []
    given = [*first, *GIVEN[name], *(arg for arg in entry.args if not (name == "OPS" and arg == "probability"))]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in takes.values())
    lacking = [] if takes_any else [key for key in given if key not in named]
    needed = [key for key in named if takes[key].default is inspect.Parameter.empty and key not in given]
    called = f"its builder {getattr(builder, '__name__', builder)}"
    if lacking:
        yield place.problem(name, row, f"{called} is called with {', '.join(given)}, but does not take {', '.join(lacking)}", line)
    if needed:
        yield place.problem(name, row, f"{called} needs {', '.join(needed)}, which is neither given nor declared as an Arg", line)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
