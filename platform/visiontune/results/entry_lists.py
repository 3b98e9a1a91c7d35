"""`visiontune list`: what a file may say, table by table and section by section; one line, or one row of Markdown, for each entry."""

from __future__ import annotations

from collections.abc import Sequence

from visiontune.errors import UserError, nearest
from visiontune.results.screens.text import aligned, number
from visiontune.spec.declarations.declare import REQUIRED, Arg, Entry, Items, Section, Table
from visiontune.spec.declarations.image_size import ImageSize, pixels
from visiontune.spec.space.auto_ranges import said
from visiontune.spec.space.sections import SPACE, STUDY, TABLES
from visiontune.spec.tables.ops import COLOUR_OPS, LABEL_CHANGING, OPS

SECTIONS = {key: one for key, one in {**STUDY.fields, **SPACE.fields}.items() if isinstance(one, Section) and key != "space"}


def table_lines(name: str | None = None) -> list[str]:
    """A table's entries with their arguments and defaults, or a section's keys; all names where none is given. Raises UserError."""
    if name is None:
        tables = [(key, f"{len(table.entries)} entries: {', '.join(table.entries)}") for key, table in TABLES.items()]
        return aligned([*tables, *((key, f"section: {section.doc}") for key, section in SECTIONS.items())])
    if name in SECTIONS:
        return aligned([(key, doc, f"[{values}]") for key, values, doc in _keys(SECTIONS[name])])
    return aligned([(key, f"{entry.doc}{_marks(name, key)}{_args(entry)}") for key, entry in _table(name).entries.items()])


def markdown_lines(name: str) -> list[str]:
    """A table's entries or a section's keys as a table in Markdown, with the ranges of arguments. Raises UserError."""
    if name in SECTIONS:
        return _markdown(("key", "default, range", "what"), [(f"`{key}`", values, doc) for key, values, doc in _keys(SECTIONS[name])])
    entries = _table(name).entries
    rows = [(f"`{key}`", entry.doc + _marks(name, key), ", ".join(_ranges(entry))) for key, entry in entries.items()]
    return _markdown(("name", "what", "arguments"), rows)


def op_cost_lines(image_size: ImageSize) -> list[str]:
    """Ops with microseconds a picture on this machine, and by which engine; measured now, in about 15 s."""
    from visiontune.augmentation.op_costs import MAGNITUDE, costs_of

    costs = sorted(costs_of(OPS.entries, image_size), key=lambda cost: cost.us)
    rows = [(f"{cost.us:,.1f}".rjust(9), cost.name, cost.engine) for cost in costs]
    head = f"microseconds for a colour picture of {pixels(image_size)} pixels, one thread, magnitude {number(MAGNITUDE)}, least first"
    return [head, *aligned(rows)]


def timm_lines(pattern: str) -> list[str]:
    """Names of timm's networks that match a pattern such as "vit_*", each by the tags of its weights. Raises UserError where none does."""
    import timm

    tagged = timm.list_models(pattern, pretrained=True, include_tags=True)
    bare = [name for name in timm.list_models(pattern) if not any(one.startswith(f"{name}.") for one in tagged)]
    if not tagged and not bare:
        raise UserError(f"timm has no model that matches {pattern!r}; {nearest(pattern.strip('*'), timm.list_models())}")
    return sorted([*tagged, *(f"{name}   (no weights)" for name in bare)])


def _table(name: str) -> Table:
    if name not in TABLES:
        raise UserError(f"no table or section {name!r}; {nearest(name, (*TABLES, *SECTIONS))}")
    return TABLES[name]


def _keys(section: Section) -> list[tuple[str, str, str]]:
    """(key, default and range, description) of each key; of a table its name stands for the description."""
    tables = {id(table): name for name, table in TABLES.items()}
    rows = []
    for key, field in section.fields.items():
        if isinstance(field, Table):
            rows.append((key, _default(field), f"one of the table {tables[id(field)]}"))
        elif isinstance(field, Arg):
            rows.append((key, f"{_default(field)}{_range(field)}", field.doc))
        elif isinstance(field, Items):
            what = "files and mappings" if field.takes_recipes else "names"
            what = f"{', '.join(map(str, field.item.choices)) or what}" if isinstance(field.item, Arg) else what
            what = f"mappings with {', '.join(field.item.fields)}" if isinstance(field.item, Section) else what
            rows.append((key, f"{field.default or 'none'} ({', '.join((*field.also, f'a list of {what}'))})", field.doc))
    return rows


def _marks(table: str, name: str) -> str:
    """What an op asks of pictures and may do to labels."""
    if TABLES[table] is not OPS:
        return ""
    return "; colour pictures only" * (name in COLOUR_OPS) + "; may change the label" * (name in LABEL_CHANGING)


def _args(entry: Entry) -> str:
    args = [f"{key}={_default(arg)}{_searched(arg)}" if isinstance(arg, Arg) else key for key, arg in entry.args.items()]
    return f" [{', '.join(args + _beside(entry))}]" if args or entry.auto else ""


def _searched(arg: Arg) -> str:
    """What `auto` stands for there."""
    return f" (auto {said(arg.auto)})" if arg.auto is not None else ""


def _beside(entry: Entry) -> list[str]:
    """Keys beside the entry's name for which it has ranges."""
    return [f"{key} (auto {said(auto)})" for key, auto in entry.auto.items()]


def _ranges(entry: Entry) -> list[str]:
    """Such as "`momentum` 0.9 (0 to 0.999)"."""
    own = [f"`{key}` {_default(arg)}{_range(arg)}" if isinstance(arg, Arg) else f"`{key}`" for key, arg in entry.args.items()]
    return [*own, *(f"beside it `{key}` (auto {said(auto)})" for key, auto in entry.auto.items())]


def _default(arg: Arg | Table) -> str:
    return "required" if arg.default is REQUIRED else "none" if arg.default is None else number(arg.default)


def _range(arg: Arg) -> str:
    values = ""
    if arg.choices:
        values = f"of {', '.join(map(str, arg.choices))}"
    elif arg.low is not None or arg.high is not None:
        ends = [f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in (arg.low, arg.high) if end is not None]
        pair = f", or [{', '.join(arg.pair)}]" if arg.pair else ""
        values = f"{' to '.join(ends)}{pair}{''.join(f', or {word}' for word in arg.also)}"
    auto = f"auto {said(arg.auto)}" if arg.auto is not None else ""
    return f" ({'; '.join(filter(None, (values, auto)))})" if values or auto else ""


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]
