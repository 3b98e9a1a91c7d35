"""Values, recipes and durations in few characters, and columns that line up."""

from __future__ import annotations

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

from visiontune.data.file_names import printable
from visiontune.spec.declarations.declare import Section, Table
from visiontune.spec.space.sections import RECIPE


def amount(limit: float, key: str) -> str:
    """What a budget's key limits.

    >>> amount(1.0, "hours"), amount(2.5, "gpu_hours")
    ('1 hour', '2.5 gpu hours')
    """
    words = key.replace("_", " ")
    return f"{limit:g} {words.removesuffix('s') if limit == 1 else words}"


def number(value: object) -> str:
    """Four significant digits for a float, "-" for None, anything else as YAML would have it.

    >>> number(0.0012345678), number(None), number(True)
    ('0.001235', '-', 'true')
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def told_apart(values: Sequence[object]) -> list[str]:
    """As `number`, but floats in as few digits as tell these values apart, two at the least.

    >>> told_apart([0.99, 0.995]), told_apart([128.5, 256.25]), told_apart(["relu", 2])
    (['0.99', '0.995'], ['130', '260'], ['relu', '2'])
    """
    words = list[str]()
    for digits in range(2, 18):
        words = [_rounded(value, digits) if isinstance(value, float) else number(value) for value in values]
        if len({*words}) == len(words):
            break
    return words


def _rounded(value: float, digits: int) -> str:
    return f"{float(f'{value:.{digits}g}'):.{max(6, digits)}g}"


def duration(seconds: float | None) -> str:
    """
    >>> duration(8), duration(125), duration(7322), duration(None)
    ('8 s', '2:05 min', '2:02 h', '-')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as lines with columns two spaces apart, the first row being the header."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(padded, row, widths)).rstrip() for row in rows]


def width_of(text: str) -> int:
    """How wide a terminal shows it: East Asian letters and emoji are two columns wide, marks on a letter none.

    >>> width_of("cat"), width_of("猫"), width_of("e\u0301")
    (3, 2, 1)
    """
    return len(text) if text.isascii() else sum(map(_width, text))


@cache
def _width(letter: str) -> int:
    if unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def padded(text: str, width: int) -> str:
    """With spaces behind it, as wide as that."""
    return text + " " * (width - width_of(text))


def cut(text: str, width: int) -> str:
    """Where it is wider than so many columns its beginning and "…".

    >>> cut("cat", 3), cut("cats", 3), cut("猫猫猫", 4)
    ('cat', 'ca…', '猫…')
    """
    if width_of(text) <= width:
        return text
    ends = [*accumulate(map(_width, text))]
    return text[: bisect_right(ends, width - 1)] + "…"


def recipe_line(recipe: Mapping[str, Any]) -> str:
    """A recipe in one line: names bare, other values as key=value; defaults, data and seed are left out.

    Such as "cnn width=64 prelu | sgd momentum=0.95 lr=0.1 | cosine | fixed Affine(0.5, 0.3)"; plugins at the end, by the beginning of
    their digest.
    """
    sections = (key for key in RECIPE.fields if key in recipe and key != "data")
    parts = (_section_line(RECIPE.fields[key], recipe[key]) for key in sections)
    plugins = (f"{name}{mark}{digest[:12]}" for name, mark, digest in (key.partition("@sha256:") for key in recipe.get("plugins", ())))
    phases = ", ".join(str(phase["after_epoch"]) for phase in recipe.get("phases", ()))
    return " | ".join(part for part in (*parts, *plugins, phases and f"changes after epoch {phases}") if part)


def _section_line(section: Any, values: Mapping[str, Any]) -> str:
    known = _args(section, values)
    words = []
    for key, value in values.items():
        field = known.get(key)
        if field is not None and not isinstance(field, Section) and value == field.default:
            continue
        if isinstance(field, Table):
            words.append(str(value))
        elif isinstance(value, Mapping):
            words.append(f"{key}({', '.join(number(item) for item in value.values() if item is not None)})")
        elif key != "seed":
            words.append(f"{key}={number(value)}")
    return " ".join(words)


def _args(section: Section, values: Mapping[str, Any]) -> dict[str, Any]:
    """The section's fields with the arguments of the entries that `values` name."""
    fields = dict(section.fields)
    for key, field in section.fields.items():
        if isinstance(field, Table) and values.get(key) in field.entries:
            fields.update(field.entries[values[key]].args)
    return fields
