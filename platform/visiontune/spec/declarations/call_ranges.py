"""Numbers that functions of the API and options of the command line take: their ranges, said once for both."""

from __future__ import annotations

from numbers import Integral

from visiontune.errors import UserError

Range = tuple[int, int]
MANY, FEW, PORT, FACTOR, DAYS, TIMES = (1, 1_000_000), (1, 64), (1, 65_535), (2, 100), (0, 36_500), (0, 1_000)
FOLDS: Range = (2, 20)
NUMBERS: Range = (0, MANY[1])
"""Of trials, from 0."""

SEED: Range = (0, 2**31 - 1)
RIVALS, SEEDS = (1, 20), (1, 100)
"""Recipes that run for a study's winner, and seeds on which recipes are trained again."""


def rule_of(limits: Range, value: object) -> str:
    """What is said of a value outside."""
    return f"must be an int from {limits[0]} to {limits[1]}, but got {value!r}"


def refuse_outside(limits: Range, **values: object) -> None:
    """Raise UserError with all that are no int from the first limit to the second.

    >>> refuse_outside(FEW, num=65)
    Traceback (most recent call last):
    visiontune.errors.UserError: num must be an int from 1 to 64, but got 65
    """
    wrong = {name: value for name, value in values.items() if not _is_within(value, limits)}
    if wrong:
        raise UserError(*(f"{name} {rule_of(limits, value)}" for name, value in wrong.items()))


def refuse_given(limits: Range, **values: object) -> None:
    """The same of those that are not None."""
    refuse_outside(limits, **{name: value for name, value in values.items() if value is not None})


def _is_within(value: object, limits: Range) -> bool:
    is_int = isinstance(value, Integral) and not isinstance(value, bool)  # numpy's too
    return is_int and limits[0] <= value <= limits[1]  # type: ignore[operator]
