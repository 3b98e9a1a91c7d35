"""Pictures that may have a wrong label: confident learning (Northcutt et al. 2021) by cleanlab.

It takes probabilities of a network that was not trained on the pictures: what one has memorised says that every label is right. So a
winner is asked of the validation pictures only; on training pictures answer networks that are trained without them (out_of_fold.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from visiontune.augmentation.sheet_drawing import Tile, draw_gallery
from visiontune.inspection.answers import Answers
from visiontune.inspection.figure import Picture
from visiontune.inspection.mistakes import MOST_ON_SHEET, Mistake, mistake_of, short_name

FEWEST = 5
"""Pictures of a class: with fewer its threshold is chance, and the class is left out."""


def label_issues(answers: Answers) -> tuple[Mistake, ...]:
    """Those whose label the network doubts, the least probable label first; `taken` is what it takes them for.

    Pictures of classes with fewer than five are not judged. The answers must be on pictures that the network was not trained on.
    """
    from cleanlab.filter import find_label_issues

    num_K = np.bincount(answers.labels_N, minlength=len(answers.class_names))
    judged_K = np.flatnonzero(num_K >= FEWEST)
    if len(judged_K) < 2:
        return ()
    places = np.flatnonzero(np.isin(answers.labels_N, judged_K))
    probability_MJ = answers.probability_NK[np.ix_(places, judged_K)].astype(np.float64)
    probability_MJ /= probability_MJ.sum(1, keepdims=True)
    labels_M = np.searchsorted(judged_K, answers.labels_N[places])
    order = find_label_issues(labels_M, probability_MJ, return_indices_ranked_by="self_confidence", n_jobs=1)
    return tuple(mistake_of(answers, int(places[number])) for number in order)


def label_lines(
    found: Sequence[Mistake], name_of: Mapping[int, str], asked: Answers, study: str, num_folds: int = 0, most: int = 10
) -> list[str]:
    """What was asked, of how many networks where not of the winner's of `study` alone, and the first `most` with their names."""
    kind = "training and validation" if num_folds else "validation"
    who = (
        f"Each was asked of one of {num_folds} networks, which was not trained on it; they are right on {asked.top1:.0%} of them"
        if num_folds
        else f"Training pictures are not asked, as it was trained on their labels; `visiontune inspect {study} --folds 3` asks three others"
    )
    lines = [f"{len(found):,} of {len(asked.rows_N):,} {kind} pictures may have a wrong label (cleanlab). {who}"]
    lines += [
        f"  labelled {one.true} ({one.true_probability:.3f}), rather {one.taken} ({one.probability:.3f}): {name_of[one.row]}"
        for one in found[:most]
    ]
    return lines + ([f"  and {len(found) - most:,} more"] if len(found) > most else [])


def label_sheet(
    title: str, found: Sequence[Mistake], images: Mapping[int, Picture], name_of: Mapping[int, str], label_of: Mapping[str, str]
) -> Picture | None:
    """The first 40, eight in a row; None where there is none."""
    tiles = [
        Tile(images[one.row], [f"label {label_of[one.true]}", f"rather {label_of[one.taken]}", short_name(name_of[one.row])], num_strong=2)
        for one in found[:MOST_ON_SHEET]
    ]
    return np.asarray(draw_gallery(title, tiles)) if tiles else None
