"""What describes a set of YOLO's: data.yaml with names and the parts' folders, or a list of names alone.

Ultralytics' rules, but for one: a path of another machine means the longest end of it that is below the folder, and this is said.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visiontune.data.class_names import PARTS
from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.decoded_text import decoded
from visiontune.spec.yaml.yaml_reader import compose

YAML_SUFFIXES = (".yaml", ".yml")
NAME_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
"""Of LabelImg and Label Studio, CVAT, Roboflow: a name a line."""
OTHER_MARKS = (",", ";", "|")
"""What is found between numbers in place of spaces."""


@dataclass(frozen=True)
class Description:
    """`names` by number; `folders`: what is written for each part, empty where nothing is; `has_keypoints`: lines end with keypoints.

    `base` is the folder that the file says all of it lies in, "" where it says none.
    """

    file: str
    names: Mapping[int, str]
    base: str = ""
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_keypoints: bool = False


def description_in(root: Root, files: Iterable[str]) -> Description | None:
    """What `files` of the root say, the first of data.yaml, other YAML files and lists of names; None where none does. Raises UserError."""
    files = sorted(files, key=lambda name: (posixpath.basename(name) != "data.yaml", name.count("/"), name))
    for name in files:
        if name.endswith(YAML_SUFFIXES) and (found := read_yaml(root, name)) is not None:
            return found
    lists = [name for name in files if posixpath.basename(name) in NAME_LISTS]
    found_names = {name: _lines(root, name) for name in lists}
    if len(set(map(tuple, found_names.values()))) > 1:
        rule = (
            f"must give the same names as {posixpath.basename(lists[0])} beside it, or their numbers mean nothing; data.yaml says it once"
        )
        raise UserError(Problem(root.show(lists[1]), 0, "", rule))
    return Description(lists[0], dict(enumerate(found_names[lists[0]]))) if lists else None


def read_yaml(root: Root, name: str) -> Description | None:
    """What a YAML file says; None where it has no `names`. Raises UserError."""
    said = _plain(root, name)
    if not isinstance(said, dict) or not said.get("names"):
        return None
    names = said["names"]
    pairs = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else ()
    try:
        by_number = {int(number): str(one).strip() for number, one in pairs}
    except ValueError:
        by_number = {}
    if not by_number:
        raise UserError(Problem(root.show(name), 0, "names", "must be a list of names, or a mapping of numbers to names"))
    base = str(said.get("path") or "")
    folders = {part: [_joined(base, str(one)) for one in _listed(said.get(part))] for part in PARTS}
    return Description(name, by_number, base, folders, "kpt_shape" in said)


def numbers_of(line: str) -> list[float]:
    """A line of labels. Raises ValueError where its words are none, which says what parts them in place of spaces.

    >>> numbers_of("0 .5 .5 1 1")
    [0.0, 0.5, 0.5, 1.0, 1.0]
    """
    try:
        return [float(word) for word in line.split()]
    except ValueError as error:
        mark = next((one for one in OTHER_MARKS if one in line), None)
        raise ValueError(f"numbers are parted by spaces, but these by {mark!r}") from None if mark else error


def end_below(written: str, is_there: Callable[[str], bool]) -> str | None:
    """The longest end of a written path that is there, "" for the root itself; None where none is."""
    words = [word for word in written.replace("\\", "/").split("/") if word not in ("", ".", "..")]
    ends = ["/".join(words[start:]) for start in range(len(words))]
    return next(filter(is_there, ends), None) if words else ""


def _joined(base: str, written: str) -> str:
    return written if written.startswith(("/", "../")) or written[1:2] == ":" else posixpath.join(base, written)


def _listed(value: Any) -> list[Any]:
    return [one for one in (value if isinstance(value, list) else [value]) if one]


def _plain(root: Root, name: str) -> Any:
    problems: list[Problem] = []
    try:
        said = compose(decoded(root.read(name)), root.show(name), problems).plain()
    except (BadPicture, UnicodeDecodeError) as error:
        raise UserError(Problem(root.show(name), 0, "", f"must be a YAML file, but {first_line(error)}")) from error
    if problems:
        raise UserError(*problems)
    return said


def _lines(root: Root, name: str) -> list[str]:
    try:
        return [line.strip() for line in decoded(root.read(name)).splitlines() if line.strip()]
    except (BadPicture, UnicodeDecodeError) as error:
        raise UserError(Problem(root.show(name), 0, "", f"must be a list of names, but {first_line(error)}")) from error
