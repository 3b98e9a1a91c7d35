"""Upper bounds as a file says them: `<= 1e6`."""

from __future__ import annotations

import math

from visiontune.errors import UserError

WRITTEN = "`<= NUMBER`, such as `<= 1e6`"


def settle_bound(given: str, file: str) -> str:
    """The bound in one spelling. Raises UserError for any other relation, and for what is no number above 0.

    >>> settle_bound("<=1e6", "")
    '<= 1000000'
    """
    text = given.strip()
    number = _number(text.removeprefix("<=").removeprefix("<").removeprefix("="))
    if text.startswith(">"):
        raise UserError(f"must be {WRITTEN}, since a cost is bounded from above only, but got {given!r}")
    if number is None:
        raise UserError(f"must be {WRITTEN}, with a finite number above 0, but got {given!r}")
    if not text.startswith("<="):
        raise UserError(f"must be {WRITTEN}, but got {given!r}; nearest is '<= {number:.12g}'")
    return f"<= {number:.12g}"


def bound_of(settled: str) -> float:
    """The number of a bound in that spelling."""
    return float(settled.removeprefix("<="))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
