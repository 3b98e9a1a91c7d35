"""What a policy does, as a sheet of pictures: each op alone at three magnitudes, the whole policy eight times, mixing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.op_ranges import OpRange, ops_of
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.sheet_drawing import Block, Picture, Row, draw_sheet, drawable
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.spec.tables.ops import LABEL_CHANGING, OPS

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

MAGNITUDES = (0.1, 0.5, 0.9)
NUM_DRAWS = 8
_PER_ROW = 1 + len(MAGNITUDES)
_SEED = 0


@dataclass(frozen=True)
class Draw:
    """One use of a whole policy: a recipe's section, the epoch it stands at of `num_epochs`, and what to call it."""

    name: str
    section: Mapping[str, Any]
    epoch: int
    num_epochs: int


@dataclass(frozen=True)
class Sample:
    """The pictures that a sheet shows, of one class each as far as there are classes."""

    images_NHWC: NDArray[np.uint8]
    index_N: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    names: tuple[str, ...]
    mean_C: NDArray[np.float32]
    std_C: NDArray[np.float32]

    @property
    def columns(self) -> list[str]:
        """Class names; a number where the typeface lacks a letter."""
        return [self.name(int(label)) for label in self.labels_N]

    def name(self, label: int) -> str:
        """As above, for one class."""
        return self.names[label] if drawable(self.names[label]) else f"class {label}"


def pick(store: Store, num: int) -> Sample:
    """Training pictures: the first ones of classes that are spread evenly over all."""
    num_classes = len(store.class_names)
    classes_K = np.unique(np.linspace(0, num_classes - 1, min(num, num_classes)).round().astype(int))
    train_N = store.train_idx
    of_class = [train_N[store.labels_N[train_N] == label] for label in classes_K.tolist()]
    places = [(turn, rows) for turn in range(num) for rows in of_class if turn < len(rows)][:num]
    index_N = np.array([rows[turn] for turn, rows in places], np.int64)
    return Sample(store.images_NHWC[index_N], index_N, store.labels_N[index_N], store.class_names, store.mean_C, store.std_C)


def make_sheet(
    title: str,
    sample: Sample,
    section: Mapping[str, Any],
    policies: Mapping[str, Sequence[Draw]],
    mixings: Sequence[Mapping[str, Any]] = (),
    notes: Mapping[str, str] | None = None,
) -> Any:
    """A Pillow picture, or None where nothing happens to pictures.

    `section` says which ops there are and may hold domains; `policies` has by name what is drawn of the whole; `mixings` are
    resolved sections; `notes` are warnings to stand beside ops. Raises UserError for what these pictures can't get.
    """
    ops = ops_of(section, sample.images_NHWC.shape[3])
    blocks = [op_block(sample, ops, notes or {})] if ops else []
    blocks += [policy_block(sample, policies)] if policies else []
    blocks += [mixing_block(sample, mixings)] if mixings else []
    return draw_sheet(title, blocks) if blocks else None


def op_block(sample: Sample, ops: Mapping[str, OpRange], notes: Mapping[str, str]) -> Block:
    """A row for each op alone, with probability 1."""
    heads = ["original", *(f"magnitude {magnitude:g}" for magnitude in MAGNITUDES)]
    rows = []
    for name, span in ops.items():
        groups: list[Sequence[Picture]] = [list(sample.images_NHWC), *(list(one) for one in _alone(sample, name, span))]
        said = [*([_said(span)] if span.high is not None or name not in notes else []), *([notes[name]] if name in notes else [])]
        rows.append(Row(name, groups, "; ".join(said), is_warned=name in notes))
    return Block("each op alone", rows, heads, sample.columns)


def policy_block(sample: Sample, policies: Mapping[str, Sequence[Draw]]) -> Block:
    """Two rows for each policy, named by its draws."""
    rows = []
    for name, draws in policies.items():
        done = [(draw.name, list(whole(sample, draw))) for draw in draws]
        for low in range(0, len(done), _PER_ROW):
            heads, pictures = zip(*done[low : low + _PER_ROW], strict=True)
            rows.append(Row(name, pictures, heads=heads))
    return Block("the whole policy", rows)


def whole(sample: Sample, draw: Draw) -> NDArray[np.uint8]:
    """The pictures as training would get them."""
    _, size, _, channels = sample.images_NHWC.shape
    policy = build_policy(draw.section, image_size=size, channels=channels, num_epochs=draw.num_epochs)
    if policy is None:
        return sample.images_NHWC
    return policy(sample.images_NHWC, seed=_SEED, epoch=draw.epoch, index_N=sample.index_N)


def mixing_block(sample: Sample, mixings: Sequence[Mapping[str, Any]]) -> Block:
    """The pictures as one batch, at eight steps of each mixing, with the classes that they then count for."""
    rows = []
    for section in mixings:
        mixed = [_mixed(sample, section, step) for step in range(NUM_DRAWS)]
        for low in range(0, NUM_DRAWS, _PER_ROW):
            heads, pictures, captions = zip(*mixed[low : low + _PER_ROW], strict=True)
            rows.append(Row(section["mixing"], pictures, heads=heads, captions=captions))
    return Block("batches mixed", rows)


def suspicions(ops: Mapping[str, OpRange]) -> dict[str, str]:
    """What the table says of ops that can make another class of a picture."""
    return {name: "may change the label" for name in ops if name in LABEL_CHANGING}


def draws_of(section: Mapping[str, Any], num_epochs: int) -> list[Draw]:
    """Eight uses of a recipe's policy, spread over its epochs where it changes over them."""
    is_changing = any(key == "final_magnitude" and value is not None for key, value in _flat(section))
    epochs = np.linspace(1, num_epochs, NUM_DRAWS).round().astype(int) if is_changing else np.arange(1, 1 + NUM_DRAWS)
    return [Draw(f"epoch {epoch}", section, int(epoch), num_epochs) for epoch in epochs]


def recipe_sheet(title: str, sample: Sample, section: Mapping[str, Any], num_epochs: int, notes: Mapping[str, str] | None = None) -> Any:
    """That of a recipe's section, with the table's suspicions for notes where none are given."""
    draws = {section["policy"]: draws_of(section, num_epochs)} if section["policy"] != "none" else {}
    mixings = [section] if section["mixing"] != "none" else []
    suspected = suspicions(ops_of(section, sample.images_NHWC.shape[3]))
    return make_sheet(title, sample, section, draws, mixings, suspected if notes is None else notes)


def save_sheet(sheet: Any, path: Path) -> None:
    """Write a PNG, whole or not at all. Raises UserError where it can't be written."""
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise UserError(f"the sheet {path} can't be written: {error.strerror or error}") from None


def apply_op(
    name: str, magnitude: float | None, images_NHWC: NDArray[np.uint8], index_N: NDArray[np.int64], epoch: int = 1
) -> NDArray[np.uint8]:
    """The op on every picture. Raises UserError where the pictures lack the channels for it."""
    _, size, _, channels = images_NHWC.shape
    args = {"probability": 1.0} if magnitude is None else {"probability": 1.0, "magnitude": magnitude}
    policy = build_policy({"policy": "fixed", name: args}, image_size=size, channels=channels)
    return images_NHWC if policy is None else policy(images_NHWC, seed=_SEED, epoch=epoch, index_N=index_N)


def _alone(sample: Sample, name: str, span: OpRange) -> list[NDArray[np.uint8]]:
    """At the three magnitudes; of an op without one three draws, or one where it draws nothing."""
    if "magnitude" in OPS.entries[name].args:
        return [apply_op(name, magnitude, sample.images_NHWC, sample.index_N) for magnitude in MAGNITUDES]
    draws = [apply_op(name, None, sample.images_NHWC, sample.index_N, epoch) for epoch in range(1, 1 + len(MAGNITUDES))]
    return draws[:1] if all(np.array_equal(draw, draws[0]) for draw in draws) else draws


def _flat(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        yield from value.items() if isinstance(value, Mapping) else [(key, value)]


def _said(span: OpRange) -> str:
    if span.low is None or span.high is None:
        return "has no magnitude"
    return f"here {span.low:.2g}" if span.low == span.high else f"here {span.low:.2g} to {span.high:.2g}"


def _mixed(sample: Sample, section: Mapping[str, Any], step: int) -> tuple[str, list[Picture], list[str]]:
    """A batch of standardised pictures, shown as pixels again: shares, pictures, classes."""
    import torch

    from visiontune.augmentation.mixing import build_mixing

    x_NHWC = (sample.images_NHWC / np.float32(255) - sample.mean_C) / sample.std_C
    mix: Callable[..., Any] = build_mixing(section, _SEED)
    labels_N = torch.from_numpy(sample.labels_N)
    x_NCHW, targets = mix(torch.from_numpy(x_NHWC.astype(np.float32)).permute(0, 3, 1, 2), labels_N, step)
    shown = (x_NCHW.permute(0, 2, 3, 1).numpy() * sample.std_C + sample.mean_C) * 255
    head, names = f"step {step}", sample.columns
    if not isinstance(targets, torch.Tensor):
        head += f": {targets.share:.2f} and {1 - targets.share:.2f}"
        names = [f"{name}, {sample.name(other)}" for name, other in zip(names, targets.other_N.tolist(), strict=True)]
    return head, list(shown.round().clip(0, 255).astype(np.uint8)), names
