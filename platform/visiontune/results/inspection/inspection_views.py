"""The views of `visiontune inspect`: each is lines to read and pictures to look at, or the reason why this network has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from visiontune.data.store.store import Store
from visiontune.errors import plural
from visiontune.inference.classifier import Classifier
from visiontune.inspection.answers import Answers, evenly
from visiontune.inspection.attribution import attribution_sheet, attributions
from visiontune.inspection.confusion import class_table, confusion, confusion_lines, confusion_picture
from visiontune.inspection.corruptions import UNITS, robustness, robustness_lines
from visiontune.inspection.feature_maps import first_kernels, kernel_sheet, last_map, layer_maps, map_sheet, positions, stage_ends
from visiontune.inspection.feature_visualisation import of_channels, of_classes, visualisation_sheet
from visiontune.inspection.figure import Picture
from visiontune.inspection.label_issues import label_issues, label_lines, label_sheet
from visiontune.inspection.mistakes import MOST_ON_SHEET, Mistake, mistake_lines, mistake_of, mistake_sheet, mistakes, sheet_labels
from visiontune.inspection.receptive_field import field_lines, field_sheet, receptive_fields
from visiontune.results.inspection.inspection_facts import facts_of
from visiontune.results.use.class_table import class_lines

NUM_SHOWN, NUM_FIELD = 6, 32
NUM_ASCENDED, NUM_LAYERS = 8, 3
MOST_CORRUPTED = 500
_NO_MAPS = "the network has no layer that gives maps, so there is nothing to show"


@dataclass(frozen=True)
class View:
    """`lines` are the short answer, `pictures` uint8 (H, W, 3) by the name of their file; `lacks` says why there is nothing to show.

    `records` are what the lines were made of, `facts` the same as JSON can carry it.
    """

    name: str
    title: str
    lines: tuple[str, ...] = ()
    pictures: Mapping[str, Picture] | None = None
    records: tuple[Any, ...] = ()
    lacks: str = ""
    facts: tuple[Any, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON can carry it."""
        given = {"name": self.name, "title": self.title, "lines": [*self.lines], "lacks": self.lacks}
        return given | {"pictures": [*(self.pictures or {})], "facts": [*self.facts]}


@dataclass(frozen=True)
class Subject:
    """What is looked at: a network, its answers on the validation pictures, and the names of the store's rows.

    `out_of_fold` trains `num_folds` networks for answers on the training pictures too, where that was asked for.
    """

    study: str
    classifier: Classifier
    store: Store
    answers: Answers
    name_of: Mapping[int, str]
    num_folds: int = 0
    out_of_fold: Callable[[], Answers] | None = None

    @property
    def title(self) -> str:
        """The study and its network."""
        return f"{self.study}, {self.classifier.name}"

    @cached_property
    def wrong(self) -> tuple[Mistake, ...]:
        """Surest first."""
        return mistakes(self.answers)

    @cached_property
    def right(self) -> tuple[Mistake, ...]:
        """One of each of at most six classes, the one whose probability is in the middle of those of its class."""
        is_right_N = self.answers.predicted_N == self.answers.labels_N
        of_class = [np.flatnonzero(is_right_N & (self.answers.labels_N == label)) for label in range(len(self.answers.class_names))]
        found = [places[np.argsort(self.answers.confidence_N[places])[len(places) // 2]] for places in of_class if len(places)]
        return tuple(mistake_of(self.answers, int(place)) for place in evenly(np.array(found, np.int64), NUM_SHOWN))

    @cached_property
    def label_of(self) -> Mapping[str, str]:
        """What stands for each class on a sheet."""
        return sheet_labels(self.answers.class_names)

    @property
    def example(self) -> Picture:
        """The first right answer's picture; of a network that is never right the first wrong one's; of several classes the first."""
        if self.store.label_sets is not None:
            first: Picture = np.asarray(self.store.images_NHWC[self.store.val_idx[:1]])[0]
            return first
        picture: Picture = self.images((self.right or self.wrong)[:1])[0]
        return picture

    def images(self, found: Sequence[Mistake]) -> Any:
        """(N, H, W, C) their pictures."""
        return np.asarray(self.store.images_NHWC[np.array([one.row for one in found], np.int64)])

    def by_row(self, found: Sequence[Mistake]) -> dict[int, Picture]:
        """Their pictures by row."""
        return {one.row: picture for one, picture in zip(found, self.images(found), strict=True)} if found else {}


def of_confusion(subject: Subject) -> View:
    """Which classes it takes for which."""
    found = confusion(subject.answers)
    lines = (*confusion_lines(found), *class_lines(class_table(found)))
    return _view(subject, "confusion", lines, confusion_picture(found), (found,))


def of_mistakes(subject: Subject) -> View:
    """The pictures that it gets wrong, surest first."""
    found = subject.wrong
    sheet = mistake_sheet(
        f"{subject.title}: wrong answers, surest first", found, subject.by_row(found[:MOST_ON_SHEET]), subject.name_of, subject.label_of
    )
    return _view(subject, "mistakes", tuple(mistake_lines(found, subject.name_of)), sheet, found)


def of_labels(subject: Subject) -> View:
    """Pictures that may have a wrong label."""
    asked = subject.answers if subject.out_of_fold is None else subject.out_of_fold()
    found = label_issues(asked)
    sheet = label_sheet(
        f"{subject.title}: doubted labels, most doubted first",
        found,
        subject.by_row(found[:MOST_ON_SHEET]),
        subject.name_of,
        subject.label_of,
    )
    lines = label_lines(found, subject.name_of, asked, subject.study, subject.num_folds)
    return _view(subject, "labels", tuple(lines), sheet, found)


def of_corruptions(subject: Subject) -> View:
    """How much of its accuracy it keeps on corrupted pictures."""
    found = robustness(subject.classifier, subject.store, evenly(subject.store.val_idx, MOST_CORRUPTED))
    said = [f"  {name}: {', '.join(f'{value:g}' for value in values)} ({UNITS[name]})" for name, values in found.strengths.items()]
    return _view(subject, "corruptions", (*robustness_lines(found), "strengths", *said), None, (found,))


def of_filters(subject: Subject) -> View:
    """The kernels of its first convolution."""
    kernel_OKKI = first_kernels(subject.classifier)
    if kernel_OKKI is None:
        return _lacking("filters", "the network has no convolution")
    num, side, _, channels = kernel_OKKI.shape
    line = f"{num} kernels of {side} × {side} pixels and {channels} channels"
    return _view(subject, "filters", (line,), kernel_sheet(f"{subject.title}: first filters", kernel_OKKI), ())


def of_maps(subject: Subject) -> View:
    """What its layers make of a picture."""
    layers = stage_ends(subject.classifier)
    if not layers:
        return _lacking("maps", _NO_MAPS)
    found = layer_maps(subject.classifier, subject.example, layers)
    lines = tuple(f"{layer.name}: {layer.channels} maps of {positions(layer)}" for layer in layers)
    return _view(subject, "maps", lines, map_sheet(f"{subject.title}: feature maps", subject.example, found), found)


def of_attribution(subject: Subject) -> View:
    """Where in a picture it looks, for right and for wrong answers."""
    layer = last_map(subject.classifier)
    name = None if layer is None else layer.name
    right, wrong = (
        attributions(subject.classifier, subject.images(found), found, name) if found else []
        for found in (subject.right, subject.wrong[:NUM_SHOWN])
    )
    how = "occlusion alone, as no convolution gives maps for Grad-CAM" if layer is None else f"Grad-CAM of {layer.name}, and occlusion"
    line = f"{len(right)} right and {len(wrong)} wrong answers by {how}"
    return _view(
        subject,
        "attribution",
        (line,),
        attribution_sheet(f"{subject.title}: where it looks", right, wrong, subject.name_of, subject.label_of),
        (*right, *wrong),
    )


def of_receptive_fields(subject: Subject) -> View:
    """How much of a picture a position of each stage depends on."""
    images_NHWC = np.asarray(subject.store.images_NHWC[evenly(subject.store.val_idx, NUM_FIELD)])
    found = receptive_fields(subject.classifier, images_NHWC)
    if not found:
        return _lacking("receptive_field", _NO_MAPS)
    sheet = field_sheet(f"{subject.title}: receptive fields", subject.example, found)
    return _view(subject, "receptive_field", tuple(field_lines(found, subject.store.image_size)), sheet, found)


def of_visualisation(subject: Subject) -> View:
    """Pictures that excite its channels and classes most."""
    classifier, num = subject.classifier, len(subject.classifier.class_names)
    last = stage_ends(classifier)[-NUM_LAYERS:]  # the first ones show edges and colours, as their kernels do
    maps = layer_maps(classifier, subject.example, last)
    found = [of_channels(classifier, one.layer.name, one.number_C[:NUM_ASCENDED]) for one in maps]
    classes = np.unique(np.linspace(0, num - 1, min(NUM_ASCENDED, num)).round().astype(int)).tolist()
    found.append(of_classes(classifier, classes))
    line = f"{plural(sum(len(one.names) for one in found), 'picture')} by 64 steps of gradient ascent"
    sheet = visualisation_sheet(f"{subject.title}: what excites it", found, sheet_labels(classifier.class_names))
    return _view(subject, "visualisation", (line,), sheet, (*found,))


VIEWS: Mapping[str, Callable[[Subject], View]] = {
    "confusion": of_confusion,
    "mistakes": of_mistakes,
    "labels": of_labels,
    "corruptions": of_corruptions,
    "filters": of_filters,
    "maps": of_maps,
    "attribution": of_attribution,
    "receptive_field": of_receptive_fields,
    "visualisation": of_visualisation,
}
OF_MANY = ("filters", "maps", "receptive_field", "visualisation")
"""What there is to see where pictures have several classes."""

NONE_OF_MANY = "it goes by the one class of a picture, and these have several"

TITLES: Mapping[str, str] = {name: (view.__doc__ or "").rstrip(".") for name, view in VIEWS.items()}


def _view(subject: Subject, name: str, lines: tuple[str, ...], picture: Picture | None, records: tuple[Any, ...]) -> View:
    facts = tuple(facts_of(one, subject.name_of) for one in records)
    return View(name, TITLES[name], lines, {} if picture is None else {f"{name}.png": picture}, records, facts=facts)


def view_of(subject: Subject, name: str) -> View:
    """The view of that name."""
    if subject.store.label_sets is not None and name not in OF_MANY:
        return _lacking(name, NONE_OF_MANY)
    return VIEWS[name](subject)


def _lacking(name: str, reason: str) -> View:
    return View(name, TITLES[name], lacks=reason)
