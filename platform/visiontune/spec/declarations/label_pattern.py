"""The regular expression that finds a class in the name of a file, checked when a file is read."""

from __future__ import annotations

import re

from visiontune.errors import UserError

LABEL_PATTERN = r"^(?!\d+(?:\.[^.]*)?$)(.*?[^\W_])[\W_]*\d*\W*(?:\.[^.]+)?$"
"""All before a last number: cat of cat.0.jpg, great_pyrenees of great_pyrenees_173.jpg, cat of "cat (12).jpg"; nothing of 17.jpg."""


def settle_label_pattern(given: str, file: str) -> str:
    """The pattern as it is. Raises UserError for what is no regular expression with one group."""
    try:
        num = re.compile(given).groups
    except re.error as error:
        raise UserError(f"must be a regular expression, but {given!r} is none: {error}") from None
    if num != 1:
        raise UserError(
            f"must have one group, the class, such as {LABEL_PATTERN}, but {given!r} has {num}; (?:...) groups without being one"
        )
    return given
