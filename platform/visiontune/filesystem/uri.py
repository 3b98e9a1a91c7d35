"""URIs, and how they are shown to people: never with credentials."""

from __future__ import annotations

import re

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PORT = r"\d+(?:[/?#]|$)"
_WITH_PASSWORD = rf"[^/@:\s]*:(?!{_PORT})[^@\s]+@"  # in which a "/" or "@" may stand as it is, against the rules
_USER = re.compile(rf"(?<=://)(?:{_WITH_PASSWORD}|)(?:[^/\s]*@|)")
_PASSWORD = re.compile(f"://{_WITH_PASSWORD}")
_SECRET = re.compile(r"(?<=[?&])([^=&\s]*(?:key|token|secret|passw|pwd|signature|credential)[^=&\s]*|sig)=[^&\s]*", re.IGNORECASE)


def is_uri(text: str) -> bool:
    """Whether it is a URI and not a path.

    >>> is_uri("s3://bucket/folder"), is_uri("pictures/cats")
    (True, False)
    """
    return _URI.match(text) is not None


def has_secret(text: str) -> bool:
    """Whether a URI in it holds a password, or the value of a secret argument; a user's name alone is none.

    >>> has_secret("s3://KEY:SECRET@bucket"), has_secret("hdfs://me@host/cats"), has_secret("https://host/a.zip?token=abc")
    (True, False, True)
    """
    return _PASSWORD.search(text) is not None or (is_uri(text) and _SECRET.search(text) is not None)


def shown(text: str) -> str:
    """Every URI in it without user and password, and without the values of secret arguments; all else as it is.

    >>> shown("s3://KEY:SECRET@bucket/cats?secret_key=x&region=eu")
    's3://bucket/cats?secret_key=...&region=eu'
    """
    return _SECRET.sub(r"\1=...", _USER.sub("", text))
