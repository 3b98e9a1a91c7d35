"""A study's winner, or the network of a file of weights, exported: with what the study knows of it on the card."""

from __future__ import annotations

from pathlib import Path

from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.exports.model_card import Confirmed, Origin
from visiontune.exports.write_export import SUFFIXES, Asked, Export, refuse_wrong, write_export
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.classifier import Classifier, load_weights_file
from visiontune.inference.split_logits import refuse_other_classes
from visiontune.results.tables.winner_lines import kept_lines
from visiontune.results.use.find_classifier import Trained
from visiontune.results.use.trained_network import winner_classifier
from visiontune.tuning.records.records import StudyRecord, test_figures_of
from visiontune.tuning.retraining.winner import winner_of


def export_winner(
    folder: StudyFolder, record: StudyRecord, cache: Path, form: str, out: Path | None, precision: str, *, is_calibrated: bool
) -> Export:
    """`cache` is where stores lie. Raises UserError."""
    refuse_wrong(form, out, precision, is_calibrated=is_calibrated)
    asked = Asked(form, out or Path(folder.name + SUFFIXES[form]), precision, is_calibrated)
    _refuse_overwriting(asked, folder.winner_weights)
    classifier = winner_classifier(folder, cache)
    store = _store_of(classifier, cache, is_needed=asked.needs_store)
    return write_export(classifier, asked, origin_of(record, store), store)


def export_weights(weights: Path, cache: Path, form: str, out: Path | None, precision: str, *, is_calibrated: bool) -> Export:
    """As `export_winner`, of a file of weights."""
    refuse_wrong(form, out, precision, is_calibrated=is_calibrated)
    asked = Asked(form, out or Path(weights.name.removesuffix(".safetensors") + SUFFIXES[form]), precision, is_calibrated)
    _refuse_overwriting(asked, weights)
    if kind_of(weights) is None:
        raise UserError(f"there is no file {weights}")
    classifier = load_weights_file(weights, weights.name)
    store = _store_of(classifier, cache, is_needed=True) if asked.needs_store else None
    return write_export(classifier, asked, Origin(), store)


def _refuse_overwriting(asked: Asked, weights: Path) -> None:
    if asked.out.resolve() == weights.resolve():
        raise UserError(
            f"{asked.out} is the file of the trained weights itself, which visiontune goes on to need; `out=FILE` names another"
        )


def origin_of(record: StudyRecord, store: Store | None) -> Origin:
    """What the model card says of where the winner comes from; `store` has its pictures' counts."""
    trial = winner_of(record)
    tested = tuple(Confirmed(one.seed, one.val_value, one.test_figure[1]) for one in record.confirmations if not one.failure)
    counts = {} if store is None else {"train": len(store.train_idx), "val": len(store.val_idx), "test": len(store.test_idx)}
    found = (0, None) if trial is None else (trial.number, trial.value)
    name, notes = test_figures_of(record.tested)[0], tuple(kept_lines(record))
    return Origin(record.name, found[0], record.objective.metric, found[1], len(record.trials), tested, counts, notes, f"test_{name}")


def _store_of(classifier: Classifier, cache: Path, *, is_needed: bool) -> Store | None:
    """The pictures that it was trained with; None where they are gone and only the card would have counted them."""
    try:
        store = Trained(classifier, cache).store()
        refuse_other_classes(classifier, store)
    except UserError:
        if is_needed:
            raise
        return None
    return store
