"""Files of all other formats and kinds, decoded by Pillow; what has several channels of 16 bits by OpenCV, whose depth Pillow lacks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.bad_picture import MAX_PIXELS, BadPicture, Values, refuse_huge
from visiontune.data.picture.decode_opencv import opencv
from visiontune.data.picture.depth import row_blocks
from visiontune.data.picture.formats import pillow_formats
from visiontune.data.picture.other_content import RAW, is_camera_raw, why_unread
from visiontune.errors import first_line

Pixel = TypeVar("Pixel", bound=np.generic)
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


def opened(content: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(content), formats=pillow_formats())
    except Image.DecompressionBombError:
        raise BadPicture(f"has more than {MAX_PIXELS:,} pixels: it may be a decompression bomb") from None
    except UnidentifiedImageError:
        raise BadPicture(why_unread(content)) from None
    except Exception as error:  # a plugin may raise anything over damaged bytes
        raise BadPicture(f"is truncated or damaged ({first_line(error)})") from error
    if is_camera_raw(image):
        raise BadPicture(RAW)
    return image


def by_pillow(content: bytes, kind: str | None) -> Values:
    with opened(content) as image:
        refuse_huge(*image.size)
        with _damage_told():
            if kind == "PNG":
                # Pillow compares no checksums while it decodes.
                opened(content).verify()
            return _deep(content, image) if _is_deep(content, image) else _upright(image)


def of_image(image: Any) -> Values:
    """An image of Pillow's by the same rules. Raises BadPicture."""
    refuse_huge(*image.size)
    with _damage_told():
        return _upright(image)


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (BadPicture, MemoryError):
        raise
    except Exception as error:  # as above
        raise BadPicture(f"is truncated or damaged ({first_line(error)})") from error


def _upright(image: Any) -> Values:
    image.load()
    return turned(_flat(image), orientation_of(image))


def _flat(image: Any) -> Values:
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        return _flat_of_16_bits(image)
    if mode in ("I", "F"):
        raise BadPicture(f"has 32-bit values (Pillow's mode {mode}): save it with 8 or 16 bits a channel")
    is_grey = mode in _GREY_MODES
    if image.has_transparency_data:
        return _on_white(np.asarray(image.convert("LA" if is_grey else "RGBA")))
    flat = np.asarray(image.convert("L" if is_grey else "RGB"))
    return flat[:, :, np.newaxis] if is_grey else flat


def _flat_of_16_bits(image: Any) -> Values:
    """What Pillow does itself of 8 bits: a TIFF may have white at 0, a PNG one value that is transparent."""
    values = np.asarray(image)[:, :, np.newaxis]
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return 65535 - values
    clear = image.info.get("transparency")
    return values if clear is None else np.where(values == clear, 65535, values)


def _on_white(picture: Values) -> Values:
    """Of 8 bits, whose last channel is how opaque a pixel is; of 16, rounded to 16."""
    flat = np.empty((*picture.shape[:2], picture.shape[2] - 1), picture.dtype)
    white = np.iinfo(picture.dtype).max
    for rows in row_blocks(picture.shape):
        if picture.dtype == np.uint8:
            block = picture[rows].astype(np.uint16)
            flat[rows] = (block[..., :-1] * block[..., -1:] + white * (white - block[..., -1:]) + 127) // white
        else:
            alpha = picture[rows, :, -1:] / white
            flat[rows] = np.rint(picture[rows, :, :-1] * alpha + white * (1 - alpha))
    return flat


def is_grey_file(content: bytes, image: Any) -> bool:
    # Of grey with alpha in 16 bits Pillow makes RGBA.
    return image.mode in _GREY_MODES or image.mode.startswith("I;16") or (image.format == "PNG" and content[25] == 4)


def _is_deep(content: bytes, image: Any) -> bool:
    """Several channels of 16 bits, of which Pillow would keep the high byte."""
    if image.format == "PNG":
        return content[24] == 16 and image.mode != "I;16"
    return image.format == "TIFF" and image.mode in ("RGB", "RGBA", "RGBX") and 16 in image.tag_v2.get(258, ())


def _deep(content: bytes, image: Any) -> Values:
    cv2 = opencv()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 3:
        raise BadPicture("is truncated or damaged")
    if picture.shape[2] == 4:
        picture = _on_white(picture)
    flat = picture[..., 2:3] if is_grey_file(content, image) else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=picture)
    # OpenCV sets a TIFF upright itself.
    return flat if image.format == "TIFF" else turned(flat, orientation_of(image))


def orientation_of(image: Any) -> int:
    """EXIF's 1 to 8; 1 where there is none or it can't be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF is no reason to lose the picture
        return 1


def file_orientation(content: bytes) -> int:
    """As `orientation_of`, of a file."""
    try:
        return orientation_of(opened(content))
    except BadPicture:
        return 1


def turned(picture: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Set upright by EXIF's number, 1 to 8."""
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)
