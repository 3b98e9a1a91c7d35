"""What a column of labels, paths or groups says, whatever a program that wrote the table made of it: integers or texts, null where
nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# What pandas reads as missing, but for `None` and `none`, which are a class where pictures show no defect.
_MISSING = ("", "#n/a", "#na", "<na>", "n/a", "na", "nan", "-nan", "null")
_INTEGER = r"^\s*-?[0-9]+\s*$"
_WHOLE = r"^\s*-?[0-9]+\.0+\s*$"


def is_text(kind: Any) -> bool:
    """Whether it is any of Arrow's types of text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain_values(column: Any) -> Any:
    """As integers or texts with nulls. Raises TypeError, with the rule, for a column of any other type and for fractions.

    NaN, NA and blanks are null. Floats that pandas made of integers, since one of them was missing, are integers again; truth is a text.
    Texts such as 1.0 are what they were: see `without_points`.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.string())  # few functions of pyarrow take a view
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False")  # as pandas writes them to a CSV
    if pa.types.is_floating(kind):
        return _integers(column)
    if is_text(kind):
        return _texts(column)
    if not pa.types.is_integer(kind):
        raise TypeError(f"must hold texts or integers, but holds {kind}")
    return column


def have_points(column: Any) -> bool:
    """Whether all values of a text column are written as pandas writes integers of which one is missing: 1.0."""
    return _all_match(column, _WHOLE) and column.null_count < len(column)


def are_integers(columns: Iterable[Any]) -> bool:
    """Whether each of a source's columns, one from each file, has integers alone, in one file all with .0 and in another without."""
    return all(pa.types.is_integer(one.type) or _all_match(one, _INTEGER) or _all_match(one, _WHOLE) for one in columns)


def without_points(column: Any) -> Any:
    """Texts such as 1.0 as 1, where `are_integers` says so of all files: one that holds 1.0 and x has names."""
    return pc.replace_substring_regex(column, r"\.0+\s*$", "") if have_points(column) else column


def num_words_for_nothing(column: Any) -> int:
    """How many of its values are words such as NaN that are null in `plain_values`; blanks are none."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string_view(kind):
        kind = pa.string()
    if not is_text(kind):
        return 0
    words = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(kind)))
    return pc.sum(pc.is_in(words, pa.array(_MISSING[1:], kind))).as_py() or 0


def notes_for_nothing(num_words: int) -> list[str]:
    """What is to be said of so many words."""
    those = "label is a word such as NaN or NA, which is" if num_words == 1 else "labels are words such as NaN or NA, which are"
    return [f"{num_words:,} {those} taken for none"] if num_words else []


def _integers(column: Any) -> Any:
    kind = column.type
    if pa.types.is_float16(kind):
        column = column.cast(pa.float32())  # few functions of pyarrow take a half
    known = pc.if_else(pc.is_nan(column), None, column)
    fractions = pc.filter(known, pc.not_equal(pc.floor(known), known))
    if len(fractions):
        raise TypeError(f"must hold texts or integers, but holds {kind}, such as {fractions[0].as_py():g}")
    try:
        return known.cast(pa.int64())
    except pa.ArrowInvalid:
        raise TypeError("must hold texts or integers, but holds numbers that are too large for one") from None


def _texts(column: Any) -> Any:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    return pc.if_else(pc.is_in(words, pa.array(_MISSING, column.type)), pa.scalar(None, column.type), column)


def _all_match(column: Any, pattern: str) -> bool:
    """Of a text column; so do those of one that has none."""
    return is_text(column.type) and bool(pc.all(pc.match_substring_regex(column, pattern), min_count=0).as_py())
