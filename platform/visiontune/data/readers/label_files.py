"""Labels in files of their own, one beside each picture: a text, or JSON. What shards and folders have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pyarrow as pa

from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.column_values import are_integers, plain_values, without_points
from visiontune.data.readers.item import joined
from visiontune.data.readers.manifest_labels import SEPARATORS
from visiontune.errors import Problem, UserError
from visiontune.filesystem.decoded_text import READABLE, decoded
from visiontune.filesystem.json_text import from_json

Said = str | list[str] | BadPicture | None
"""What a file says: a text, or the entries of a list; None for neither, and why where it is no text or can't be read."""

_READS_AT_ONCE = 32
_MARKS = ("\n", *SEPARATORS)


def said_by(root: Root, names: Sequence[str], suffix: str, field: str = "") -> list[Said]:
    """What each says, in JSON its `field`; many are asked for at once where they come from a network."""

    def said(name: str) -> Said:
        return _said(root, name, suffix, field)

    if not root.is_remote:
        return [said(name) for name in names]
    with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
        return [*pool.map(said, names)]


def says(said: Said) -> bool:
    """Whether it is something, be it an empty list."""
    return isinstance(said, str | list)


def fields_of(root: Root, names: Sequence[str]) -> list[str]:
    """All keys of these JSON files, in order; none of what is no mapping."""
    fields: dict[str, None] = {}
    for name in names:
        try:
            found = from_json(_read(root, name))
        except ValueError:  # BadPicture is one
            continue
        fields |= dict.fromkeys(found if isinstance(found, dict) else ())
    return [*fields]


def mark_of(said: Iterable[Said]) -> str | None:
    """What parts classes in texts: a new line, the first of | ; , that stands in one, or a space where all words are numbers.

    >>> mark_of(["cat, dog", "sea lion"]), mark_of(["3 17", "4"]), mark_of(["sea lion", ["cat", "dog"]])
    (',', ' ', None)
    """
    texts = texts_of(said)
    are_numbers = all(word.isdigit() for text in texts for word in text.split())
    found = next((mark for mark in _MARKS if any(mark in text for text in texts)), None)
    return found or (" " if are_numbers and any(" " in text for text in texts) else None)


def texts_of(said: Iterable[Said]) -> list[str]:
    """What is said in texts."""
    return [one for one in said if isinstance(one, str)]


def labels_of(said: Mapping[str, Sequence[Said]], mark: str | None, *, has_many: bool) -> dict[str, list[str | None]]:
    """By part the label of each, None for none; with `has_many` all of each joined, parted by `mark` in a text.

    Raises UserError for 0 and 1.
    """
    if not has_many:
        found = {part: plain_values(pa.array([_only(one) for one in ones], pa.string())) for part, ones in said.items()}
        is_number = are_integers(found.values())
        return {part: [*(without_points(column) if is_number else column).to_pylist()] for part, column in found.items()}
    for ones in said.values():
        _refuse_columns([one for one in ones if isinstance(one, list)])
    return {
        part: [None if one is None or isinstance(one, BadPicture) else joined(_words(one, mark)) for one in ones]
        for part, ones in said.items()
    }


def why_none(said: Said, name: str) -> str:
    """Why what a file says is no label, where a picture has one class."""
    if isinstance(said, BadPicture):
        return f"has a file for its label that {said}: {name}"
    return f"has several labels in {name}; labels: many takes them" if len(_lines(said)) > 1 else f"has no label in {name}"


def _only(said: Said) -> str | None:
    return words[0] if len(words := _lines(said)) == 1 else None


def _lines(said: Said) -> list[str]:
    """All that a picture of one class may have one of."""
    return [] if said is None or isinstance(said, BadPicture) else list(dict.fromkeys(_words(said, "\n")))


def _words(said: str | list[str], mark: str | None) -> list[str]:
    if isinstance(said, list):
        return said
    return [word.strip() for word in (said.split(mark) if mark else [said]) if word.strip()]


def _said(root: Root, name: str, suffix: str, field: str) -> Said:
    try:
        text = _read(root, name)
    except BadPicture as error:
        return error
    is_json = suffix.split(".")[-1] == "json"
    if not is_json and not text.startswith("["):
        return text
    try:
        known = from_json(text)
    except ValueError:
        return None if is_json else text
    return _entries(known.get(field) if isinstance(known, dict) else known)


def _read(root: Root, name: str) -> str:
    """With "\\n" at the end of each line, as on any system. Raises BadPicture for what is no text."""
    try:
        text = decoded(root.read(name))
    except UnicodeDecodeError as error:
        raise BadPicture(f"is no text in {READABLE} ({error.reason})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _entries(value: Any) -> Said:
    if not isinstance(value, list):
        return _text(value)
    entries = [_text(one) for one in value]
    return None if None in entries else [one for one in entries if one]


def _text(value: Any) -> str | None:
    """None for what is neither a text nor an integer."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int) else None


def _refuse_columns(lists: Sequence[Sequence[str]]) -> None:
    """Raise UserError for lists with a place for each class: taken as names, all classes would be 0 and 1."""
    if any(len({*one}) < len(one) for one in lists) and {*chain.from_iterable(lists)} <= {"0", "1"}:
        rule = "lists must hold the classes of a picture by name or number, but hold 0 and 1 with a place for each class"
        raise UserError(Problem("", 0, "data.labels", f"{rule}; a table with label_columns (source: manifest) is read so"))
