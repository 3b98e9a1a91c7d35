"""What a section of the report is made of; `templates/blocks.html` has a macro for each, by its `kind`."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    import plotly.graph_objects as go
    from PIL.Image import Image as PillowImage

MAX_WIDTH = 1600
"""Pixels of a picture; wider ones are made smaller."""

MAX_BYTES = 180_000
"""Of a picture: a dozen of them beside plotly.js stay below 5 MB as base64. Sheets of photographs are coarser for it."""

QUALITIES, SCALES = (85, 60), (1.0, 0.75, 0.5, 0.35)
"""Of WebP, tried in this order."""


@dataclass(frozen=True)
class Text:
    """Paragraphs, or with `is_list` the items of a list."""

    lines: Sequence[str]
    is_list: bool = False
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as `header` has; the first cell of a row names it. Columns in `numeric` are set to the right, `long` ones
    are kept wide. With `folded` the table is closed until that text is clicked.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[int] = ()
    note: str = ""
    folded: str = ""
    long: Sequence[int] = ()
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Plot:
    """A plotly figure; `says` is what is to be read from it, for those who don't see it. `min_width` in pixels, below which it scrolls."""

    name: str
    figure: go.Figure
    says: str
    min_width: int = 0
    kind: ClassVar[str] = "plot"

    @property
    def title(self) -> str:
        """Of the figure."""
        return str(self.figure.layout.title.text or self.name)

    @property
    def height(self) -> int:
        """Pixels, which the page keeps free before the figure is drawn."""
        return int(self.figure.layout.height or 450)

    def to_dict(self) -> dict[str, Any]:
        """What plotly.js draws: without the title, which the page has as text, and the template, which has light colours."""
        content: dict[str, Any] = json.loads(self.figure.to_json())
        for key in ("title", "template"):
            content["layout"].pop(key, None)
        return {"data": content["data"], "layout": content["layout"]}


@dataclass(frozen=True)
class Image:
    """A picture within the page. `alt` says what is to be seen."""

    source: str
    width: int
    height: int
    alt: str
    caption: str
    kind: ClassVar[str] = "image"

    @staticmethod
    def of(pixels_HWC: np.ndarray, alt: str, caption: str) -> Image:
        """Of uint8 pixels (H, W, 3)."""
        from PIL.Image import fromarray

        picture = fromarray(pixels_HWC)
        content = _webp(picture)
        source = f"data:image/webp;base64,{base64.b64encode(content).decode()}"
        return Image(source, picture.width, picture.height, alt, caption)


@dataclass(frozen=True)
class Code:
    """Text to copy, with a button that does."""

    name: str
    text: str
    label: str
    kind: ClassVar[str] = "code"


Block = Text | Table | Plot | Image | Code


def _webp(picture: PillowImage) -> bytes:
    """The first of the trials that is small enough, else the smallest."""
    width, content = min(picture.width, MAX_WIDTH), b""
    for scale, quality in product(SCALES, QUALITIES):
        size = (round(width * scale), round(picture.height * width * scale / picture.width))
        buffer = io.BytesIO()
        (picture.resize(size) if size != picture.size else picture).save(buffer, "WEBP", quality=quality)
        content = buffer.getvalue()
        if len(content) <= MAX_BYTES:
            break
    return content
