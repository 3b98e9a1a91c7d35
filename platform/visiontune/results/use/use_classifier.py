"""A study's winner, weights or an ONNX model, asked about pictures: what `visiontune predict` and `evaluate` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from visiontune.data.picture.depth import Depth
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.inference.find_pictures import find_pictures
from visiontune.inference.first_look import NUM_LOOKED_AT, held, look_first
from visiontune.inference.predict import predictions, refuse_calibration
from visiontune.inference.split_logits import CHOSEN_ON, TRAINED_ON, refuse_other_classes, split_logits
from visiontune.results.pictures.make_dataset import section_of
from visiontune.results.screens.ingest_progress import IngestScreen, predicting
from visiontune.results.use.evaluation import Evaluation, Labelled, evaluation
from visiontune.results.use.evaluation_of_many import evaluation_of_many
from visiontune.results.use.find_classifier import Trained, find_classifier
from visiontune.results.use.labelled_pictures import keys_of, labelled, read_as_trained, refuse_making
from visiontune.results.use.predictions import Predictions
from visiontune.spec.declarations.call_ranges import MANY, refuse_outside
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.met_test_set import note_meeting
from visiontune.tuning.study.open_storage import open_existing
from visiontune.tuning.study.read_confirmations import RACE, TESTS

Model = StudyFolder | Path


def predict(
    model: Model,
    studies: StudiesFolder,
    pictures: Any,
    *,
    classes: int | None,
    test_time: str,
    is_calibrated: bool,
    device: str,
    depth: Depth | None = None,
) -> Predictions:
    """See `visiontune.predict`."""
    refuse_outside(MANY, classes=1 if classes is None else classes)
    given = find_pictures(pictures)  # what leads nowhere is told before anything is loaded
    trained = find_classifier(model, studies, device=device, test_time=test_time, depth=depth)
    if is_calibrated:
        refuse_calibration(trained.classifier)
    first = [held(one) for one in islice(given, NUM_LOOKED_AT)]
    metadata, notes = look_first(first, trained.classifier.metadata)
    temperature = trained.temperature() if is_calibrated else 1.0
    has_many, num_classes = metadata.thresholds is not None, len(trained.classifier.class_names)
    asked, top = classes or 1, min(classes or (num_classes if has_many else 1), num_classes)
    found = predictions(trained.classifier.knowing(metadata), chain(first, given), top=top, temperature=temperature)
    return Predictions(found, top, temperature, notes, num_shown=min(asked, top), has_many=has_many)


def evaluate(
    model: Model,
    studies: StudiesFolder,
    data: Path | str | Mapping[str, Any] | None,
    words: Sequence[str],
    *,
    is_skipping: bool,
    test_time: str,
    is_calibrated: bool,
    device: str,
    depth: Depth | None = None,
) -> Evaluation:
    """See `visiontune.evaluate`."""
    if data is None and (words or is_skipping or depth is not None):
        raise UserError("overrides, skip_unknown and depth are for other data than the validation pictures: name them")
    said = [*words, *(data if isinstance(data, Mapping) else ())]
    refuse_making(said)
    section = None if data is None else section_of(data, words, "DATA")
    trained = find_classifier(model, studies, device=device, test_time=test_time, depth=depth)
    if is_calibrated:
        refuse_calibration(trained.classifier)
    notes: list[str] = []
    if section is not None:
        section, notes = read_as_trained(section, keys_of(said), trained.classifier.metadata.recipe.data)
    found = _validation(trained) if section is None else labelled(trained, section, is_skipping=is_skipping)
    found = replace(found, notes=(*notes, *found.notes))
    if found.has_test and isinstance(model, StudyFolder):
        found = replace(found, notes=(*found.notes, _count_meeting(model)))
    if (at_K := trained.classifier.metadata.thresholds) is not None:
        return evaluation_of_many(trained.classifier.class_names, found, at_K)
    return evaluation(trained.classifier.class_names, found, trained.temperature() if is_calibrated else 1.0)


def _count_meeting(folder: StudyFolder) -> str:
    """The winner has met its search's test split once more, which the study counts; what is to be said of it."""
    try:
        with driver_lock(folder):  # a driver at work would count beside it
            storage = open_existing(folder)
            before = storage.attributes()
            meeting = {"trial": before.get(RACE, {}).get("winner"), "networks": [folder.winner_weights.name], "kept": "evaluated"}
            note_meeting(storage, meeting)
            num = len(storage.attributes()[TESTS])
    except UserError as error:
        return f"that the winner has met the test split here is not counted: {error}"
    return f"the study counts {num} meetings of a winner with the test split, with this one"


def _validation(trained: Trained) -> Labelled:
    store = trained.store()
    refuse_other_classes(trained.classifier, store)
    with IngestScreen.of(True) as screen:
        tell = partial(predicting, num=len(store.val_idx))
        logits_NK, label_N = split_logits(trained.classifier, store, store.val_idx, lambda at: screen.tell(tell(at)))
    notes = (TRAINED_ON,) if trained.classifier.metadata.use_val else ()
    if store.label_sets is not None:
        notes = (CHOSEN_ON, *notes)
    return Labelled(logits_NK, label_N, "the validation pictures", notes, sets=store.label_sets)
