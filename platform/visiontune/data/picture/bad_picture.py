"""A picture as an array, and the exception for one that can't be used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""HWC, 0 to 255, one channel (grey) or three (RGB)."""

Values = NDArray[Any]
"""The same, or of another type than uint8: what a file with more than 8 bits holds, before `depth` says which of it is black and white."""

MAX_PIXELS = 178_956_970
"""Pillow's limit, above which it raises DecompressionBombError: 512 MiB of RGB."""


class BadPicture(ValueError):
    """Why a picture can't be used, as a phrase after its name ("cat.jpg is truncated"). `content` are its file's bytes, if read."""

    content: bytes = b""


def refuse_huge(width: int, height: int) -> None:
    """Raise BadPicture above MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise BadPicture(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}: it may be a decompression bomb")
