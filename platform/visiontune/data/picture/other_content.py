"""Why a file that no decoder knows is none of the pictures that are read, as a phrase after its name."""

from __future__ import annotations

import re
from typing import Any

from visiontune.data.picture.formats import kind_of

RAW = "is a camera's raw file: convert it to TIFF or PNG first (dcraw, darktable and rawpy do)"
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_HTML = re.compile(rb"\s*<(!doctype html|html|head|body|!--)", re.IGNORECASE)
_SVG = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!doctype svg[^>]*>\s*)?<svg", re.IGNORECASE | re.DOTALL)
_PREVIEW, _SUBFILE_TYPE, _DNG_VERSION = 1, 254, 50706
_LEAST_TEXT = 8


def why_unread(content: bytes) -> str:
    """Of a file that Pillow does not know."""
    start = content[:1024].removeprefix(b"\xef\xbb\xbf")
    if kind_of(content) == "HEIF":
        return "is HEIC, which needs pillow-heif: pip install 'visiontune[formats]'"
    if content.startswith(_RAW_STARTS) or content[4:11] == b"ftypcrx":
        return RAW
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the picture: git lfs pull fetches it"
    if _SVG.match(start):
        return "is SVG, not a picture of pixels: convert it to PNG first"
    if _HTML.match(start):
        return "is HTML, not a picture"
    if start.startswith(b"%PDF"):
        return "is a PDF, not a picture"
    return "is text, not a picture" if _is_text(start) else "is truncated or is no picture of a format that is read"


def is_camera_raw(image: Any) -> bool:
    """Whether a TIFF as Pillow opened it is one: its first picture is a preview, which Pillow would give."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_SUBFILE_TYPE, 0) & _PREVIEW or _DNG_VERSION in tags)


def _is_text(start: bytes) -> bool:
    # PostScript is a picture, of a format that is not read.
    return len(start) >= _LEAST_TEXT and not start.startswith(b"%!") and start.isascii() and not re.search(rb"[^\t\n\r\f -~]", start)
