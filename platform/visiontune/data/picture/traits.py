"""What is to be said of a picture's file beside its pixels: its format, whether more than its first frame is left out, its bits."""

from __future__ import annotations

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode_pillow import opened
from visiontune.data.picture.formats import KINDS, kind_of

SEVERAL_FRAMES, EIGHT_BITS = 0x80, 0x40
_NUMBERS = {kind: number for number, kind in enumerate(KINDS, 1)}


def traits_of(content: bytes | None, *, has_eight_bits: bool) -> int:
    """A byte: the number of its kind from 1, 0 for others, SEVERAL_FRAMES where it is an animation or a stack of pages, EIGHT_BITS.

    Stores from before EIGHT_BITS have it nowhere: of them it is not known.
    """
    bits = EIGHT_BITS if has_eight_bits else 0
    kind = None if content is None else kind_of(content)
    if content is None or kind is None:
        return bits
    return bits | _NUMBERS[kind] | (SEVERAL_FRAMES if kind not in ("JPEG", "BMP") and _has_frames(content, kind) else 0)


def kind_in(traits: int) -> str | None:
    """Of KINDS."""
    number = traits & ~(SEVERAL_FRAMES | EIGHT_BITS)
    return KINDS[number - 1] if number else None


def _has_frames(content: bytes, kind: str) -> bool:
    if kind == "PNG":
        return content.find(b"acTL", 0, 1024) >= 0
    if kind == "WebP":
        return content[12:16] == b"VP8X" and bool(content[20] & 2)
    if kind not in ("GIF", "TIFF"):
        return False
    try:
        with opened(content) as image:
            return bool(image.is_animated)
    except (BadPicture, EOFError, OSError, ValueError, SyntaxError):
        return False
