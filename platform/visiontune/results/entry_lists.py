"""`visiontune list`: the tables from which files are made, one line for each entry."""

from __future__ import annotations

from visiontune.errors import UserError, nearest
from visiontune.results.text import aligned, number
from visiontune.spec.declare import REQUIRED, Arg, Entry
from visiontune.spec.sections import TABLES
from visiontune.spec.tables.ops import COLOUR_OPS, LABEL_CHANGING, OPS


def table_lines(name: str | None = None) -> list[str]:
    """A table's entries with their arguments and defaults, or the tables when no name is given. Raises UserError."""
    if name is None:
        return aligned([(key, f"{len(table.entries)} entries: {', '.join(table.entries)}") for key, table in TABLES.items()])
    if name not in TABLES:
        raise UserError(f"no table {name!r}; {nearest(name, TABLES)}")
    return aligned([(key, f"{entry.doc}{_marks(name, key)}{_args(entry)}") for key, entry in TABLES[name].entries.items()])


def op_cost_lines(image_size: int) -> list[str]:
    """Ops with microseconds a picture on this machine, and by which engine; measured now, in about 15 s."""
    from visiontune.augmentation.op_costs import MAGNITUDE, costs_of

    costs = sorted(costs_of(OPS.entries, image_size), key=lambda cost: cost.us)
    rows = [(f"{cost.us:,.1f}".rjust(9), cost.name, cost.engine) for cost in costs]
    head = f"microseconds for a colour picture of {image_size} pixels, one thread, magnitude {number(MAGNITUDE)}, least first"
    return [head, *aligned(rows)]


def _marks(table: str, name: str) -> str:
    """What an op asks of pictures and may do to labels."""
    if TABLES[table] is not OPS:
        return ""
    return "; colour pictures only" * (name in COLOUR_OPS) + "; may change the label" * (name in LABEL_CHANGING)


def _args(entry: Entry) -> str:
    said = [f"{key}={_default(arg)}" if isinstance(arg, Arg) else key for key, arg in entry.args.items()]
    return f" [{', '.join(said)}]" if said else ""


def _default(arg: Arg) -> str:
    return "required" if arg.default is REQUIRED else "none" if arg.default is None else number(arg.default)
