"""Content as text that is the same everywhere: dotted keys, digests, and seeds that are functions of a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to dotted keys; lists and values stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {prefix + key: value})
    return flat


def fingerprint(content: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def keyed_seed(*key: int | str) -> int:
    """A 31-bit seed that is a function of its key alone: (study seed, "trial", number) and the like."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big") >> 1
