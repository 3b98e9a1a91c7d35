"""What a finished search leaves: the winner's recipe and sheet in the study's folder, those of the front, and the events for MLflow."""

from __future__ import annotations

import json
import sys

from visiontune.augmentation.preview_sheet import recipe_sheet, save_sheet
from visiontune.augmentation.sheet_pictures import pick
from visiontune.data.store.store import Store
from visiontune.errors import plural
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.tuning.records.records import Put, StudyRecord, TrialRecord
from visiontune.tuning.retraining.front_files import leave_front
from visiontune.tuning.retraining.mlflow_events import artifact_event, data_of, register_event, study_end_event, winner_event

_NUM_PICTURES = 4


def winner_of(study: StudyRecord) -> TrialRecord | None:
    """Who won the race; before that the best trial, once it is complete.

    What got less than its full budget wins only where the search ended without one that got it.
    """
    if study.winner is not None:
        return study.winner
    has_won = study.best is not None and (study.best.state == "complete" or study.ending is not None)
    return study.best if has_won else None


def epochs_of(trial: TrialRecord, study: StudyRecord) -> str:
    """How far it was trained: "27 epochs", or "9 of 27 epochs" where that is less than it should have been."""
    return plural(trial.epoch, "epoch") if trial.state == "complete" else f"{trial.epoch} of {plural(study.rungs[-1], 'epoch')}"


def leave_winner(study: StudyRecord, folder: StudyFolder, store: Store, put: Put, register: str | None = None) -> None:
    """Write the winner's files, if there is one, and the front's, and tell MLflow that the study has ended. Raises OSError.

    `register`: the name by which its model is registered there.
    """
    winner, metric = winner_of(study), study.objective.metric
    folder.registered.unlink(missing_ok=True)
    leave_front(study, folder, put)
    if not study.confirmations:  # where there was no time for any, those of an earlier winner would pass for this one's
        for file in (folder.winner_weights, folder.winner_test):
            file.unlink(missing_ok=True)
    if winner is not None:
        header = f"winner of study {study.name}: trial {winner.number}, {metric} {winner.value:.4f} after {epochs_of(winner, study)}"
        if winner.micro_batch:
            header += f", in micro-batches of {winner.micro_batch} as memory allowed no more"
        recipe = winner.as_trained
        dump_recipe(recipe, folder.winner, header=header)
        put(winner_event(study, winner.number, folder, data_of(store)))
        # After the event: the writer makes the model of it meanwhile.
        if write_winner_sheet(recipe, store, folder, header):
            put(artifact_event(folder.winner_sheet, "winner"))
        if folder.winner_test.exists():
            put(artifact_event(folder.winner_test, "winner"))
        if register:
            register_winner(study, winner, folder, store.digest, put, register)
    if folder.augmentation_sheet.exists():
        put(artifact_event(folder.augmentation_sheet, "space"))
    put(study_end_event(study, winner))


def register_winner(study: StudyRecord, winner: TrialRecord, folder: StudyFolder, data_digest: str, put: Put, name: str) -> None:
    """Have the winner's model registered; what becomes of it is written into the study's folder, now that it is under way."""
    event = register_event(study, winner, name, data_digest)
    said = "not without a confirmation" if event is None else "under way; `visiontune ui` shows it"
    write_whole(folder.registered, json.dumps({"name": name, "said": said}))
    if event is not None:
        put(event)


def write_winner_sheet(recipe: TrialRecipe, store: Store, folder: StudyFolder, title: str) -> bool:
    """Write the sheet of the recipe's augmentation into the study's folder, in place of an earlier winner's; whether there is one now.

    There is none where nothing happens to pictures, or where it can't be made, which is printed and is no error.
    """
    folder.winner_sheet.unlink(missing_ok=True)
    section = recipe.augmentation
    if all(section.get(key, "none") == "none" for key in ("crop", "policy", "mixing")) and not section.get("by_class"):
        return False
    try:
        sheet = recipe_sheet(title, pick(store, _NUM_PICTURES), section, recipe.training["num_epochs"])
        save_sheet(sheet, folder.winner_sheet)
    except Exception as error:
        print(f"the sheet of the winner's augmentation could not be drawn: {error}", file=sys.stderr)
        return False
    return True
