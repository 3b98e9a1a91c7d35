"""A contact sheet, as PNG: for each class its name, its number of training pictures and 12 of them, evenly spaced.

Pictures are as the frame leaves them; where all of a picture is kept, what lies outside of the frame is there too, darkened.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visiontune.filesystem.atomic_write import replacing
from visiontune.spec.declarations.image_size import ImageSize, sides

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

_EACH, _GAP, _TITLE = 12, 4, 22
_ROWS = 40
_DARKENED = 0.35
_MOST_PIXELS = 60_000_000


def write_sheet(store: Store, path: Path) -> None:
    """Write the sheet, whole or not at all: classes below each other, in several columns where there are over 40. Raises OSError."""
    from PIL import Image, ImageDraw

    num = len(store.class_names)
    num_columns = -(-num // _ROWS)
    num_rows = -(-num // num_columns)
    cell = _cell(store.image_size, num)
    width, height = _EACH * (cell + _GAP) + 4 * _GAP, cell + _TITLE + 2 * _GAP
    sheet = Image.new("RGB", (num_columns * width, num_rows * height), "white")
    pen, font = ImageDraw.Draw(sheet), _font()
    for label, name in enumerate(store.class_names):
        left, top = label // num_rows * width + 2 * _GAP, label % num_rows * height + _GAP
        rows = store.with_class(store.train_idx, label)
        pen.text((left, top), _cut(f"{name}  {len(rows):,}", font, width - 4 * _GAP), "black", font=font)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(_EACH, len(rows))).astype(int))] if len(rows) else rows
        for number, row in enumerate(chosen.tolist()):
            sheet.paste(_thumb(store, row, cell), (left + number * (cell + _GAP), top + _TITLE))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        sheet.save(temporary, "png")


def _thumb(store: Store, row: int, cell: int) -> Any:
    from PIL import Image

    kept, in_frame = store.kept(row)
    shown = (kept * _DARKENED).astype(np.uint8)
    shown[in_frame] = kept[in_frame]
    thumb = Image.fromarray(shown.squeeze(2) if shown.shape[2] == 1 else shown).convert("RGB")
    size = shown.shape[:2]
    return thumb.resize(_shape(size, cell), _filter(cell, size))


def _cell(image_size: ImageSize, num_classes: int) -> int:
    """Small pictures grow to 64 px, large ones shrink to 96; less where the classes are so many that the sheet would not open."""
    wanted = min(max(*sides(image_size), 64), 96)
    return int(min(wanted, max(16, (_MOST_PIXELS / (num_classes * _EACH)) ** 0.5)))


def _shape(image_size: tuple[int, ...], cell: int) -> tuple[int, int]:
    """(width, height) within a cell, in the pictures' own shape."""
    height, width = (max(1, round(cell * side / max(sides(image_size)))) for side in sides(image_size))
    return width, height


def _filter(cell: int, image_size: tuple[int, ...]) -> Any:
    from PIL import Image

    return Image.Resampling.NEAREST if max(sides(image_size)) < cell else Image.Resampling.LANCZOS


def _font() -> Any:
    """DejaVu, which comes with matplotlib and has most alphabets; found without importing it."""
    from PIL import ImageFont

    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.exists():
            return ImageFont.truetype(str(path), 14)
    return ImageFont.load_default(14)


def _cut(text: str, font: Any, width: int) -> str:
    while font.getlength(text) > width and len(text) > 4:
        text = text[:-4] + "..."
    return text
