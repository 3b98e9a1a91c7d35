"""Which classes a network takes for which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visiontune.errors import plural
from visiontune.inspection.answers import Answers
from visiontune.inspection.figure import Picture, new_figure, pixels_of
from visiontune.inspection.mistakes import sheet_labels
from visiontune.training.class_figures import ClassTable

MOST_CLASSES = 25
"""In the picture: of more, those that are confused most."""


@dataclass(frozen=True)
class ConfusedPair:
    """`count` of the `num` pictures of class `true` are taken for class `taken`."""

    true: str
    taken: str
    count: int
    num: int


@dataclass(frozen=True)
class Confusion:
    """`count_KK[i, j]` pictures of class i are taken for class j."""

    class_names: tuple[str, ...]
    count_KK: NDArray[np.int64]

    @property
    def num_wrong(self) -> int:
        """Of all classes."""
        return int(self.count_KK.sum() - np.trace(self.count_KK))

    @property
    def pairs(self) -> tuple[ConfusedPair, ...]:
        """Every pair of classes that is confused, the most pictures first, of equally many the larger share of the class."""
        num_K = self.count_KK.sum(1)
        places = [(i, j) for i, j in np.argwhere(self.count_KK).tolist() if i != j]
        places.sort(key=lambda place: (-self.count_KK[place], num_K[place[0]], place))
        return tuple(ConfusedPair(self.class_names[i], self.class_names[j], int(self.count_KK[i, j]), int(num_K[i])) for i, j in places)


def confusion(answers: Answers) -> Confusion:
    """Counted over the answers."""
    return count_confusion(answers.class_names, answers.labels_N, answers.predicted_N)


def count_confusion(class_names: tuple[str, ...], label_N: NDArray[np.int64], predicted_N: NDArray[np.int64]) -> Confusion:
    """Of N labels and predicted classes, by their numbers."""
    count_KK = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(count_KK, (label_N, predicted_N), 1)
    return Confusion(class_names, count_KK)


def class_table(found: Confusion) -> ClassTable:
    """Precision, recall and F1 of each class; 0 where a class has no picture or is never said."""
    right_K, num_K, said_K = np.diag(found.count_KK), found.count_KK.sum(1), found.count_KK.sum(0)
    columns = (right_K / np.maximum(said_K, 1), right_K / np.maximum(num_K, 1), 2 * right_K / np.maximum(num_K + said_K, 1))
    precision, recall, f1 = (tuple(column.tolist()) for column in columns)
    return ClassTable(found.class_names, precision, recall, f1, tuple(num_K.tolist()), tuple(map(tuple, found.count_KK.tolist())))


def confusion_lines(found: Confusion, num_pairs: int = 8) -> list[str]:
    """At most ten lines: how many are wrong, and the pairs that are confused most."""
    num, wrong = int(found.count_KK.sum()), found.num_wrong
    lines = [f"{wrong:,} of {num:,} validation pictures are wrong" + (f" ({wrong / num:.1%}), most often" if wrong else "")]
    lines += [f"  {pair.true} taken for {pair.taken}: {pair.count:,} of {pair.num:,}" for pair in found.pairs[:num_pairs]]
    if (left := len(found.pairs) - num_pairs) > 0:
        lines.append(f"  and {left:,} more pairs, {sum(pair.count for pair in found.pairs[num_pairs:]):,} pictures")
    return lines


def confusion_picture(found: Confusion) -> Picture:
    """True classes downwards, predicted ones across; colour is the share of the true class. Of over 25 classes those confused most."""
    shown = _most_confused(found, MOST_CLASSES)
    count_SS = found.count_KK[np.ix_(shown, shown)]
    share_SS = count_SS / np.maximum(found.count_KK.sum(1)[shown, None], 1)
    side = max(4.5, 0.42 * len(shown) + 2.2)
    figure = new_figure(side, side)
    axes = figure.subplots()
    wrong_SS = np.where(np.eye(len(shown), dtype=bool), 0, share_SS)
    axes.imshow(np.where(np.eye(len(shown), dtype=bool), np.nan, share_SS), cmap="Reds", vmin=0, vmax=max(0.05, wrong_SS.max()))
    for (row, column), count in np.ndenumerate(count_SS):
        if count:
            is_dark = row != column and share_SS[row, column] > 0.6 * max(0.05, wrong_SS.max())
            colour = "0.55" if row == column else "white" if is_dark else "black"
            axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=colour)
    labels = sheet_labels(found.class_names)
    names = [labels[found.class_names[k]] for k in shown]
    short = [name if len(name) <= 16 else f"{name[:15]}…" for name in names]
    axes.set_xticks(range(len(shown)), short, rotation=90 if max(map(len, short)) > 3 else 0, fontsize=8)
    axes.set_yticks(range(len(shown)), short, fontsize=8)
    left = len(found.class_names) - len(shown)
    more = f"\n{plural(left, 'class')} that are confused less are left out" if left else ""
    axes.set(xlabel="taken for", ylabel="class", title=f"validation pictures; colour: share of the class{more}")
    axes.title.set_fontsize(10)
    return pixels_of(figure)


def _most_confused(found: Confusion, most: int) -> list[int]:
    """Classes in their order; those of the most wrong answers, given or got, where there are too many."""
    num = len(found.class_names)
    if num <= most:
        return list(range(num))
    wrong_KK = found.count_KK - np.diag(np.diag(found.count_KK))
    part_K = wrong_KK.sum(0) + wrong_KK.sum(1)
    return sorted(sorted(range(num), key=lambda k: (-part_K[k], k))[:most])
