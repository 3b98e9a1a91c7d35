"""What the winner does to its pictures, drawn when a search ends. A sheet that can't be drawn is told and costs nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from visiontune.spec.recipe import TrialRecipe

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

SHEET = "winner_augmentation.png"
_NUM_PICTURES = 4


def draw_winner(recipe: TrialRecipe, store: Store, folder: Path, title: str) -> Path | None:
    """The sheet in the study's folder; None where nothing happens to pictures, and an earlier winner's sheet is gone then."""
    path = folder / SHEET
    path.unlink(missing_ok=True)
    section = recipe.augmentation
    if section["policy"] == "none" and section["mixing"] == "none":
        return None
    try:
        from visiontune.augmentation.preview_sheet import pick, recipe_sheet, save_sheet  # albumentations: 4 s, paid by who augments

        save_sheet(recipe_sheet(title, pick(store, _NUM_PICTURES), section, recipe.training["num_epochs"]), path)
    except Exception as error:
        print(f"the sheet of the winner's augmentation could not be drawn: {error}", file=sys.stderr)
        return None
    return path
