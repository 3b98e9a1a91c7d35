"""Text out of a file's bytes: UTF-8, or the Unicode encoding whose mark (BOM) the file begins with, as programs of Windows write them."""

from __future__ import annotations

import codecs

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
READABLE = "UTF-8, or UTF-16 or UTF-32 with its mark"


def decoded(content: bytes) -> str:
    r"""The text, without a mark. Raises UnicodeDecodeError, also for UTF-16 or UTF-32 without a mark, which ASCII makes UTF-8 with NULs.

    >>> decoded("käse".encode("utf-16")), decoded(b"\xef\xbb\xbfcat"), decoded(b"cat")
    ('käse', 'cat', 'cat')
    """
    encoding = next((encoding for mark, encoding in _MARKS.items() if content.startswith(mark)), "utf-8")
    text = content.decode(encoding)  # not by utf-8-sig, whose errors count bytes from behind the mark
    if (at := text.find("\0")) >= 0:
        start = len(text[:at].encode(encoding))
        why = "" if content.startswith((codecs.BOM_UTF8, *_MARKS)) else ", as of UTF-16 or UTF-32 without its mark"
        raise UnicodeDecodeError(encoding, content, start, start + 1, f"a NUL{why}")
    return text.removeprefix("\ufeff") if encoding == "utf-8" else text


def line_of(error: UnicodeDecodeError) -> int:
    """The line, from 1, that has the byte which `decoded` refused."""
    return error.object[: error.start].decode(error.encoding, "replace").count("\n") + 1
