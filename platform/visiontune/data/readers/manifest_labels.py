"""Several classes in a row of a table: a list, words between separators, or a column for each class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from visiontune.data.readers.table_file import TableFile
from visiontune.data.readers.votes import REFUSE
from visiontune.errors import Problem, UserError, plural

SPACED = ("tag", "tags", "labels", "classes", "categories", "attributes", "keywords")
"""Columns whose words may stand apart by nothing but spaces."""
SEPARATORS = ("|", ";", ",")
_BITS = {"": 0, "0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}


def several_of(table: TableFile, column: str, columns: Sequence[str], separator: str | None) -> list[list[str]]:
    """The classes of each row, none where nothing is said. Raises UserError for a column that is neither."""
    if columns:
        is_one = [bits(table, one) for one in columns]
        return [[name for name, bit in zip(columns, row, strict=True) if bit] for row in zip(*is_one, strict=True)]
    if (lists := table.lists(column)) is not None:
        return lists
    texts = [text or "" for text in table.texts(column)]
    return [[word.strip() for word in (text.split(separator) if separator else [text]) if word.strip()] for text in texts]


def separator_of(texts: Sequence[str], column: str) -> str | None:
    """What parts classes: the first of | ; , that stands in the column; in one called tags or the like a space where none of them does.

    >>> separator_of(["cat, dog", "a|b"], "label"), separator_of(["haze primary"], "tags"), separator_of(["sea lion"], "label")
    ('|', ' ', None)
    """
    found = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)
    is_spaced = column.casefold() in SPACED and any(" " in text for text in texts)
    return " " if found is None and is_spaced else found


def separator_in(tables: Iterable[TableFile], column: str, given: str | None = None) -> str | None:
    """The same of a column of texts over several tables. Raises UserError for a given one that stands nowhere, where another would part."""
    texts = texts_in(tables, column)
    found = separator_of(texts, column)
    if given is not None and found is not None and not any(given in text for text in texts):
        rule = f"must part classes in {column!r}, but {given!r} stands nowhere in it; nearest is {found!r}, or leave it out"
        raise UserError(Problem("", 0, "data.label_separator", rule))
    return given or found


def texts_in(tables: Iterable[TableFile], column: str) -> list[str]:
    """What a column of texts says over several tables, row by row; nothing of one of lists."""
    there = [table for table in tables if column in table.names and table.lists(column) is None]
    return [text for table in there for text in table.texts(column) if text]


def notes_of_mark(mark: str | None, texts: Sequence[str], what: str) -> Iterator[str]:
    """How classes in texts were parted, and that others hold another mark, which then is part of a name.

    >>> [*notes_of_mark("|", ["cat|dog", "cat, dog"], "'tags'")]
    ["classes in 'tags' are parted by '|'; 1 text holds ',' too, as part of a name: 'cat, dog' is one class"]
    """
    if mark is None:
        return
    words = ([word for word in text.split(mark) if any(one in word for one in SEPARATORS if one != mark)] for text in texts)
    held = [found[0].strip() for found in words if found]
    others = ", ".join(repr(one) for one in SEPARATORS if one != mark and any(one in word for word in held))
    hold = f"{plural(len(held), 'text')} hold{'s'[: len(held) == 1]}"
    yield f"classes in {what} are parted by {mark!r}" + (
        f"; {hold} {others} too, as part of a name: {held[0]!r} is one class" if held else ""
    )


def refuse_unused(vote: str, separator: str | None, label_columns: Sequence[str], *, has_many: bool) -> None:
    """Raise UserError for what could only be ignored beside the others."""
    if has_many and vote != REFUSE:
        raise UserError(Problem("", 0, "data.vote", f"{vote} finds one label for a picture, but data.labels is many; nearest is {REFUSE}"))
    if separator is not None and (label_columns or not has_many):
        rule = "parts the classes in label_column where data.labels is many"
        raise UserError(Problem("", 0, "data.label_separator", f"{rule}, but {'label_columns is given' if label_columns else 'it is one'}"))


def bits(table: TableFile, column: str) -> list[int]:
    """A column of 0 and 1. Raises UserError for anything else."""
    values = [(value or "").casefold() for value in table.texts(column)]
    odd = next((row for row, value in enumerate(values) if value not in _BITS), None)
    if odd is not None:
        raise UserError(Problem(table.row(odd), 0, f"column {column!r}", f"must be 0 or 1, but is {values[odd]!r}"))
    return [_BITS[value] for value in values]
