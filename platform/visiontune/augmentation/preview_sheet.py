"""What a policy does, as a sheet of pictures: each op alone at three magnitudes, the whole policy eight times, mixing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visiontune.augmentation.op_ranges import OpRange, ops_of
from visiontune.augmentation.sheet_drawing import Block, Picture, Row, draw_sheet
from visiontune.augmentation.sheet_pictures import (
    MAGNITUDES,
    NUM_DRAWS,
    Draw,
    Sample,
    draws_of,
    mixed_batch,
    op_alone,
    whole_policy,
)
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.spec.tables.ops import LABEL_CHANGING

_PER_ROW = 1 + len(MAGNITUDES)


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
        groups: list[Sequence[Picture]] = [list(sample.images_NHWC), *(list(one) for one in op_alone(sample, name))]
        said = [*([_said(span)] if span.high is not None or name not in notes else []), *([notes[name]] if name in notes else [])]
        rows.append(Row(name, groups, "; ".join(said), is_warned=name in notes))
    return Block("each op alone", rows, heads, sample.columns)


def policy_block(sample: Sample, policies: Mapping[str, Sequence[Draw]]) -> Block:
    """Two rows for each policy, named by its draws."""
    rows = []
    for name, draws in policies.items():
        done = [(draw.name, list(whole_policy(sample, draw))) for draw in draws]
        for low in range(0, len(done), _PER_ROW):
            heads, pictures = zip(*done[low : low + _PER_ROW], strict=True)
            rows.append(Row(name, pictures, heads=heads))
    return Block("the whole policy", rows)


def mixing_block(sample: Sample, mixings: Sequence[Mapping[str, Any]]) -> Block:
    """The pictures as one batch, at eight steps of each mixing, with the classes that they then count for."""
    rows = []
    for section in mixings:
        mixed = [mixed_batch(sample, section, step) for step in range(NUM_DRAWS)]
        for low in range(0, NUM_DRAWS, _PER_ROW):
            heads, pictures, captions = zip(*mixed[low : low + _PER_ROW], strict=True)
            rows.append(Row(section["mixing"], pictures, heads=heads, captions=captions))
    return Block("batches mixed", rows)


def suspicions(ops: Mapping[str, OpRange]) -> dict[str, str]:
    """What the table says of ops that can make another class of a picture."""
    return {name: "may change the label" for name in ops if name in LABEL_CHANGING}


def recipe_sheet(title: str, sample: Sample, section: Mapping[str, Any], num_epochs: int, notes: Mapping[str, str] | None = None) -> Any:
    """That of a recipe's section, with the table's suspicions for notes where none are given."""
    acting = [name for key in ("policy", "crop") if (name := section.get(key, "none")) != "none"]
    draws = {acting[0]: draws_of(section, num_epochs)} if acting else {}
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


def _said(span: OpRange) -> str:
    if span.low is None or span.high is None:
        return "has no magnitude"
    return f"here {span.low:.2g}" if span.low == span.high else f"here {span.low:.2g} to {span.high:.2g}"
