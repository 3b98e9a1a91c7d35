"""A file of YAML 1.2 as a tree of `Node`s; a hostile one is refused before it costs anything.

Read from the stream of parse events, so that the bounds on depth and size stop the reading itself.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from visiontune.errors import Problem, UserError
from visiontune.filesystem.decoded_text import READABLE, decoded, line_of
from visiontune.spec.yaml.near_files import missing_rule
from visiontune.spec.yaml.yaml_node import Node, is_number, scalar

MAX_BYTES = 128 * 1024
MAX_DEPTH = 32
MAX_NODES = 5_000
MAX_DIGITS = 64


_MEANT = {
    "found character '\\t' that cannot start any token": "a tab stands here, and YAML takes spaces alone",
    "mapping values are not allowed here": "a `key: value` can't stand here; look at how far it is indented, and at the line before",
    "expected <block end>, but found '<block mapping start>'": "this line is indented otherwise than those that it should stand with",
    "expected ',' or '}', but got '<stream end>'": "a { is never closed",
    "expected ',' or ']', but got '<stream end>'": "a [ is never closed",
    "found unexpected end of stream": "a quotation mark is never closed",
    "expected the node content, but found ','": "nothing stands before this comma",
    "found character '%' that cannot start any token": "a value that begins with % stands in quotes",
    "found character '@' that cannot start any token": "a value that begins with @ stands in quotes",
    "found character '`' that cannot start any token": "a value that begins with ` stands in quotes",
}
"""Of what the parser says, where that is none of a user's words."""


def read_yaml(path: Path, problems: list[Problem] | None = None, *, is_recipe: bool = False) -> Node:
    """The file's only document. Raises UserError, in place of a file that is not there with recipes or with search spaces that are.

    Repeated keys are added to `problems` where that is given.
    """
    found: list[Problem] = []
    root = compose(_text(path, is_recipe=is_recipe), str(path), found)
    if problems is None and found:
        raise UserError(*found)
    if problems is not None:
        problems.extend(found)
    return root


def compose(text: str, file: str, repeated: list[Problem], line: int | None = None) -> Node:
    """Text to Nodes; repeated keys are added to `repeated`. `line`, where given, is the line of every Node."""
    parser = YAML(typ="safe", pure=True)
    try:
        root = _Composer(parser.parse(text), file, line, repeated).document()
    except ReaderError as error:
        at = text.count("\n", 0, error.position) + 1
        raise UserError(Problem(file, at, "", f"is no YAML: character U+{_code(error.character):04X} is not allowed")) from None
    except MarkedYAMLError as error:
        is_open = str(error.problem).startswith("found unexpected end") and error.context_mark is not None
        mark = error.context_mark if is_open else error.problem_mark or error.context_mark
        at = line if line is not None else mark.line + 1 if mark else 0
        what = _MEANT.get(str(error.problem)) or " ".join(str(part) for part in (error.context, error.problem) if part)
        raise UserError(Problem(file, at, "", f"is no YAML: {what}")) from None
    except YAMLError as error:
        raise UserError(Problem(file, line or 0, "", f"is no YAML: {error}")) from None
    return root


class _Composer:
    """One pass over parse events; stops at the first thing that is out of bounds."""

    def __init__(self, events: Iterator[Any], file: str, line: int | None, repeated: list[Problem]) -> None:
        self.events, self.file, self.fixed_line, self.repeated = events, file, line, repeated
        self.num_nodes = 0

    def document(self) -> Node:
        root = None
        for event in self.events:
            name = type(event).__name__
            if name in ("StreamStartEvent", "StreamEndEvent", "DocumentStartEvent", "DocumentEndEvent"):
                continue
            if root is not None:
                self.refuse(event, "one document was expected, but a second one starts here")
            root = self.node(event, 0, "")
        return root or Node("scalar", None, self.file, self.line(None))

    def node(self, event: Any, depth: int, where: str) -> Node:
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES:
            self.refuse(event, f"at most {MAX_NODES:,} values may stand in a file")
        if depth > MAX_DEPTH:
            self.refuse(event, f"nested more than {MAX_DEPTH} levels deep")
        if event.anchor is not None:
            why = "a few lines of them can grow to gigabytes; write the value out"
            self.refuse(event, f"anchors and aliases ('{event.anchor}') are refused: {why}")
        if event.tag is not None:
            self.refuse(event, f"tags ('{event.tag}') are refused: write a plain value, or quotes around a string")
        name = type(event).__name__
        if name == "SequenceStartEvent":
            return Node("list", tuple(self.children("SequenceEndEvent", depth, where)), self.file, self.line(event))
        if name == "MappingStartEvent":
            nodes = list(self.children("MappingEndEvent", depth, where))
            return Node("mapping", self.pairs(nodes, where), self.file, self.line(event))
        if event.implicit[0] and event.value != event.value.strip():
            odd = event.value[0] if event.value[0].isspace() else event.value[-1]
            self.refuse(event, f"U+{ord(odd):04X} stands beside {event.value.strip()!r}, a space that YAML takes for a letter")
        if event.implicit[0] and len(event.value) > MAX_DIGITS and is_number(event.value):
            self.refuse(event, f"a number has at most {MAX_DIGITS} characters, but this one has {len(event.value):,}")
        return Node("scalar", scalar(event.value) if event.implicit[0] else event.value, self.file, self.line(event))

    def children(self, end: str, depth: int, where: str) -> Iterator[Node]:
        """Nodes up to `end`. In a mapping every other one is a key, whose value is its text."""
        here = where
        for position, event in enumerate(self.events):
            if type(event).__name__ == end:
                return
            node = self.node(event, depth + 1, here)
            if end == "MappingEndEvent" and position % 2 == 0:
                if node.kind != "scalar":
                    template = ", as of a template's {{ }}, which nothing fills in here" if node.kind == "mapping" else ""
                    self.refuse(event, f"a key must be a plain word, but is a {node.kind}{template}")
                if event.value == "<<":
                    self.refuse(event, "merge keys (<<) are refused, as aliases are: write the keys out")
                node = Node("scalar", event.value, self.file, node.line)
                here = f"{where}.{event.value}".lstrip(".")
            yield node

    def pairs(self, nodes: Sequence[Node], where: str) -> tuple[tuple[Node, Node], ...]:
        seen: dict[str, Node] = {}
        for key in nodes[::2]:
            if key.value in seen:
                place = f"in line {seen[key.value].line}" if key.line else "before"
                rule = f"a key may stand once, but {key.value!r} stands {place} already"
                self.repeated.append(Problem(self.file, key.line, f"{where}.{key.value}".lstrip("."), rule))
            seen.setdefault(key.value, key)
        return tuple((key, self.at_key(key, value)) for key, value in zip(nodes[::2], nodes[1::2], strict=True))

    def at_key(self, key: Node, value: Node) -> Node:
        """A value that was left out has the parser's mark of what comes next; its place is the key's."""
        return Node("scalar", None, self.file, key.line) if value.kind == "scalar" and value.value is None else value

    def line(self, event: Any) -> int:
        if self.fixed_line is not None:
            return self.fixed_line
        return event.start_mark.line + 1 if event else 1

    def refuse(self, event: Any, rule: str) -> NoReturn:
        raise UserError(Problem(self.file, self.line(event), "", rule))


def _code(character: int | str) -> int:
    return character if isinstance(character, int) else ord(character)


def _text(path: Path, *, is_recipe: bool) -> str:
    """The file's text, never more than MAX_BYTES of it."""
    file = str(path)
    try:
        _refuse_no_file(path, is_recipe=is_recipe)
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(Problem(file, 0, "", f"a file has at most {MAX_BYTES:,} bytes, but this one has {path.stat().st_size:,}"))
        return decoded(content)
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is 0x{content[error.start]:02x} ({error.reason})"
        raise UserError(Problem(file, line_of(error), "", f"is no text in {READABLE}: {what}")) from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _content_for_path(file) from None
        raise UserError(Problem(file, 0, "", f"can't be read: {error.strerror}")) from None


def _refuse_no_file(path: Path, *, is_recipe: bool) -> None:
    """Raise UserError for what is no file, OSError for what can't be looked at."""
    file = str(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if "\n" in file:
            raise _content_for_path(file) from None
        raise UserError(Problem(file, 0, "", missing_rule(path, is_recipe=is_recipe))) from None
    if not stat.S_ISREG(mode):
        what = "folder" if stat.S_ISDIR(mode) else "device or a pipe"
        raise UserError(Problem(file, 0, "", f"a YAML file was expected, but this is a {what}"))


def _content_for_path(text: str) -> UserError:
    rule = f"the path of a YAML file was expected, but {text[:40]!r}... looks like a file's content"
    return UserError(f"{rule}; give the file's path, or in Python its content as a mapping")
