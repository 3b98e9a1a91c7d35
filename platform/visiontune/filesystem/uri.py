"""URIs, and how they are shown to people: never with credentials."""

from __future__ import annotations

import re

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_SECRET = re.compile(r"(?<=[?&])([^=&\s]*(?:key|token|secret|password|signature|credential)[^=&\s]*)=[^&\s]*", re.IGNORECASE)


def is_uri(text: str) -> bool:
    """Whether it is a URI and not a path.

    >>> is_uri("s3://bucket/folder"), is_uri("pictures/cats")
    (True, False)
    """
    return _URI.match(text) is not None


def shown(text: str) -> str:
    """Every URI in it without user and password, and without the values of secret arguments; all else as it is.

    >>> shown("s3://KEY:SECRET@bucket/cats?secret_key=x&region=eu")
    's3://bucket/cats?secret_key=...&region=eu'
    """
    return _SECRET.sub(r"\1=...", _USER.sub("", text))
