"""Formats of picture files: what a file is by its first bytes and by its name, and which are read at all."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from threading import Lock

_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
_STARTS = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF8",),
    "BMP": (b"BM",),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "HEIF": (".heic", ".heif", ".hif"),
    "DICOM": (".dcm", ".dicom"),
}
KINDS = tuple(_SUFFIXES)
"""What `kind_of` can give."""

CAMERA_RAW = frozenset({".cr2", ".cr3", ".nef", ".nrw", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef", ".srw"})
"""Not read, but pictures to whoever took them: left out in silence they would be missed."""

_READERS = {"pillow-heif": "pillow_heif", "pydicom": "pydicom"}
"""Packages, by the module that is imported."""

_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}
_REGISTERING = Lock()
"""Threads that meet their first picture together would read a table that is being filled."""

_HEIF = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)


def kind_of(content: bytes) -> str | None:
    """One of KINDS by the first bytes; None for all else. TIFF includes cameras' raw files that are built like it."""
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if (kind := next((kind for kind, start in _STARTS.items() if content.startswith(start)), None)) is not None:
        return kind
    if content[128:132] == b"DICM":
        return "DICOM"
    return "HEIF" if _HEIF.match(content) and b"avif" not in content[8:64] else None


def installed_readers() -> tuple[str, ...]:
    """Of the packages that read a format which Pillow does not, those that are here."""
    return tuple(package for package, module in _READERS.items() if find_spec(module) is not None)


def kind_named(name: str) -> str | None:
    """One of KINDS by the end of a name; None where it says none of them."""
    return _KINDS.get(name[name.rfind(".") :].lower())


@cache
def picture_suffixes() -> frozenset[str]:
    """Lower-case ends of names, with the dot, of all formats that are read or that are told as pictures that can't be."""
    from PIL import Image

    formats = pillow_formats()
    read = {suffix for suffix, kind in Image.registered_extensions().items() if kind in formats}
    return frozenset({*read, *_KINDS, *CAMERA_RAW})


@cache
def pillow_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read, with HEIF where pillow-heif is installed."""
    import warnings

    from PIL import Image

    # Warnings of more than half of MAX_PIXELS and of damaged EXIF, for thousands of pictures: neither makes a picture unusable.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with _REGISTERING:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            pass
        else:
            register_heif_opener()
        Image.init()
        return tuple(kind for kind in Image.OPEN if kind not in _NOT_READ)
