"""Names for stores: a small file for each beside them, which says the digest and the section `data` that made it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visiontune.data.store.store import Store
from visiontune.errors import UserError, nearest
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.json_text import read_mapping
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.parse_data import without_defaults
from visiontune.spec.tables.sources import SOURCES

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAMES = "names"


def refuse_name(cache: Path, name: str, data: Mapping[str, Any]) -> None:
    """Raise UserError for what can't name a file, and for the name of pictures from elsewhere."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"a name of pictures may have up to 100 letters, digits, '.', '_' and '-', but got {name!r}")
    path = cache / _NAMES / f"{name}.json"
    if path.exists():
        known = without_defaults(read_mapping(path, "data")["data"])
        if _source(known) != _source(without_defaults(data)):
            said = ", ".join(f"{key}: {value}" for key, value in _source(known)[1].items())
            rule = f"the name {name} is that of other pictures ({said or 'another source'}) in {cache}"
            raise UserError(f"{rule}; take another name, or remove {path} to free it")


def _source(data: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    return chosen(SOURCES, data, "source")


def give_name(cache: Path, name: str, store: Store, data: Mapping[str, Any]) -> Path | None:
    """Give the store a name; returns the store that the name meant before, if that is another one. Raises OSError."""
    path = cache / _NAMES / f"{name}.json"
    digest = store.path.stem
    before = read_mapping(path, "digest")["digest"] if path.exists() else digest
    write_whole(path, json.dumps({"digest": digest, "data": data, "first_name": store.first_name}, indent=1, ensure_ascii=False))
    return None if before == digest else cache / f"{before}.arrow"


def find_store(cache: Path, text: str) -> tuple[Path, Mapping[str, Any] | None, str]:
    """The path that a name, a digest or its beginning means; where it is a name, the section `data`, and what its first picture is called.

    That is "" for a name from before it was kept. Raises UserError for none.
    """
    if _NAME.fullmatch(text):
        path = cache / _NAMES / f"{text}.json"
        if path.exists():
            known = read_mapping(path, "digest", "data")
            return cache / f"{known['digest']}.arrow", known["data"], known.get("first_name", "")
        found = sorted(cache.glob(f"{text}*.arrow"))
        if len(found) == 1:
            return found[0], None, ""
        if found:
            raise UserError(f"{text!r} must name one store, but {len(found)} begin with it: {', '.join(one.stem for one in found[:5])}")
    raise UserError(f"no data {text!r} in {cache}; {nearest(text, known_names(cache))}")


def known_names(cache: Path) -> list[str]:
    """Names, then digests of stores without one."""
    names = names_of(cache)
    return [*names, *sorted(path.stem for path in cache.glob("*.arrow") if path.stem not in {*names.values()})]


def names_of(cache: Path) -> dict[str, str]:
    """The digest that each name means, sorted."""
    return {path.stem: read_mapping(path, "digest")["digest"] for path in sorted((cache / _NAMES).glob("*.json"))}
