"""Figures as text: {row: {column: number}} as a plain table for a terminal or a Markdown one for a page.

A column bears its unit (`wall_s`, `pictures_per_s`). Beside a column `x` may stand how it spreads, which goes into its cell:
`x_min` and `x_max`, `x_sd` (a standard deviation) or `x_se` (a standard error). A row may lack columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Rows = Mapping[str, Mapping[str, float]]
SPREADS = ("_min", "_max", "_sd", "_se")
WORDS = {"mb": "MB", "cpu": "CPU", "tpe": "TPE", "mlflow": "MLflow", "opencv": "OpenCV", "percent": "%"}


def number(value: float) -> str:
    """Three digits or so, and commas in what is large."""
    size = abs(value)
    if isinstance(value, int) or size >= 100:
        return f"{value:,.0f}"
    if size and size < 0.0005:
        return f"{value:.1g}"
    return f"{value:.{1 if size >= 10 else 2 if size >= 1 else 3}f}"


def heading(column: str) -> str:
    """
    >>> heading("pictures_per_s"), heading("driver_mb")
    ('pictures / s', 'driver MB')
    """
    return " ".join(WORDS.get(word, word) for word in column.replace("_per_", "_/_").split("_"))


def cells(rows: Rows, columns: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
    """The columns and every row's texts, its name first; spreads are in the cells of what they belong to."""
    found = list(dict.fromkeys(column for row in rows.values() for column in row))
    shown = [column for column in columns or found if not _is_spread(column, found)]
    return [heading(column) for column in shown], [[name, *(_cell(row, column) for column in shown)] for name, row in rows.items()]


def plain(name: str, rows: Rows) -> str:
    """Columns as wide as their widest cell; the first one to the left, numbers to the right."""
    columns, texts = cells(rows)
    lines = [[heading(name), *columns], *texts]
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    aligned = ["  ".join(text.rjust(width) if k else text.ljust(width) for k, (text, width) in _numbered(line, widths)) for line in lines]
    return "\n".join([aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]])


def markdown(rows: Rows, columns: Sequence[str] = (), name: str = "") -> str:
    """A table of these columns, or of all."""
    headings, texts = cells(rows, columns)
    lines = [[name, *headings], ["---", *("---:" for _ in headings)], *texts]
    return "\n".join(" ".join(["|", *(f"{text} |".lstrip() for text in line)]) for line in lines)


def _numbered(line: list[str], widths: list[int]) -> list[tuple[int, tuple[str, int]]]:
    return list(enumerate(zip(line, widths, strict=True)))


def _is_spread(column: str, columns: Sequence[str]) -> bool:
    return any(column.endswith(end) and column.removesuffix(end) in columns for end in SPREADS)


def _cell(row: Mapping[str, float], column: str) -> str:
    if column not in row:
        return ""
    value, sign = row[column], "+" if column.startswith("gain") and row[column] > 0 else ""
    text = sign + number(value)
    if f"{column}_min" in row:
        return f"{text} ({number(row[f'{column}_min'])} to {number(row[f'{column}_max'])})"
    for end, word in (("_sd", ""), ("_se", " se")):
        if column + end in row:
            return f"{text} ± {number(row[column + end])}{word}"
    return text
