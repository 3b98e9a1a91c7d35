"""What a finished search leaves: the winner's recipe and sheet in the study's folder, and the word for MLflow."""

from __future__ import annotations

import sys

from visiontune.data.store.store import Store
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.spec.yaml_writer import dump_recipe
from visiontune.tuning.mlflow_events import sheet_event, study_end_event, winner_event
from visiontune.tuning.records import Put, StudyRecord, TrialRecord

_NUM_PICTURES = 4


def winner_of(study: StudyRecord) -> TrialRecord | None:
    """The best trial, once it is complete: what got less than its full budget can be best, but has not won."""
    return study.best if study.best is not None and study.best.state == "complete" else None


def leave_winner(study: StudyRecord, folder: StudyFolder, store: Store, put: Put) -> None:
    """Write the winner's files, if there is one, and tell MLflow that the study has ended. Raises OSError."""
    winner, metric = winner_of(study), study.objective.metric
    if winner is not None:
        header = f"winner of study {study.name}: trial {winner.number}, {metric} {winner.value:.4f} after {winner.epoch} epochs"
        recipe = TrialRecipe(**winner.recipe)
        dump_recipe(recipe, folder.winner, header=header)
        put(winner_event(study, winner.number, folder, store))
        # After the event: the writer makes the model of it meanwhile.
        if draw_winner(recipe, store, folder, header):
            put(sheet_event(folder))
    put(study_end_event({f"best.{metric}": winner.value} if winner is not None else {}))


def draw_winner(recipe: TrialRecipe, store: Store, folder: StudyFolder, title: str) -> bool:
    """Whether the study's folder has the sheet of what happens to pictures; an earlier winner's is gone where nothing does.

    A sheet that can't be drawn is told and costs nothing else.
    """
    folder.winner_sheet.unlink(missing_ok=True)
    section = recipe.augmentation
    if section["policy"] == "none" and section["mixing"] == "none":
        return False
    try:
        from visiontune.augmentation.preview_sheet import recipe_sheet, save_sheet  # albumentations: 4 s, paid by who augments
        from visiontune.augmentation.sheet_pictures import pick

        sheet = recipe_sheet(title, pick(store, _NUM_PICTURES), section, recipe.training["num_epochs"])
        save_sheet(sheet, folder.winner_sheet)
    except Exception as error:
        print(f"the sheet of the winner's augmentation could not be drawn: {error}", file=sys.stderr)
        return False
    return True
