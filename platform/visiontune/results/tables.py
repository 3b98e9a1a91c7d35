"""`visiontune list`: the tables from which files are made, one line for each entry."""

from __future__ import annotations

from visiontune.results.text import aligned, number
from visiontune.spec.declare import REQUIRED, Arg, Entry
from visiontune.spec.errors import UserError, nearest
from visiontune.spec.study import TABLES


def table_lines(name: str | None = None) -> list[str]:
    """A table's entries with their arguments and defaults, or the tables when no name is given. Raises UserError."""
    if name is None:
        return aligned([(key, f"{len(table.entries)} entries: {', '.join(table.entries)}") for key, table in TABLES.items()])
    if name not in TABLES:
        raise UserError(f"no table {name!r}; {nearest(name, TABLES)}")
    return aligned([(key, f"{entry.doc}{_args(entry)}") for key, entry in TABLES[name].entries.items()])


def _args(entry: Entry) -> str:
    said = [f"{key}={_default(arg)}" if isinstance(arg, Arg) else key for key, arg in entry.args.items()]
    return f" [{', '.join(said)}]" if said else ""


def _default(arg: Arg) -> str:
    return "required" if arg.default is REQUIRED else "none" if arg.default is None else number(arg.default)
