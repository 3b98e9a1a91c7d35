"""What a column of labels, paths or groups says, whatever a program that wrote the table made of it: integers or texts, null where
nothing is said.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# What pandas reads as missing, but for `None` and `none`, which are a class where pictures show no defect.
_MISSING = ("", "#n/a", "#na", "<na>", "n/a", "na", "nan", "-nan", "null")
_WHOLE = r"^\s*-?[0-9]+\.0+\s*$"
_TEXTS = (pa.types.is_string, pa.types.is_large_string)


def plain_values(column: Any) -> Any:
    """As integers or texts with nulls. Raises TypeError, with the rule, for a column of any other type and for fractions.

    NaN, NA and blanks are null. Integers that pandas wrote as 1.0, since one of them was missing, are integers again; truth is a text.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_boolean(kind):
        return pc.if_else(column, "True", "False")  # as pandas writes them to a CSV
    if pa.types.is_floating(kind):
        return _integers(column)
    if any(is_text(kind) for is_text in _TEXTS):
        return _texts(column)
    if not pa.types.is_integer(kind):
        raise TypeError(f"must hold texts or integers, but holds {kind}")
    return column


def num_words_for_nothing(column: Any) -> int:
    """How many of its values are words such as NaN that are null in `plain_values`; blanks are none."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not any(is_text(kind) for is_text in _TEXTS):
        return 0
    words = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(kind)))
    return pc.sum(pc.is_in(words, pa.array(_MISSING[1:], kind))).as_py() or 0


def notes_for_nothing(num_words: int) -> list[str]:
    """What is to be said of so many words."""
    those = "label is a word such as NaN or NA, which is" if num_words == 1 else "labels are words such as NaN or NA, which are"
    return [f"{num_words:,} {those} taken for none"] if num_words else []


def _integers(column: Any) -> Any:
    known = pc.if_else(pc.is_nan(column), None, column)
    fractions = pc.filter(known, pc.not_equal(pc.floor(known), known))
    if len(fractions):
        raise TypeError(f"must hold texts or integers, but holds {column.type}, such as {fractions[0].as_py():g}")
    try:
        return known.cast(pa.int64())
    except pa.ArrowInvalid:
        raise TypeError("must hold texts or integers, but holds numbers that are too large for one") from None


def _texts(column: Any) -> Any:
    words = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    known = pc.if_else(pc.is_in(words, pa.array(_MISSING, column.type)), pa.scalar(None, column.type), column)
    if known.null_count < len(known) and pc.all(pc.match_substring_regex(known, _WHOLE)).as_py():
        return pc.replace_substring_regex(known, r"\.0+\s*$", "")
    return known
