"""Encoded bytes to a picture: uint8, (H, W, 1) where it is grey, (H, W, 3) RGB where it is not.

One rule for each kind, whatever the file's format: a turned photograph (EXIF, XMP) is set upright; a palette becomes RGB; CMYK, YCbCr,
LAB and HSV become RGB as Pillow converts them, colour profiles are not applied; what is transparent lies on white; 16 bits of a channel
are divided by 257 and rounded in PNG, TIFF and PGM (other formats as Pillow reads them); black and white becomes 0 and 255; of several
frames the first counts; 32-bit values are refused, for nothing says what is white. All formats of Pillow are read but those that
would start another program (EPS, WMF) or that it only recognises. A JPEG file of which a half, a quarter or an eighth is enough is
decoded at that size, each pixel the mean of those it stands for but for the frequencies that libjpeg leaves out.
"""

from __future__ import annotations

from typing import Any

from visiontune.data.picture.bad_picture import BadPicture, Picture, refuse_huge
from visiontune.data.picture.decode_opencv import REDUCTIONS, by_opencv, opencv_shape
from visiontune.data.picture.decode_pillow import by_pillow, is_grey_file, opened, orientation_of
from visiontune.data.picture.formats import kind_of


def decode(encoded: Any, side: int | None = None) -> Picture:
    """Decode by the rules above. Raises BadPicture for what is empty, truncated, damaged, huge or no picture.

    With `side` both sides need only be that long, in pixels: a JPEG file may then be decoded at a reduced size.
    """
    return decode_and_measure(encoded, side)[0]


def decode_and_measure(encoded: Any, side: int | None = None) -> tuple[Picture, tuple[int, int]]:
    """As `decode`, and the (height, width) that the whole picture has."""
    content = b"" if encoded is None else bytes(encoded)
    if not content:
        raise BadPicture("has no bytes")
    kind = kind_of(content)
    shape = opencv_shape(content, kind)
    if shape is None:
        picture = by_pillow(content, kind)
        return picture, picture.shape[:2]
    width, height, is_grey = shape
    refuse_huge(width, height)
    reduction = _reduction(width, height, side) if kind == "JPEG" and side is not None else 1
    picture = by_opencv(content, is_grey=is_grey, reduction=reduction)
    if reduction == 1:
        return picture, picture.shape[:2]
    is_turned = (picture.shape[0] > picture.shape[1]) != (height > width)
    return picture, (width, height) if is_turned else (height, width)


def _reduction(width: int, height: int, side: int) -> int:
    shorter = min(width, height)
    return next((reduction for reduction in REDUCTIONS if shorter >= reduction * side), 1)


def shape_of(encoded: bytes) -> tuple[int, int, int]:
    """(height, width, channels) that decode() would give, from the file's header. Raises BadPicture."""
    if not encoded:
        raise BadPicture("has no bytes")
    with opened(encoded) as image:
        # Pillow gives the size of a TIFF as it stands upright.
        is_turned = image.format != "TIFF" and orientation_of(image) >= 5
        width, height = image.size[::-1] if is_turned else image.size
        return height, width, 1 if is_grey_file(encoded, image) else 3
