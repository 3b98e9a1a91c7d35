"""Another labelled set before a trained network: its classes matched by name, its pictures decoded as in training, repeats told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.data.label_sets import Sets, pairs_of
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.digest import BLOCK_BYTES, Digests, digests_of
from visiontune.data.prepare import source_of, with_defaults
from visiontune.data.source import Source
from visiontune.data.store.short_report import notes_of_source
from visiontune.data.store.store import Store
from visiontune.errors import UserError, near_names, plural
from visiontune.inference.find_pictures import Given
from visiontune.inference.first_look import NUM_LOOKED_AT, look_first
from visiontune.inference.predict import Answers, batches
from visiontune.inference.read_ahead import decoded
from visiontune.results.screens.ingest_progress import IngestScreen, predicting
from visiontune.results.use.evaluation import Labelled
from visiontune.results.use.find_classifier import Trained
from visiontune.spec.declarations.declare import Arg
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.space.sections import DATA
from visiontune.spec.tables.several_labels import MANY, ONE

_PARTS = ("test", "val", "train")
_MOST_ASKED = 100_000
"""Training pictures that are compared with: reading all of a large store takes longer than the evaluation."""
_MOST_TOLD = 5
_OF_FOLDERS = ("label_from", "label_pattern", "class_depth")
"""Keys of a folder that say where a picture's class stands; one that is said leaves none of the others open."""


def labelled(trained: Trained, section: Mapping[str, Any], *, is_skipping: bool) -> Labelled:
    """What the network gives for the pictures of a section `data`.

    Raises UserError for classes that it does not know, unless they are skipped, and where nothing is left.
    """
    source, known = source_of(with_defaults(section)), trained.classifier.class_names
    part = next(part for part in _PARTS if part in source.labels())
    label_N = source.labels()[part]
    number_C = np.array([known.index(name) if name in known else -1 for name in source.class_names])
    refuse_other_kind(source.label_sets, trained.classifier.metadata.thresholds)
    given_N, (label_N, sets) = label_N, of_network(label_N, source.label_sets, number_C)
    left_out = what_is_left_out(given_N, label_N, source.label_sets, number_C)
    said = [*notes_of_source(source), *class_notes(source.class_names, known, left_out, is_skipping=is_skipping)]
    row_N = np.flatnonzero(label_N >= 0)
    if section["max_pictures"] is not None:
        row_N = row_N[:: -(-len(row_N) // section["max_pictures"])]  # evenly spaced, as files come class by class
    if len(row_N) == 0:
        raise UserError(f"no picture of the {part} part has a class that the network knows ({', '.join(known[:8])})")
    looked_at_N = row_N[np.unique(np.linspace(0, len(row_N) - 1, NUM_LOOKED_AT).astype(int))]
    metadata, notes = look_first(list(_given(source, part, looked_at_N)), trained.classifier.metadata)
    said += notes
    with IngestScreen.of(True) as screen:
        given, classifier = _given(source, part, row_N), trained.classifier.knowing(metadata)
        found = _answers(classifier, given, lambda at, bad: screen.tell(predicting(at, len(row_N), bad)))
    if found.problems:
        said.append(f"{plural(len(found.problems), 'picture')} could not be used: {'; '.join(list(found.problems.values())[:_MOST_TOLD])}")
    if len(found.problems) == len(row_N):
        raise UserError(f"none of the {plural(len(row_N), 'picture')} can be used: {said[-1].partition(': ')[2]}")
    good_N = np.setdiff1d(np.arange(len(row_N)), list(found.problems))
    whose = f"the {part} part of {section['source']}" if len(source.labels()) > 1 else section["source"]
    repeats, has_test = _repeat_notes(trained, found.digest_N2)
    return Labelled(found.logits_NK, label_N[row_N[good_N]], whose, (*said, *repeats), has_test, sets)


def refuse_other_kind(sets: Sets | None, thresholds: Sequence[float] | None) -> None:
    """Raise UserError for pictures with one class, of a network for several, and the other way round."""
    if (sets is None) != (thresholds is None):
        rule = "pictures have several classes where the network was trained so"
        theirs, nearest = ("one", MANY) if sets is None else (MANY, ONE)
        raise UserError(f"{rule}, but labels is {theirs}; nearest is labels={nearest}")


def of_network(label_N: NDArray[np.int64], sets: Sets | None, number_C: NDArray[np.int64]) -> tuple[NDArray[np.int64], Sets | None]:
    """Labels as the network counts classes, -1 where it knows none that the picture has; of a set those that it knows."""
    if sets is None:
        return number_C[label_N], None
    known = tuple(tuple(sorted(number for number in number_C[[*one]].tolist() if number >= 0)) for one in sets)
    is_kept_S = np.array([bool(left) or not one for one, left in zip(sets, known, strict=True)])
    return np.where(is_kept_S[label_N], label_N, -1), known


def what_is_left_out(given_N: NDArray[np.int64], label_N: NDArray[np.int64], sets: Sets | None, number_C: NDArray[np.int64]) -> str:
    """What becomes of classes that the network does not know, in words."""
    num = int((label_N < 0).sum())
    if sets is None:
        return f"left out are {plural(num, 'picture')} of classes that the network does not know"
    num_labels = int((number_C[pairs_of(given_N, sets)[1]] < 0).sum())
    return f"left out are {plural(num_labels, 'label')} that the network does not know, and {plural(num, 'picture')} that had no other"


@dataclass(frozen=True)
class _Answers:
    """Of the pictures that could be used; `problems` by the place of the others."""

    logits_NK: Tensor
    digest_N2: Digests
    problems: dict[int, str]


def _answers(classifier: Answers, given: Iterator[Given], tell: Callable[[int, int], object]) -> _Answers:
    logits, digests, problems = [torch.zeros(0, len(classifier.class_names))], [np.zeros((0, 2), np.uint64)], dict[int, str]()
    at = 0
    for some in batches(decoded(given, classifier), classifier):
        for one in some:
            problems |= {at + place: f"{one.names[place]} {problem}" for place, problem in one.problems.items()}
            at += len(one.names)
        tell(at, len(problems))
        if images := [one.images_NHWC for one in some if len(one.images_NHWC)]:
            images_NHWC = np.concatenate(images)
            logits.append(classifier.logits(images_NHWC))
            digests.append(digests_of(images_NHWC))
    return _Answers(torch.cat(logits), np.concatenate(digests), problems)


def keys_of(given: Mapping[str, Any] | Sequence[str]) -> set[str]:
    """Of the section `data`, out of a mapping or out of words."""
    return {key.partition("=")[0].removeprefix("data.") for key in given}


def read_as_trained(section: Mapping[str, Any], said: set[str], data: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The section with what nobody `said` of how labels are read as in the `data` that the network was trained on, and a note of that."""
    is_same = data["source"] == section["source"]
    open_keys = {"labels"} - said if is_same or section["source"] != "folder" else set[str]()
    if is_same and not said & {*_OF_FOLDERS}:
        open_keys |= {*_OF_FOLDERS}
    taken = {key: data[key] for key in sorted(open_keys & {*section}) if data.get(key) not in (None, section[key])}
    listed = ", ".join(f"{key}={value}" for key, value in taken.items())
    return {**section, **taken}, [f"labels are read as those of the training pictures: {listed}"] if taken else []


def refuse_making(given: Mapping[str, Any] | Sequence[str]) -> None:
    """Raise UserError for keys of the section `data` that say how a store is made: an evaluation makes pictures as its network has them."""
    if wrong := sorted(keys_of(given) & {name for name, field in DATA.fields.items() if isinstance(field, Arg)} - {"max_pictures"}):
        rule = "an evaluation takes what says which pictures, such as max_pictures, and makes them as the network's training did"
        raise UserError(f"{rule}, but got {', '.join(wrong)}")


def class_notes(theirs: Sequence[str], known: Sequence[str], left_out: str, *, is_skipping: bool) -> Iterator[str]:
    """What is to be said of classes that only one side has. Raises UserError for those that the network does not know, unless skipped."""
    unknown = [name for name in theirs if name not in known]
    missing = [name for name in known if name not in theirs]
    near = [near_names(name, missing or known).removeprefix("; ") for name in unknown]
    told = [f"{name!r} ({others})" if others else repr(name) for name, others in zip(unknown, near, strict=True)]
    listed = ", ".join(told[:_MOST_TOLD]) + (f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else "")
    if unknown and not is_skipping:
        rule = "classes must be those that the network knows, but it does not know"
        raise UserError(f"{rule} {listed}; rename their folders or labels, or leave them out with `skip_unknown=True`")
    if unknown:
        yield f"{left_out}: {listed}"
    if missing:
        yield f"no picture of {len(missing)} of the network's {plural(len(known), 'class')}: {', '.join(missing[:_MOST_TOLD])}"


def _given(source: Source, part: str, row_N: NDArray[np.int64]) -> Iterator[Given]:
    """Read here, one after the other; files are decoded by whoever loads them."""
    names = source.names(part)
    found: Iterator[Any] = (source.encoded or source.pictures)(part, row_N)
    for row, content in zip(row_N.tolist(), found, strict=True):
        yield Given(names[row], partial(_content, content))


def _content(content: bytes | Values | BadPicture) -> bytes | Values:
    if isinstance(content, BadPicture):
        raise content
    return content


def _repeat_notes(trained: Trained, digest_N2: Digests) -> tuple[list[str], bool]:
    """How many of them the network was trained, chosen or tested with, to the last pixel; whether any was tested with."""
    try:
        store = trained.store()
    except UserError as error:
        return [f"whether they were trained on is not known: {error}"], False
    form, size = trained.classifier.metadata.form, trained.classifier.image_size
    if (sides(store.image_size), sides(store.stored_size), store.info.channels) != (form.image_size, form.stored_size, form.channels):
        return ["whether they were trained on is not known, as the training data changed"], False
    theirs, said, has_test = _keys(digest_N2), list[str](), False
    for split, index_N in (("training", store.train_idx), ("validation", store.val_idx), ("test", store.test_idx)):
        ours, share = _split_keys(store, index_N, size)
        if num := int(np.isin(theirs, ours).sum()):
            more = f" (among {share:.0%} of those)" if share < 1 else ""
            warning = ": then the figure is no test" if split != "test" else " of the search"
            those = f"is a {split} picture" if num == 1 else f"are {split} pictures"
            said.append(f"{num:,} of the {plural(len(theirs), 'picture')} {those}{more}{warning}")
            has_test = split == "test"
    return said, has_test


def _split_keys(store: Store, index_N: NDArray[np.int64], size: ImageSize) -> tuple[NDArray[np.void], float]:
    asked_N = index_N[:: max(1, -(-len(index_N) // _MOST_ASKED))]
    step = max(1, BLOCK_BYTES // (prod(sides(size)) * store.info.channels))
    blocks = [np.ascontiguousarray(store.read(asked_N[low : low + step], size)) for low in range(0, len(asked_N), step)]
    digests = [digests_of(block) for block in blocks]
    return _keys(np.concatenate(digests or [np.zeros((0, 2), np.uint64)])), len(asked_N) / max(len(index_N), 1)


def _keys(digest_N2: Digests) -> NDArray[np.void]:
    """(N,) of 128 bits, which can be compared."""
    return np.ascontiguousarray(digest_N2).view(np.dtype((np.void, 16))).ravel()
