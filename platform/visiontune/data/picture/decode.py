"""Encoded bytes to a picture: uint8, (H, W, 1) where it is grey, (H, W, 3) RGB where it is not.

One rule for each kind, whatever the file's format: a turned photograph (EXIF, XMP) is set upright; a palette becomes RGB; CMYK, YCbCr,
LAB and HSV become RGB as Pillow converts them, colour profiles are not applied; what is transparent lies on white; of 16 bits in PNG,
TIFF, PGM and DICOM `depth` says what becomes 0 and 255, 0 and 65,535 by default (other formats as Pillow reads them); black and white
becomes 0 and 255; of several frames the first counts; 32-bit values are refused, for nothing says what is white. All formats of Pillow are
read but those that would start another program (EPS, WMF) or that it only recognises; HEIC and DICOM where their libraries are. A JPEG file
of which a half, a quarter or an eighth is enough is decoded at that size, each pixel the mean of those it stands for but for the
frequencies that libjpeg leaves out. One that lacks only its end mark is whole; one whose data the decoder warns of is not.
"""

from __future__ import annotations

from typing import Any

from visiontune.data.picture.bad_picture import BadPicture, Picture, Values, refuse_huge
from visiontune.data.picture.decode_dicom import by_pydicom, dicom_shape
from visiontune.data.picture.decode_jpeg import REDUCTIONS, JpegHeader, by_turbojpeg, header_of, sound
from visiontune.data.picture.decode_opencv import by_opencv, opencv_shape
from visiontune.data.picture.decode_pillow import by_pillow, file_orientation, is_grey_file, opened, orientation_of, turned
from visiontune.data.picture.depth import DEEP, Depth, eight_bits
from visiontune.data.picture.formats import kind_of


def decode(encoded: Any, side: int | None = None, depth: Depth = DEEP) -> Picture:
    """Decode by the rules above. Raises BadPicture for what is empty, truncated, damaged, huge or no picture.

    With `side` both sides need only be that long, in pixels: a JPEG file may then be decoded at a reduced size.
    """
    return decode_and_measure(encoded, side, depth)[0]


def decode_and_measure(encoded: Any, side: int | None = None, depth: Depth = DEEP) -> tuple[Picture, tuple[int, int]]:
    """As `decode`, and the (height, width) that the whole picture has."""
    values, size = values_and_size(encoded, side)
    return eight_bits(values, depth), size


def decode_values(encoded: Any, side: int | None = None) -> Values:
    """As `decode`, but what has more than 8 bits as it is."""
    return values_and_size(encoded, side)[0]


def values_and_size(encoded: Any, side: int | None = None) -> tuple[Values, tuple[int, int]]:
    """As `decode_and_measure`, but what has more than 8 bits as it is."""
    content = b"" if encoded is None else bytes(encoded)
    if not content:
        raise BadPicture("has no bytes")
    kind = kind_of(content)
    if kind == "JPEG" and (header := header_of(content)) is not None:
        return _decode_jpeg(content, header, side)
    picture = _decode_other(content, kind)
    return picture, picture.shape[:2]


def _decode_jpeg(content: bytes, header: JpegHeader, side: int | None) -> tuple[Picture, tuple[int, int]]:
    refuse_huge(header.width, header.height)
    picture = by_turbojpeg(content, header, _reduction(header.width, header.height, side))
    orientation = file_orientation(content) if header.may_be_turned else 1
    size = (header.width, header.height) if orientation >= 5 else (header.height, header.width)
    return (picture if orientation == 1 else turned(picture, orientation)), size


def _decode_other(content: bytes, kind: str | None) -> Values:
    if kind == "DICOM":
        return by_pydicom(content)
    shape = opencv_shape(content, kind)
    if shape is None:
        return by_pillow(sound(content) if kind == "JPEG" else content, kind)
    width, height, is_grey = shape
    refuse_huge(width, height)
    return by_opencv(content, is_grey=is_grey)


def _reduction(width: int, height: int, side: int | None) -> int:
    shorter = min(width, height)
    return 1 if side is None else next((reduction for reduction in REDUCTIONS if shorter >= reduction * side), 1)


def is_deep_file(encoded: bytes) -> bool:
    """Whether its values may have more than 8 bits, by its first bytes."""
    kind = kind_of(encoded)
    return encoded[24:25] == b"\x10" if kind == "PNG" else kind not in ("JPEG", "GIF", "BMP", "WebP", "HEIF")


def shape_of(encoded: bytes) -> tuple[int, int, int]:
    """(height, width, channels) that decode() would give, from the file's header. Raises BadPicture."""
    if not encoded:
        raise BadPicture("has no bytes")
    if kind_of(encoded) == "DICOM":
        return dicom_shape(encoded)
    with opened(encoded) as image:
        # Pillow gives the size of a TIFF as it stands upright.
        is_turned = image.format != "TIFF" and orientation_of(image) >= 5
        width, height = image.size[::-1] if is_turned else image.size
        return height, width, 1 if is_grey_file(encoded, image) else 3
