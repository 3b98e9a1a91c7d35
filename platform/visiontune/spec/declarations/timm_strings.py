"""The strings with which timm names a policy (its `--aa`): checked here, so that nothing in one is ignored, and without importing timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from visiontune.errors import UserError, nearest

WRITTEN = "as timm's --aa: rand-m9-mstd0.5-inc1, augmix-m5-w4-d2, original-mstd0.5, 3a"
_WHOLE, _NUMBER, _FLAG, _SHARE = r"\d+", r"\d+(\.\d+)?", r"[01]", r"0(\.\d+)?|1(\.0+)?"
_AUTO = {"mstd": _NUMBER}
_PARTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "rand": {
            **{"m": _WHOLE, "n": r"[1-9]\d*", "p": _SHARE, "mstd": _NUMBER, "mmax": _WHOLE},
            **{"inc": _FLAG, "t": "weights|3aw|3a"},
        },
        "augmix": {"m": _WHOLE, "w": r"[1-9]\d*", "d": r"[1-9]\d*", "a": _NUMBER, "b": _FLAG, "mstd": _NUMBER},
        **dict.fromkeys(("original", "originalr", "v0", "v0r", "3a"), _AUTO),
    }
)
"""What may follow each policy's name, and the values of it. timm takes no notice of a part without a digit: mstdinf is mstd101."""


def settle_auto_augment(given: str, file: str) -> str:
    """The string. Raises UserError where timm would not read all of it.

    >>> settle_auto_augment("rand-m9-mstd0.5-inc1", "")
    'rand-m9-mstd0.5-inc1'
    """
    name, *parts = given.split("-")
    if name not in _PARTS:
        raise UserError(f"must be {WRITTEN}, but got {given!r}; {nearest(name, _PARTS)}")
    seen: set[str] = set()
    for part in parts:
        key = next((key for key in sorted(_PARTS[name], key=len, reverse=True) if re.fullmatch(f"{key}({_PARTS[name][key]})", part)), None)
        if key is None or key in seen:
            why = "says again" if key in seen else "has no meaning after " + name + " for timm in"
            raise UserError(f"{part!r} {why} {given!r}; after {name} may stand each once: {', '.join(_PARTS[name])}, with a value")
        seen.add(key)
    return given
