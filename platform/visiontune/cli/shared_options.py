"""What options of several verbs have in common: numbers within their ranges, a search-space file with overrides, the folder of studies."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from visiontune.filesystem.path_kind import with_home
from visiontune.spec.declarations.call_ranges import DAYS, FACTOR, FEW, FOLDS, MANY, Range, rule_of
from visiontune.spec.declarations.image_size import ImageSize, image_size

Verb = Callable[..., argparse.ArgumentParser]
"""Takes a function of verbs.py, and its name where that is another; gives the parser of its arguments."""


def takes_file(parser: argparse.ArgumentParser) -> None:
    """FILE and overrides."""
    parser.add_argument("file", type=Path, metavar="FILE", help="search-space file")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as budget.num_trials=8")


def takes_study(parser: argparse.ArgumentParser) -> None:
    """STUDY."""
    parser.add_argument("study", metavar="STUDY", help="its name or its folder; `visiontune studies` lists what there is")


def takes_studies_dir(parser: argparse.ArgumentParser) -> None:
    """--studies-dir."""
    where = "where studies live (VISIONTUNE_STUDIES, else ./studies)"
    parser.add_argument("--studies-dir", type=folder, metavar="DIR", help=where)


def folder(text: str) -> Path:
    """A folder; none by an empty string, as an unset variable is one, and it would be the folder that one is in."""
    if not text:
        raise argparse.ArgumentTypeError("must name a folder, but got ''")
    return with_home(text)


def positive(text: str) -> int:
    """A whole number from 1."""
    return in_range(text, MANY)


def number(text: str) -> int:
    """A whole number from 0."""
    return in_range(text, (0, MANY[1]))


def size(text: str) -> int:
    """Pixels of a side."""
    return in_range(text, (8, 4096))


def picture_size(text: str) -> ImageSize:
    """Pixels: 32, or 24x32 of height and width."""
    height, cross, width = text.partition("x")
    if cross and not (height.isdecimal() and width.isdecimal()):
        raise argparse.ArgumentTypeError(f"must be pixels of a side, or of height and width such as 24x32, but got {text!r}")
    return image_size([positive(height), positive(width)] if cross else positive(text))


def few(text: str) -> int:
    """A whole number that stands for processes, seeds or pictures."""
    return in_range(text, FEW)


def days(text: str) -> int:
    """A whole number of days."""
    return in_range(text, DAYS)


def factor(text: str) -> int:
    """A reduction factor."""
    return in_range(text, FACTOR)


def folds(text: str) -> int:
    """Parts of the pictures, each of which is left out once."""
    return in_range(text, FOLDS)


def in_range(text: str, limits: Range) -> int:
    """A whole number within limits. Raises ArgumentTypeError, which argparse shows."""
    if not text.isdecimal() or not limits[0] <= int(text) <= limits[1]:
        raise argparse.ArgumentTypeError(rule_of(limits, text))
    return int(text)
