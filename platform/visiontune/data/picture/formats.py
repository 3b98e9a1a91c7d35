"""Formats of picture files: what a file is by its first bytes and by its name, and which are read at all."""

from __future__ import annotations

from functools import cache

from visiontune.data.picture.bad_picture import BadPicture

_NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "GIF": b"GIF8", "BMP": b"BM"}
_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
}
_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes}


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


@cache
def picture_suffixes() -> frozenset[str]:
    """Lower-case ends of names, with the dot, of all formats that are read."""
    from PIL import Image

    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in pillow_formats())


@cache
def pillow_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are read."""
    import warnings

    from PIL import Image

    # Warnings of more than half of MAX_PIXELS and of damaged EXIF, for thousands of pictures: neither makes a picture unusable.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    return tuple(kind for kind in Image.OPEN if kind not in _NOT_READ)
