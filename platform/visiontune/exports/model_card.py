"""The page beside every export: what the model is of, how good it is and how that is known, where it ends, how to load it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.data.file_names import printable
from visiontune.data.picture.depth import DEEP
from visiontune.data.picture.frame import WORDS
from visiontune.errors import plural
from visiontune.inference.classifier import Classifier
from visiontune.inference.intervals import mean_interval
from visiontune.inference.split_logits import TRAINED_ON
from visiontune.spec.declarations.image_size import both_sides
from visiontune.spec.yaml.yaml_writer import to_yaml

_MARKS = re.compile(r"([\\`*\[\]|])")
"""Of Markdown, within a line; html.escape has the rest."""


@dataclass(frozen=True)
class Confirmed:
    """One training of the winner on a seed of its own: the objective on val, `test_metric` on the test if it met it."""

    seed: int
    val_value: float
    test_value: float | None


@dataclass(frozen=True)
class Origin:
    """What a study knows of its winner; a file of weights alone knows nothing of it, and has the defaults."""

    study: str = ""
    trial: int = 0
    metric: str = "val_top1"
    search_value: float | None = None
    num_trials: int = 0
    confirmed: tuple[Confirmed, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Pictures by split: train, val and test."""
    notes: tuple[str, ...] = ()
    """What became of the winner's weights, and how often the test split was met."""
    test_metric: str = "test_top1"


@dataclass(frozen=True)
class Written:
    """What was exported. `val_top1` before and after, where the form changes the network."""

    form: str
    file: str
    precision: str = "fp32"
    temperature: float = 1.0
    val_top1: tuple[float, float] | None = None
    snippet: str = ""


def model_card(classifier: Classifier, origin: Origin, written: Written) -> str:
    """Markdown."""
    parts = [
        f"# {origin.study or written.file}: {plural(len(classifier.class_names), 'class')} by {classifier.recipe.model['name']}",
        *_use(classifier, written),
        *_data(classifier, origin),
        *_figures(origin, written),
        *_limits(classifier, written),
        "## Recipe",
        f"Fingerprint {classifier.recipe.fingerprint}. Saved as a file, `visiontune train FILE.yaml` trains it again.",
        f"```yaml\n{to_yaml(classifier.recipe.to_dict()).strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def input_of(classifier: Classifier) -> str:
    """What a graph takes, in words."""
    kind = "grey" if classifier.form.channels == 1 else "RGB"
    return f"uint8 (number, height, width, {classifier.form.channels}), {kind} 0 to 255, upright, any number and size"


def _use(classifier: Classifier, written: Written) -> Iterator[str]:
    form = classifier.form
    yield f"`{written.file}` ({written.form}, {written.precision}), written by visiontune."
    yield "## How to load it"
    yield f"```python\n{written.snippet}\n```"
    if written.form in ("onnx", "torch"):
        output = "softmax makes probabilities of them" if classifier.metadata.thresholds is None else "sigmoids are probabilities"
        yield f"Input: {input_of(classifier)}. Resizing and preprocessing are inside. Output: logits; {output}."
    if (at_K := classifier.metadata.thresholds) is not None:
        listed = ", ".join(f"{_plain(name)} {at:.3g}" for name, at in zip(classifier.class_names, at_K, strict=True))
        yield f"A picture may have several classes. One is said from this probability on (best F1 on validation pictures): {listed}."
    first = f", first made {both_sides(form.stored_size)}" if form.is_large else ""
    kind = "grey" if form.channels == 1 else "RGB"
    yield f"A picture becomes {both_sides(form.image_size)} pixels, {kind}: {WORDS[form.rule]}{first} (frame {form.rule})."
    if form.depth != DEEP:
        yield f"Of files with more than 8 bits, values from {form.low:,} to {form.high:,} become 0 to 255."
    elif classifier.metadata.depth is None:
        yield "Its training pictures had 8 bits a channel: of files with more, map the range that they have to 0 to 255 first."


def _data(classifier: Classifier, origin: Origin) -> Iterator[str]:
    data = classifier.recipe.data
    yield "## Data"
    counts = ", ".join(f"{number:,} {split}" for split, number in origin.counts.items())
    yield f"Source: {data['source']}{' ' + _plain(data['path']) if data.get('path') else ''}. Pictures: {counts or 'not counted'}."
    yield "Classes by number: " + ", ".join(f"{number} {_plain(name)}" for number, name in enumerate(classifier.class_names)) + "."


def _plain(name: Any) -> str:
    """A name as Markdown shows it: neither its own marks nor HTML, which some programs that show a card would run."""
    return _MARKS.sub(r"\\\1", html.escape(printable(str(name)), quote=False))


def _figures(origin: Origin, written: Written) -> Iterator[str]:
    yield "## Figures"
    if not origin.study:
        yield "A file of weights alone knows none."
    else:
        known = origin.search_value is not None
        value = f" {origin.metric} {origin.search_value:.4f} there, picked from many, which flatters." if known else ""
        yield f"Trial {origin.trial} of the {origin.num_trials} of study {origin.study}.{value}"
    if origin.confirmed:
        yield "\n".join(_confirmations(origin))
    if written.temperature != 1:
        yield f"Logits are divided by a temperature of {written.temperature:.4g}, fitted to validation pictures."
    if written.val_top1 is not None:
        before, after = written.val_top1
        yield f"In {written.precision} val_top1 is {after:.4f}; as trained it is {before:.4f}."


def _confirmations(origin: Origin) -> Iterator[str]:
    tested = [one.test_value for one in origin.confirmed if one.test_value is not None and math.isfinite(one.test_value)]
    yield f"| trained again with seed | {origin.metric} | {origin.test_metric} |\n|---|---|---|"
    for one in origin.confirmed:
        figure = "" if one.test_value is None or not math.isfinite(one.test_value) else f"{one.test_value:.4f}"
        yield f"| {one.seed} | {one.val_value:.4f} | {figure} |"
    yield f"\n{origin.metric}: {mean_with_interval([one.val_value for one in origin.confirmed], origin.metric)}."
    if tested:
        yield f"\n{origin.test_metric}: {mean_with_interval(tested, origin.test_metric)}."
    yield from (f"\n{note[0].upper()}{note[1:]}." for note in origin.notes)


def mean_with_interval(values: list[float], metric: str) -> str:
    """The mean over seeds, with Student's 95 % interval where there are two or more.

    >>> mean_with_interval([0.5, 0.6, 0.7], "val_top1")
    'mean 0.6000 over 3 seeds, 95 % interval 0.3516 to 0.8484'
    """
    mean, interval = sum(values) / len(values), mean_interval(values, metric)
    if interval is None:
        return f"{mean:.4f} with one seed, so no interval"
    return f"mean {mean:.4f} over {plural(len(values), 'seed')}, 95 % interval {interval[0]:.4f} to {interval[1]:.4f}"


def _limits(classifier: Classifier, written: Written) -> Iterator[str]:
    yield "## Limits"
    trained_on = [f"{TRAINED_ON[0].upper()}{TRAINED_ON[1:]}."] if classifier.metadata.use_val else []
    has_one = classifier.metadata.thresholds is None
    lines: list[Any] = [
        *trained_on,
        *(["Every picture is given one of these classes, also one that shows none of them."] if has_one else []),
        "The figures hold for pictures that come as these did; the interval is over seeds of training, not over other pictures.",
    ]
    if written.temperature == 1:
        lines.append("Probabilities are not calibrated.")
    if classifier.arithmetic.precision not in ("fp32", written.precision):
        lines.append(f"It was trained and evaluated in {classifier.arithmetic.precision}, and is exported in {written.precision}.")
    if "Image.BILINEAR" in written.snippet:
        lines.append("The lines above resize with Pillow, whose pixels differ a little from those of training.")
    yield "\n".join(f"- {line}" for line in lines)
