"""What a search begins with, as its file says: recipes of the user's own, a portfolio, earlier studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OF_A_STUDY = ("data.", "training.num_epochs", "training.seed", "plugins")
"""Keys of a recipe that a study sets itself."""


@dataclass(frozen=True)
class StartRecipe:
    """`values` by the recipe's dotted keys, as many as it says; `name` is what messages call it; `line` where it stands in `file`."""

    values: Mapping[str, Any]
    name: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Start:
    """`portfolio` is none, auto or an entry of the table; `studies` none, auto or names."""

    recipes: tuple[StartRecipe, ...] = ()
    portfolio: str = "none"
    studies: str | tuple[str, ...] = "none"
