"""What a policy does, as a sheet of pictures: each op alone at three magnitudes, the whole policy eight times, mixing."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visiontune.augmentation.op_ranges import OpRange, ops_of
from visiontune.augmentation.sheet_drawing import Block, Picture, Row, draw_sheet, drawable
from visiontune.augmentation.sheet_pictures import (
    MAGNITUDES,
    NUM_DRAWS,
    Draw,
    Sample,
    draws_of,
    mixed_batch,
    of_class,
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
    blocks += [class_block(sample, own)] if (own := _of_classes(policies)) else []
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


def class_block(sample: Sample, own: Mapping[tuple[str, str], Sequence[Draw]]) -> Block:
    """A row of its own pictures for each class and policy of its own."""
    rows = []
    for (name, policy), draws in own.items():
        mine, shown = of_class(sample, name), draws[: _PER_ROW - 1]
        pictures = [list(mine.images_NHWC), *(list(whole_policy(mine, draw)) for draw in shown)]
        label = name if drawable(name) else sample.name(sample.names.index(name))
        rows.append(Row(f"{label}: {policy}", pictures, heads=["original", *(draw.name for draw in shown)]))
    return Block("classes with a policy of their own", rows)


def _of_classes(policies: Mapping[str, Sequence[Draw]]) -> dict[tuple[str, str], list[Draw]]:
    """By class and the policy that it has in place of the others'."""
    found: dict[tuple[str, str], list[Draw]] = {}
    for draw in (draw for draws in policies.values() for draw in draws):
        for item in draw.section.get("by_class", ()):
            for name in item["classes"]:
                found.setdefault((name, item["policy"]), []).append(draw)
    return found


def acting(section: Mapping[str, Any]) -> str:
    """What to call what a recipe does to pictures one by one; empty where that is nothing."""
    names = [section.get(key, "none") for key in ("policy", "crop")]
    names += ["by class"] if section.get("by_class") else []
    return next((name for name in names if name != "none"), "")


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
    draws = {name: draws_of(section, num_epochs)} if (name := acting(section)) else {}
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
