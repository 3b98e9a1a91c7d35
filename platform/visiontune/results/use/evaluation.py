"""How well a trained network does on labelled pictures: figures with an interval, classes, confusions, calibration."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from visiontune.data.file_names import printable
from visiontune.data.label_sets import Sets
from visiontune.errors import UserError, plural
from visiontune.filesystem.given_paths import path_from
from visiontune.inference.calibration import Reliability, plot_reliability, reliability
from visiontune.inference.intervals import wilson_interval
from visiontune.inspection.confusion import class_table, count_confusion
from visiontune.results.use.class_table import class_lines
from visiontune.training.class_figures import ClassTable
from visiontune.training.torch_metrics import FullMetrics

_NUM_CONFUSIONS = 10


@dataclass(frozen=True)
class Labelled:
    """What a network gave for labelled pictures: (N, K) logits, (N,) numbers of its classes, what they are, and what is to be said.

    `has_test`: pictures of its search's test split are among them. Labels number the sets of classes `sets` where pictures have several.
    """

    logits_NK: Tensor
    label_N: NDArray[np.int64]
    what: str
    notes: tuple[str, ...] = ()
    has_test: bool = False
    sets: Sets | None = None


@dataclass(frozen=True)
class Confusion:
    """`num` pictures of class `true` were taken for class `taken`."""

    true: str
    taken: str
    num: int


@dataclass(frozen=True)
class Evaluation:
    """Figures over `num_pictures`, `what` they are, and `notes` on them. `print(evaluation)` is all of it.

    `metrics` are top1, top5, loss (mean cross-entropy), balanced_accuracy (mean recall of the classes that occur), macro_f1 and
    calibration_error, loss and error of logits / `temperature`. `top1_interval` is Wilson's of 95 %. `confusions` are the most frequent.
    Where pictures have several classes `metrics` are map, macro_f1, micro_f1 and loss, and there is no interval, confusion or calibration.
    """

    what: str
    num_pictures: int
    metrics: dict[str, float]
    top1_interval: tuple[float, float] | None
    classes: ClassTable = field(repr=False)
    confusions: tuple[Confusion, ...] = field(repr=False)
    reliability: dict[str, Reliability] = field(repr=False)
    temperature: float = 1.0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can carry it."""
        content = asdict(self) | {"classes": self.classes.to_dict()}
        content["metrics"] = {name: value if math.isfinite(value) else None for name, value in self.metrics.items()}
        return content | {"reliability": {name: one.to_dict() for name, one in self.reliability.items()}}

    def write_diagram(self, path: Path | str) -> None:
        """Write the reliability diagram as a PNG. Raises UserError for another kind of file or one that can't be written."""
        path = path_from(path, "a reliability diagram")
        if not self.reliability:
            raise UserError("a reliability diagram is of probabilities of which one class is right, but the pictures have several")
        if path.suffix != ".png":
            raise UserError(f"a reliability diagram is a picture, such as reliability.png, but got {str(path)!r}")
        try:
            plot_reliability(self.reliability, path)
        except OSError as error:
            raise UserError(f"the diagram needs a folder that can be written, but {path}: {error.strerror or error}") from error

    def lines(self, width: int | None = None) -> list[str]:
        """Lines for people, tables cut at `width` characters."""
        left_out = ("top1", "top5") if len(self.classes.classes) <= 5 else ("top1",)  # with so few top5 leaves out the last one only
        rest = " ".join(f"{name}={value:.4g}" for name, value in self.metrics.items() if name not in left_out)
        said = [f"{plural(self.num_pictures, 'picture')}: {self.what}", *(f"note: {note}" for note in self.notes)]
        if self.top1_interval is None:
            return [*map(printable, [*said, rest]), *class_lines(self.classes, width)]
        low, high = self.top1_interval
        said.append(f"top1={self.metrics['top1']:.4f} (95 % interval {low:.4f} to {high:.4f}) {rest}")
        if self.temperature != 1.0:
            before = self.reliability["as trained"].error
            said.append(f"temperature={self.temperature:.3f} brings the calibration error from {before:.4f} to {self.error:.4f}")
        pairs = ", ".join(f"{one.true} as {one.taken} ({one.num})" for one in self.confusions)
        most = [f"most frequent mistakes: {pairs}"] if pairs else []
        return [*map(printable, said), *class_lines(self.classes, width), *map(printable, most)]

    @property
    def error(self) -> float:
        """The expected calibration error, at the temperature."""
        return self.metrics["calibration_error"]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def evaluation(class_names: tuple[str, ...], found: Labelled, temperature: float = 1.0) -> Evaluation:
    """All figures of what was found."""
    labels, z_NK = torch.from_numpy(found.label_N), found.logits_NK / temperature
    full = FullMetrics(len(class_names), torch.device("cpu"))
    full.update(z_NK, labels)
    is_right_N = found.logits_NK.argmax(1) == labels
    loss, num_right, num = F.cross_entropy(z_NK, labels).item(), int(is_right_N.sum()), len(labels)
    more = full.compute(is_finite=math.isfinite(loss))
    metrics = {"top1": num_right / num, "top5": more["top5"], "loss": loss, "balanced_accuracy": more["macro_recall"]}
    metrics |= {name: more[name] for name in ("macro_f1", "calibration_error")}
    counted = count_confusion(class_names, found.label_N, found.logits_NK.argmax(1).numpy())
    confusions = tuple(Confusion(pair.true, pair.taken, pair.count) for pair in counted.pairs[:_NUM_CONFUSIONS])
    diagrams = {"as trained": reliability(found.logits_NK, found.label_N)}
    if temperature != 1.0:
        diagrams["calibrated"] = reliability(found.logits_NK, found.label_N, temperature)
    interval = wilson_interval(num_right, num)
    return Evaluation(found.what, num, metrics, interval, class_table(counted), confusions, diagrams, temperature, found.notes)
