"""Pictures that are nearly or wholly the same, side by side, as PNG: contradictions first, since one label of each two is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import replacing

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

_MOST = 40
"""Pairs of each kind; the report names all."""
_KEYS = (("name", "split", "label"), ("other", "other_split", "other_label"))


def write_pairs(store: Store, path: Path) -> None:
    """Write the sheet, whole or not at all. Raises UserError where there is nothing to draw, OSError."""
    blocks = [block for title, pairs in _kinds(store) if (block := _block(store, title, pairs)) is not None]
    if not blocks:
        raise UserError(
            f"a sheet of pairs needs pictures that are nearly the same, or equal ones of two classes: {store.digest[:12]} has none"
        )
    sheet = draw_sheet("Pictures that are much the same", blocks)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        sheet.save(temporary, "png")


def _kinds(store: Store) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    report = store.report()
    near = [one for one in report.repeats if one["similarity"] != 1.0]
    yield "equal, of two classes", list(report.conflicts)
    yield "nearly the same, of two classes", [one for one in near if one["label"] != one["other_label"]]
    yield "nearly the same, of one class", [one for one in near if one["label"] == one["other_label"]]


def _block(store: Store, title: str, pairs: list[Mapping[str, Any]]) -> Block | None:
    """None where no pair is in the store: a near one that was left out is not, and an older report does not say where pictures are."""
    rows = [row for one in pairs[:_MOST] if (row := _row(store, one)) is not None]
    more = f", {_MOST} of {len(pairs):,}" if len(pairs) > _MOST else ""
    return Block(f"{title}{more}", rows) if rows else None


def _row(store: Store, one: Mapping[str, Any]) -> Row | None:
    places = [place for place in one.get("rows", (None, None)) if place is not None]
    is_equal = one.get("similarity", 1.0) == 1.0
    if not places or (len(places) == 1 and not is_equal):
        return None
    pictures = [store.images_NHWC[place] for place in (places[0], places[-1])]
    ours, theirs = (f"{one[name]} ({one[split]}, {one[label]})" for name, split, label in _KEYS)
    note = "equal" if is_equal else f"correlation {one['similarity']:.3f}"
    return Row(ours, [[picture] for picture in pictures], f"{theirs}, {note}", one["label"] != one["other_label"])
