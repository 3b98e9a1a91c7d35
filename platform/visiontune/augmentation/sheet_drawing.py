"""Sheets of small pictures with labels, by Pillow: blocks of rows, each row with groups of pictures side by side.

Pictures are uint8 HWC, one channel or three. Small ones are scaled up by a whole number, nearest neighbour, so that a pixel
stays a square; large ones are scaled down by area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

LARGEST_TILE, SMALLEST_TILE, USUAL_TILE = 128, 32, 64
_WIDEST = 2_400
_MARGIN, _GAP, _GROUP_GAP, _LABEL_GAP = 16, 2, 14, 14
_TEXT, _SMALL = 14, 11
_INK, _GREY, _WARNED, _RULE = (25, 25, 25), (110, 110, 110), (190, 60, 0), (215, 215, 215)


@dataclass(frozen=True)
class Row:
    """`heads` stand above groups, `captions` under pictures, in the shape of `groups`; a warned row's note stands out."""

    label: str
    groups: Sequence[Sequence[Picture]]
    note: str = ""
    is_warned: bool = False
    heads: Sequence[str] = ()
    captions: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Block:
    """`heads` name the groups of all its rows, `columns` the pictures within a group."""

    title: str
    rows: Sequence[Row]
    heads: Sequence[str] = ()
    columns: Sequence[str] = ()


def draw_sheet(title: str, blocks: Sequence[Block]) -> Any:
    """A Pillow picture, RGB. Every block has at least one row."""
    from PIL import Image, ImageDraw

    rows = [row for block in blocks for row in block.rows]
    num_columns = max(len(group) for row in rows for group in row.groups)
    num_groups = max(len(row.groups) for row in rows)
    tile = tile_size(
        max(side for row in rows for group in row.groups for picture in group for side in picture.shape[:2]), num_columns * num_groups
    )
    label = max(_width(text, size) for row in rows for text, size in ((row.label, _TEXT), (row.note, _SMALL))) + _LABEL_GAP
    group = num_columns * (tile + _GAP) - _GAP + _GROUP_GAP
    lefts = [_MARGIN + label + number * group for number in range(num_groups)]
    width = max(lefts[-1] + group - _GROUP_GAP, _MARGIN + _width(title, _TEXT)) + _MARGIN
    height = 3 * _MARGIN + sum(_block_height(block, tile) for block in blocks)
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN), title, _TEXT)
    top = _MARGIN + _TEXT + _MARGIN // 2
    for block in blocks:
        top = _draw_block(sheet, pen, block, top, lefts, tile)
    return sheet


@dataclass(frozen=True)
class Tile:
    """A picture of a gallery and the lines below it; those of the first `num_strong` are black, the others grey."""

    picture: Picture
    lines: Sequence[str]
    num_strong: int = 1


def draw_gallery(title: str, tiles: Sequence[Tile], num_across: int = 8) -> Any:
    """A Pillow picture, RGB: tiles 128 pixels wide, so many in a row, with lines that are cut at their width. At least one tile."""
    from PIL import Image, ImageDraw

    step = LARGEST_TILE + _GROUP_GAP
    num_lines = max(len(tile.lines) for tile in tiles)
    row = LARGEST_TILE + num_lines * (_SMALL + 4) + _GROUP_GAP
    width = max(min(num_across, len(tiles)) * step - _GROUP_GAP, _width(title, _TEXT)) + 2 * _MARGIN
    top = 2 * _MARGIN + _TEXT
    sheet = Image.new("RGB", (width, top + -(-len(tiles) // num_across) * row + _MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    _write(pen, (_MARGIN, _MARGIN), title, _TEXT)
    for number, tile in enumerate(tiles):
        left, upper = _MARGIN + number % num_across * step, top + number // num_across * row
        sheet.paste(_scaled(tile.picture, LARGEST_TILE), (left, upper))
        for place, line in enumerate(tile.lines):
            corner = (left, upper + LARGEST_TILE + 2 + place * (_SMALL + 4))
            _write(pen, corner, _cut(line, LARGEST_TILE, _SMALL), _SMALL, _INK if place < tile.num_strong else _GREY)
    return sheet


def tile_size(size: int, num_across: int) -> int:
    """Side in which pictures of `size` pixels are drawn: a whole multiple of it, or less than it where it is large.

    >>> tile_size(8, 16), tile_size(28, 16), tile_size(32, 16), tile_size(224, 16), tile_size(224, 40)
    (64, 56, 64, 128, 60)
    """
    room = min(LARGEST_TILE, max(SMALLEST_TILE, _WIDEST // num_across))
    return size * max(1, min(USUAL_TILE, room) // size) if size <= room else room


def drawable(name: str) -> bool:
    """Whether the sheet's typeface has all of its characters."""
    font = _font(_TEXT)
    missing = bytes(font.getmask("\uffff"))
    return all(character.isspace() or bytes(font.getmask(character)) != missing for character in name)


def _draw_block(sheet: Any, pen: Any, block: Block, top: int, lefts: Sequence[int], tile: int) -> int:
    """Draw a block from y = `top` on; gives the y below it."""
    top += _MARGIN // 2
    pen.line((_MARGIN, top, sheet.width - _MARGIN, top), fill=_RULE)
    top += _MARGIN // 2
    room = (lefts[0] if block.heads else sheet.width) - _MARGIN - _LABEL_GAP
    _write(pen, (_MARGIN, top), _cut(block.title, room, _TEXT), _TEXT)
    for head, left in zip(block.heads, lefts, strict=False):
        _write(pen, (left, top), head, _TEXT)
    top += _TEXT + 6
    if block.columns:
        for left in lefts[: len(block.heads) or 1]:
            for number, name in enumerate(block.columns):
                _write(pen, (left + number * (tile + _GAP), top), _cut(name, tile, _SMALL), _SMALL, _GREY)
        top += _SMALL + 5
    for row in block.rows:
        _draw_row(sheet, pen, row, top, lefts, tile)
        top += _row_height(row, tile)
    return top


def _draw_row(sheet: Any, pen: Any, row: Row, top: int, lefts: Sequence[int], tile: int) -> None:
    for head, left in zip(row.heads, lefts, strict=False):
        _write(pen, (left, top), head, _SMALL, _GREY)
    top += _SMALL + 5 if row.heads else 0
    middle = top + tile // 2 - (_TEXT if row.note else _TEXT // 2 + 2)
    _write(pen, (_MARGIN, middle), row.label, _TEXT)
    _write(pen, (_MARGIN, middle + _TEXT + 3), row.note, _SMALL, _WARNED if row.is_warned else _GREY)
    for number, (group, left) in enumerate(zip(row.groups, lefts, strict=False)):
        for column, picture in enumerate(group):
            corner = left + column * (tile + _GAP)
            sheet.paste(_scaled(picture, tile), (corner, top))
            if row.captions:
                _write(pen, (corner, top + tile + 1), _cut(row.captions[number][column], tile, _SMALL), _SMALL, _GREY)


def _block_height(block: Block, tile: int) -> int:
    names = _SMALL + 5 if block.columns else 0
    return _MARGIN + _TEXT + 6 + names + sum(_row_height(row, tile) for row in block.rows)


def _row_height(row: Row, tile: int) -> int:
    lines = (_SMALL + 5 if row.heads else 0) + (_SMALL + 4 if row.captions else 0)
    return max(tile, _TEXT + _SMALL + 6) + lines + 2 * _GAP


def _scaled(picture_HWC: Picture, tile: int) -> Any:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(picture_HWC[:, :, 0] if picture_HWC.shape[2] == 1 else picture_HWC))
    resampling = Image.Resampling.NEAREST if tile >= max(image.size) else Image.Resampling.BOX
    width, height = (max(1, round(tile * side / max(image.size))) for side in image.size)
    scaled = image.resize((width, height), resampling).convert("RGB")
    if width == height:
        return scaled
    square = Image.new("RGB", (tile, tile), "white")
    square.paste(scaled, ((tile - width) // 2, (tile - height) // 2))
    return square


@cache
def _font(size: int) -> Any:
    """DejaVu Sans, which comes with matplotlib and has more scripts than Pillow's own."""
    from PIL import ImageFont

    found = find_spec("matplotlib")
    path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf" if found and found.origin else Path()
    return ImageFont.truetype(str(path), size) if path.is_file() else ImageFont.load_default(size)


def _width(text: str, size: int) -> int:
    return int(_font(size).getlength(text)) + 1 if text else 0


def _cut(text: str, room: int, size: int) -> str:
    """Shortened to `room` pixels."""
    if _width(text, size) <= room:
        return text
    return next((text[:end].rstrip() + "…" for end in range(len(text), 0, -1) if _width(text[:end].rstrip() + "…", size) <= room), "")


def _write(pen: Any, corner: tuple[int, int], text: str, size: int, colour: tuple[int, int, int] = _INK) -> None:
    if text:
        pen.text(corner, text, font=_font(size), fill=colour)
