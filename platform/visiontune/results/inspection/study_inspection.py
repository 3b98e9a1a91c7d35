"""`visiontune inspect`: what the winner of a study sees, as lines and as a folder of pictures with an index."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.file_names import printable
from visiontune.data.ingest.progress import Progress
from visiontune.data.prepare import prepare
from visiontune.data.row_names import row_names
from visiontune.data.store.store import Store
from visiontune.errors import UserError, nearest
from visiontune.filesystem.atomic_write import try_out, write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.split_logits import TRAINED_ON, refuse_other_classes
from visiontune.results.inspection.inspection_views import NONE_OF_MANY, TITLES, VIEWS, Subject, View, view_of
from visiontune.results.use.trained_network import winner_classifier
from visiontune.spec.declarations.call_ranges import FOLDS, refuse_outside
from visiontune.spec.plugins import in_use
from visiontune.training.train_recipe import find_device

if TYPE_CHECKING:
    from visiontune.inference.classifier import Classifier
    from visiontune.inspection.figure import Picture

INDEX, OUT_OF_FOLD = "index.md", "out_of_fold"
Parts = tuple[int, Path]
"""How many networks are trained for the view labels, and the folder in which their answers are kept."""


@dataclass(frozen=True)
class Inspection:
    """`views` in the order in which they were asked for; their pictures and an index lie in `folder`. `print` gives the short answers.

    `note`: what is to be known of all of them, where there is something.
    """

    study: str
    folder: Path
    views: tuple[View, ...]
    note: str = ""

    def __str__(self) -> str:
        lines = [line for view in self.views for line in (f"{view.title}:", *(f"  {said}" for said in _said(view)))]
        return "\n".join([*([f"note: {self.note}"] if self.note else []), *lines])

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can carry it; maps and pictures are files of `folder`."""
        return {"study": self.study, "folder": str(self.folder), "note": self.note, "views": [one.to_dict() for one in self.views]}


def inspect_study(
    folder: StudyFolder,
    cache: Path,
    *,
    only: Sequence[str] | None = None,
    out: Path | None = None,
    folds: int | None = None,
    device: str = "auto",
    tell: Callable[[Progress], None] = lambda progress: None,
) -> Inspection:
    """Look at the winner's network on the validation pictures, and write the pictures of `only` these views, else of all, to `out`.

    With `folds` the view labels is of the training pictures too (`out_of_fold`). The test split is not touched. Raises UserError for a
    study without a winner's weights, an unknown view, and a folder that can't be written.
    """
    chosen = views_of(only)
    if folds is not None:
        refuse_outside(FOLDS, folds=folds)
        if "labels" not in chosen:
            raise UserError(f"folds are for the view labels, but only names {', '.join(chosen)}")
    to = folder.inspection if out is None else out
    classifier = winner_classifier(folder, cache).to(find_device(device))
    try:
        try_out(to / INDEX)
        parts = (folds, to / OUT_OF_FOLD) if folds else None
        views = _looked_at(folder, classifier, cache, chosen, tell, parts)
        return _written(Inspection(folder.name, to, views, TRAINED_ON if classifier.metadata.use_val else ""))
    except OSError as error:
        raise UserError(f"the folder {to} must take the pictures, but: {error.strerror or error}; `out=FOLDER` names another") from error


def look_at(
    folder: StudyFolder, cache: Path, *, device: str = "auto", tell: Callable[[Progress], None] = lambda progress: None
) -> tuple[View, ...]:
    """All views, nothing written. Raises UserError for a study without a winner's weights, and for pictures that can't be read."""
    return _looked_at(folder, winner_classifier(folder, cache).to(find_device(device)), cache, tuple(VIEWS), tell)


def keep_views(folder: StudyFolder, views: Iterable[View], note: str = "") -> list[Path]:
    """Write them as `inspect_study` does, and give the files of their pictures. Raises OSError."""
    found = _written(Inspection(folder.name, folder.inspection, tuple(views), note))
    return [found.folder / name for view in found.views for name in view.pictures or {}]


def views_of(only: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the views that are asked for, all of them for None. Raises UserError."""
    if only is None:
        return tuple(VIEWS)
    if isinstance(only, str) or not isinstance(only, Iterable):
        near = f"; nearest is [{only!r}]" if only in VIEWS else ""
        raise UserError(f"only is a list of views, but got {only!r}{near}")
    unknown = [name for name in only if name not in VIEWS]
    if unknown or not only:
        given = repr(unknown[0]) if unknown else "none"
        raise UserError(f"only names views, but got {given}; {nearest(unknown[0] if unknown else '', VIEWS)}")
    return tuple(dict.fromkeys(only))


def _subject(study: str, classifier: Classifier, cache: Path, tell: Callable[[Progress], None], parts: Parts | None) -> Subject:
    from visiontune.inspection.answers import answers
    from visiontune.inspection.out_of_fold import out_of_fold

    data = classifier.recipe.data
    store = Store.open(prepare(data, cache, tell=tell))
    if parts is not None and store.label_sets is not None:
        raise UserError(f"folds are for the view labels, which is left out here: {NONE_OF_MANY}")
    refuse_other_classes(classifier, store)
    found = answers(classifier, store, store.val_idx, lambda done: tell(Progress("asking", done, len(store.val_idx), 0, 0)))
    subject = Subject(study, classifier, store, found, dict(enumerate(row_names(data, store))))
    if parts is None:
        return subject
    return replace(subject, num_folds=parts[0], out_of_fold=partial(out_of_fold, classifier, store, *parts, tell))


def _looked_at(
    folder: StudyFolder,
    classifier: Classifier,
    cache: Path,
    names: Sequence[str],
    tell: Callable[[Progress], None],
    parts: Parts | None = None,
) -> tuple[View, ...]:
    views = []
    with in_use(classifier.recipe.plugins):
        subject = _subject(folder.name, classifier, cache, tell, parts)
        for number, name in enumerate(names):
            tell(Progress(name, number, len(names), 0, 0))
            views.append(view_of(subject, name))
    return tuple(views)


def _written(found: Inspection) -> Inspection:
    """The pictures, then the index that names them."""
    for view in found.views:
        for name, picture in (view.pictures or {}).items():
            write_whole(found.folder / name, _png(picture))
    write_whole(found.folder / INDEX, "\n".join(_index(found)) + "\n")
    return found


def _index(found: Inspection) -> list[str]:
    where = "On the validation pictures, where nothing else is said; the test split was not touched."
    lines = [f"# What the winner of {found.study} sees", "", where]
    lines += ["", f"Note: {found.note}."] if found.note else []
    for view in found.views:
        lines += ["", f"## {TITLES[view.name]}", "", *(f"    {said}" for said in _said(view))]
        lines += [line for name in view.pictures or {} for line in ("", f"![{view.title}]({name})")]
    return lines


def _said(view: View) -> tuple[str, ...]:
    return (f"left out: {view.lacks}",) if view.lacks else tuple(map(printable, view.lines))


def _png(picture: Picture) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
