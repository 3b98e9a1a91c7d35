"""Files and folders that a user leaves out, by patterns: their count is said, and a pattern must leave something out.

A pattern without "/" is the name of a file or folder at any depth; one with "/" is a path from the source's folder, in which `**` is any
number of folders. `*`, `?` and `[...]` are a shell's, and stay within a name.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from glob import escape
from itertools import islice

from visiontune.data.file_names import as_utf8, identity, is_hidden, printable
from visiontune.data.file_tree import Root
from visiontune.errors import Problem, UserError, near_names
from visiontune.spec.yaml.yaml_node import scalar

_WHERE = "data.exclude"
_MOST_NAMES = 5000
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


def exclude_of(names: Sequence[str]) -> str:
    """What a study would say to leave out these files or folders.

    >>> exclude_of(["old", "12 [a]"])
    'exclude: [old, "12 [[]a]"]'
    """
    patterns = [escape(as_utf8(name)) for name in names]
    written = [one if _PLAIN.fullmatch(one) and scalar(one) == one else json.dumps(one, ensure_ascii=False) for one in patterns]
    return f"exclude: [{', '.join(written)}]"


class Excluded:
    """What `patterns` leave out of a root's listings; `root` is that root without them."""

    def __init__(self, root: Root, patterns: Sequence[str]) -> None:
        self._patterns = {pattern: _segments(pattern) for pattern in patterns}
        self._found: dict[str, tuple[str, str]] = {}
        self.root = replace(root, leaves_out=self._leaves_out) if patterns else root

    def notes(self) -> Iterator[str]:
        """How much each pattern left out of what was listed. Raises UserError for one that left out nothing."""
        counts = Counter(self._found.values())
        unused = [pattern for pattern in self._patterns if not any(pattern == one for one, _ in counts)]
        if unused:
            raise UserError(*(Problem("", 0, _WHERE, self._unused(pattern)) for pattern in unused))
        for pattern in self._patterns:
            nums = {kind: counts[pattern, kind] for kind in ("file", "folder") if counts[pattern, kind]}
            shown = " and ".join(f"{num:,} {kind}{'s'[: num > 1]}" for kind, num in nums.items())
            yield f"exclude: {pattern!r} leaves out {shown}"

    def _leaves_out(self, name: str, kind: str) -> bool:
        if name not in self._found:
            path = identity(name).split("/")
            pattern = next((one for one, segments in self._patterns.items() if _matches(path, segments)), None)
            if pattern is None:
                return False
            self._found[name] = pattern, kind
        return True

    def _unused(self, pattern: str) -> str:
        names = dict.fromkeys(
            printable(name) for _, found in self.root.walk() for name in (*found.folders, *found.files) if not is_hidden(name)
        )
        last = pattern.rstrip("/").rpartition("/")[2]
        near = near_names(last, islice(names, _MOST_NAMES))
        return f"each pattern must leave something out of {self.root.shown}, but {pattern!r} does not{near}"


def _segments(pattern: str) -> tuple[str, ...]:
    path = identity(pattern).removesuffix("/")
    return tuple(path.removeprefix("/").split("/")) if "/" in path else ("**", path)


def _matches(path: Sequence[str], segments: Sequence[str]) -> bool:
    if len(segments) == 2 and segments[0] == "**":  # the usual case, a million times
        return fnmatchcase(path[-1], segments[1])
    if not segments or not path:
        return not path and all(one == "**" for one in segments)
    if segments[0] == "**":
        return _matches(path, segments[1:]) or _matches(path[1:], segments)
    return fnmatchcase(path[0], segments[0]) and _matches(path[1:], segments[1:])
