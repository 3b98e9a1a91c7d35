"""Encoded bytes to a picture: uint8, (H, W, 1) where it is grey, (H, W, 3) RGB where it is not.

One rule for each kind, whatever the file's format: a turned photograph (EXIF, XMP) is set upright; a palette becomes RGB; CMYK, YCbCr,
LAB and HSV become RGB as Pillow converts them, colour profiles are not applied; what is transparent lies on white; 16 bits of a channel
are divided by 257 and rounded in PNG, TIFF and PGM (other formats as Pillow reads them); black and white becomes 0 and 255; of several
frames the first counts; 32-bit values are refused, for nothing says what is white. All formats of Pillow are read but those that
would start another program (EPS, WMF) or that it only recognises. A JPEG file of which a half, a quarter or an eighth is enough is
decoded at that size, each pixel the mean of those it stands for but for the frequencies that libjpeg leaves out.
"""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.errors import first_line

Picture = NDArray[np.uint8]

MAX_PIXELS = 178_956_970
"""Where Pillow speaks of a decompression bomb: 512 MiB of RGB."""

_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F"})
_PARTS = (8, 4, 2)
_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8", "BMP": b"BM"}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
}
_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}
# Each of these can turn a picture or make parts of it transparent, which OpenCV does otherwise or not at all.
_PNG_EXTRAS = frozenset({b"tRNS", b"eXIf", b"acTL"})
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PNG_TEXT_EXTRAS = (b"Raw profile type", b"XML:com.adobe.xmp")
_FRAMES, _FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}, struct.Struct(">BHHB")
_XMP_TURN = b"iff:Orientation"


class BadPicture(ValueError):
    """Why a picture can't be used; reads on after its name ("cat.jpg is truncated"). `content` are a file's bytes, where it was read."""

    content: bytes = b""


def decode(encoded: Any, side: int | None = None) -> Picture:
    """Decode by the rules above. Raises BadPicture for what is empty, truncated, damaged, huge or no picture.

    With `side` both sides need only be that long, in pixels.
    """
    return decode_and_measure(encoded, side)[0]


def decode_and_measure(encoded: Any, side: int | None = None) -> tuple[Picture, tuple[int, int]]:
    """As `decode`, and the (height, width) that the whole picture has."""
    content = b"" if encoded is None else bytes(encoded)
    if not content:
        raise BadPicture("has no bytes")
    kind = kind_of(content)
    plain = _plain(content, kind)
    if plain is None:
        picture = _by_pillow(content, kind)
        return picture, picture.shape[:2]
    width, height, is_grey = plain
    refuse_huge(width, height)
    part = _part(width, height, side) if kind == "JPEG" and side is not None else 1
    picture = _by_opencv(content, _flags()[is_grey][part], is_grey=is_grey)
    if part == 1:
        return picture, picture.shape[:2]
    is_turned = (picture.shape[0] > picture.shape[1]) != (height > width)
    return picture, (width, height) if is_turned else (height, width)


def _part(width: int, height: int, side: int) -> int:
    shorter = min(width, height)
    return next((part for part in _PARTS if shorter >= part * side), 1)


def shape_of(encoded: bytes) -> tuple[int, int, int]:
    """(height, width, channels) that decode() would give, from the file's header. Raises BadPicture."""
    if not encoded:
        raise BadPicture("has no bytes")
    with _opened(encoded) as image:
        # Pillow gives the size of a TIFF as it stands upright.
        is_turned = image.format != "TIFF" and _orientation(image) >= 5
        width, height = image.size[::-1] if is_turned else image.size
        return height, width, 1 if _is_grey(encoded, image) else 3


def kind_of(content: bytes) -> str | None:
    """JPEG, PNG, GIF, BMP or WebP by the first bytes; None for all else."""
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    return next((kind for kind, start in _STARTS.items() if content.startswith(start)), None)


def refuse_mislabelled(name: str, content: bytes) -> None:
    """Raise BadPicture for a file that is of one common format and named as another."""
    suffix = name[name.rfind(".") :].lower()
    kind, named = kind_of(content), _KINDS.get(suffix)
    if kind is not None and named is not None and kind != named:
        raise BadPicture(f"is a {kind} file that is named {suffix}")


def refuse_huge(width: int, height: int) -> None:
    """Raise BadPicture above MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise BadPicture(f"has {width} x {height} pixels, more than {MAX_PIXELS:,}: it may be a decompression bomb")


@cache
def picture_suffixes() -> frozenset[str]:
    """Lower-case ends of names, with the dot, of all formats that are read."""
    from PIL import Image

    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in _formats())


@cache
def _formats() -> tuple[str, ...]:
    import warnings

    from PIL import Image

    # Of half of MAX_PIXELS and of damaged EXIF, for thousands of pictures: none is a reason to speak.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    return tuple(kind for kind in Image.OPEN if kind not in _NOT_READ)


def _plain(content: bytes, kind: str | None) -> tuple[int, int, bool] | None:
    """(width, height, is grey) of a file that OpenCV decodes to the bit as Pillow does, up to 9 times faster; None for others."""
    try:
        if kind == "JPEG":
            return _plain_jpeg(content)
        if kind == "PNG" and content[24] == 8 and content[25] in (0, 2) and _is_plain_png(content):
            width, height = struct.unpack(">II", content[16:24])
            return width, height, content[25] == 0
        if kind == "BMP" and struct.unpack("<IiiHHI", content[14:34])[3:] == (1, 24, 0):
            return abs(struct.unpack("<i", content[18:22])[0]), abs(struct.unpack("<i", content[22:26])[0]), False
        if kind == "WebP" and content[12:16] == b"VP8 ":
            width, height = struct.unpack("<HH", content[26:30])
            return width & 0x3FFF, height & 0x3FFF, False
    except (IndexError, struct.error):
        raise BadPicture("is truncated") from None
    return None


def _is_plain_png(content: bytes) -> bool:
    """From chunk to chunk: reading their names costs less than searching for them."""
    at, name = 8, b""
    while at + 8 <= len(content) and name != b"IEND":
        name = content[at + 4 : at + 8]
        if name in _PNG_EXTRAS or (name in _PNG_TEXTS and content.startswith(_PNG_TEXT_EXTRAS, at + 8)):
            return False
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return True


def _plain_jpeg(content: bytes) -> tuple[int, int, bool] | None:
    """Grey or three components of 8 bits. Raises BadPicture where the end is missing, though zeros may stand in its place."""
    at, plain = 2, None
    while content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            break
        if marker in _FRAMES:
            bits, height, width, components = _FRAME.unpack_from(content, at + 4)
            plain = (width, height, components == 1) if bits == 8 and components in (1, 3) else None
        at += 2 + (content[at + 2] << 8 | content[at + 3])
    if content.rfind(b"\xff\xd9", at) < 0:
        raise BadPicture("is truncated: a JPEG file has an end mark, this has none")
    return None if content.find(_XMP_TURN, 0, at) >= 0 else plain


@cache
def _opencv() -> Any:
    import cv2

    # What it can't read is told by the source; its own lines would break a progress bar.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


@cache
def _flags() -> tuple[dict[int, int], dict[int, int]]:
    """OpenCV's for colour and for grey, by the part that is decoded. RGB out of the decoder is free, out of BGR a tenth of decoding."""
    cv2 = _opencv()
    grey = {1: cv2.IMREAD_GRAYSCALE, **{part: getattr(cv2, f"IMREAD_REDUCED_GRAYSCALE_{part}") for part in _PARTS}}
    return {part: flags | cv2.IMREAD_COLOR_RGB for part, flags in grey.items()}, grey


def _by_opencv(content: bytes, flags: int, *, is_grey: bool) -> Picture:
    cv2 = _opencv()
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise BadPicture(f"cannot be decoded ({error.err})") from error
    if picture is None:
        raise BadPicture("is truncated or damaged")
    return picture[:, :, np.newaxis] if is_grey else picture  # type: ignore[no-any-return]


def _opened(content: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(io.BytesIO(content), formats=_formats())
    except Image.DecompressionBombError:
        raise BadPicture(f"has more than {MAX_PIXELS:,} pixels: it may be a decompression bomb") from None
    except UnidentifiedImageError:
        raise BadPicture("is truncated or is no picture of a format that is read") from None
    except Exception as error:  # a plugin may raise anything over damaged bytes
        raise BadPicture(f"is truncated or damaged ({first_line(error)})") from error


def _by_pillow(content: bytes, kind: str | None) -> Picture:
    with _opened(content) as image:
        refuse_huge(*image.size)
        try:
            if kind == "PNG":
                # Pillow compares no checksums while it decodes.
                _opened(content).verify()
            if _is_deep(content, image):
                return _deep(content, image)
            image.load()
            return _turned(_flat(image), _orientation(image))
        except (BadPicture, MemoryError):
            raise
        except Exception as error:  # as above
            raise BadPicture(f"is truncated or damaged ({first_line(error)})") from error


def _flat(image: Any) -> Picture:
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        return _eight_bits(np.asarray(image))[:, :, np.newaxis]
    if mode in ("I", "F"):
        raise BadPicture(f"has 32-bit values (Pillow's mode {mode}): save it with 8 or 16 bits a channel")
    is_grey = mode in _GREY_MODES
    if image.has_transparency_data:
        picture = np.asarray(image.convert("LA" if is_grey else "RGBA")).astype(np.uint16)
        alpha = picture[..., -1:]
        return ((picture[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    flat = np.asarray(image.convert("L" if is_grey else "RGB"))
    return flat[:, :, np.newaxis] if is_grey else flat


def _is_grey(content: bytes, image: Any) -> bool:
    # Of grey with alpha in 16 bits Pillow makes RGBA.
    return image.mode in _GREY_MODES or image.mode.startswith("I;16") or (image.format == "PNG" and content[25] == 4)


def _is_deep(content: bytes, image: Any) -> bool:
    """Several channels of 16 bits, of which Pillow would keep the high byte."""
    if image.format == "PNG":
        return content[24] == 16 and image.mode != "I;16"
    return image.format == "TIFF" and image.mode in ("RGB", "RGBA", "RGBX") and 16 in image.tag_v2.get(258, ())


def _deep(content: bytes, image: Any) -> Picture:
    cv2 = _opencv()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint16 or picture.ndim != 3:
        raise BadPicture("is truncated or damaged")
    colour = picture[..., 2::-1].astype(np.float64)
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / 65535
        colour = colour * alpha + 65535 * (1 - alpha)
    flat = _eight_bits(colour[..., :1] if _is_grey(content, image) else colour)
    # OpenCV sets a TIFF upright itself.
    return flat if image.format == "TIFF" else _turned(flat, _orientation(image))


def _eight_bits(values: NDArray[Any]) -> Picture:
    return np.rint(values / 257).astype(np.uint8)


def _orientation(image: Any) -> int:
    """EXIF's 1 to 8; 1 where there is none or it can't be read."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF is no reason to lose the picture
        return 1


def _turned(picture: Picture, orientation: int) -> Picture:
    if orientation >= 5:
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)
