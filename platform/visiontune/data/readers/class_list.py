"""Names of classes by number, as data with numeric labels have them in a file beside: lines of text, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_file
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.item import Item, joined, parted
from visiontune.errors import Problem, UserError, first_line, plural
from visiontune.filesystem.decoded_text import decoded

_STEMS = ("classes", "classnames", "class_names", "class_index", "imagenet_class_index", "labels", "label_names")
CLASS_LISTS = tuple(f"{stem}{suffix}" for stem in _STEMS for suffix in (".txt", ".json"))
"""Names of such files, as LabelImg, CLIP's benchmark, Keras and others publish them."""

WHERE = "data.class_names"


def class_list_in(root: Root, folder: str = "") -> str | None:
    """The first file of a folder that gives at least two names, no two alike; None for none, such as one with a label for each picture."""
    for name in (name for name in CLASS_LISTS if name in root.scan(folder).files):
        path = f"{folder}/{name}".lstrip("/")
        try:
            names = _names(root, path)
        except UserError:
            continue
        if len(names) >= 2:
            return path
    return None


def read_class_list(text: str) -> Mapping[int, str]:
    """The names by number. Raises UserError for a file that gives none, and for two numbers of one name."""
    return _names(*open_file(text, WHERE))


def named(parts: Mapping[str, Sequence[Item]], names: Mapping[int, str], *, has_many: bool = False) -> dict[str, list[Item]]:
    """The items with names for labels, `has_many` of them joined. Raises UserError for a label that is no number of the list."""
    labels = (label for found in parts.values() for item in found for label in (parted(item.label) if has_many else [item.label]))
    unknown = Counter(label for label in labels if not _is_number(label) or int(label) not in names)
    if unknown:
        label, num = unknown.most_common(1)[0]
        rule = f"must name every label by its number, {min(names)} to {max(names)}, but {len(unknown):,} have none, such as {label!r}"
        raise UserError(Problem("", 0, WHERE, f"{rule} of {plural(num, 'picture')}; without the key labels are the classes"))

    def name(label: str) -> str:
        return joined(names[int(one)] for one in parted(label)) if has_many else names[int(label)]

    return {part: [item._replace(label=name(item.label)) for item in found] for part, found in parts.items()}


def _is_number(label: str) -> bool:
    return label.isascii() and label.isdigit()


def _names(root: Root, name: str) -> dict[int, str]:
    where = root.show(name)
    try:
        text = decoded(root.read(name))
        found = _of_json(json.loads(text)) if name.lower().endswith(".json") else dict(enumerate(_lines(text)))
    except (BadPicture, ValueError, TypeError, IndexError, RecursionError) as error:
        raise UserError(Problem(where, 0, WHERE, f"must be lines of names, or JSON of names by number, but {first_line(error)}")) from error
    repeated = [one for one, num in Counter(found.values()).items() if num > 1]
    if repeated or not found:
        rule = f"must have a name of its own for each number, but {f'{repeated[0]!r} is of several' if repeated else 'has none'}"
        raise UserError(Problem(where, 0, WHERE, rule))
    return found


def _lines(text: str) -> list[str]:
    """Empty ones at the end alone are none: another would move all numbers after it."""
    return [line.strip() for line in text.rstrip().splitlines()]


def _of_json(said: Any) -> dict[int, str]:
    """A list of names, {number: name}, {name: number}, or {number: [name, more words]} as Keras has ImageNet's. Raises ValueError."""
    if isinstance(said, list):
        return dict(enumerate(map(_text, said)))
    if not isinstance(said, dict):
        raise ValueError("it is neither a list nor a mapping")
    if all(isinstance(value, int) for value in said.values()):
        return {number: name for name, number in said.items()}
    return {int(number): _text(value) for number, value in said.items()}


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, list) else value
    if not isinstance(first, str) or not first:
        raise ValueError(f"{value!r} is no name")
    return first
