"""WebDataset's shards: which tar files a text means, and the samples in them.

A sample is what has one key: the path of a member up to the first dot of its name; what follows is the suffix (0001.jpg, 0001.cls).
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import islice, product
from typing import NamedTuple

from visiontune.data.archives.index import Index
from visiontune.data.archives.open_archive import is_archive_name, volume_of
from visiontune.data.archives.volume import Volume
from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import beside, open_folder
from visiontune.data.picture.formats import picture_suffixes
from visiontune.errors import Problem, UserError, plural

SUFFIX = ".tar"
_BRACES = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NUMBERED = re.compile(r"(.*?)(\d+)\.tar", re.IGNORECASE)
_MOST_SHARDS = 100_000
_MAX_LISTED = 5


@dataclass(frozen=True)
class Shards:
    """The shards of one part: the folder that they lie in, and bytes and index of each by its name."""

    folder: Root
    volumes: dict[str, tuple[Volume, Index]]


class Sample(NamedTuple):
    """`members` by suffix, without the first dot."""

    key: str
    members: Mapping[str, str]


def is_pattern(text: str) -> bool:
    """Whether it means several shards: train-{000000..000099}.tar, or train-*.tar."""
    return text.lower().endswith(SUFFIX) and any(mark in posixpath.basename(text) for mark in "{*")


def open_shards(text: str, where: str, most: int | None = None) -> Shards:
    """A shard, all of a folder, or those of a pattern; the first `most` of them. Raises UserError where one that is named is not there."""
    folder, names = _found(text, where)
    volumes = {name: volume_of(f"{folder.path.rstrip('/')}/{name}", folder.filesystem, folder.show(name)) for name in names[:most]}
    return Shards(folder, volumes)


def samples_of(shards: Shards) -> Iterator[Sample]:
    """Shard by shard, members named SHARD/MEMBER; hidden ones are no part of a sample."""
    for name, (_, index) in shards.volumes.items():
        found: dict[str, dict[str, str]] = {}
        for member in index.members:
            folder, file = posixpath.split(member)
            stem, _, suffix = file.partition(".")
            if stem and suffix and not is_hidden(file) and not any(map(is_hidden, folder.split("/"))):
                found.setdefault(posixpath.join(name, folder, stem), {})[suffix.lower()] = posixpath.join(name, member)
        yield from (Sample(key, by_suffix) for key, by_suffix in found.items())


def picture_suffixes_of(sample: Sample) -> list[str]:
    """Suffixes of its members that are pictures."""
    return [suffix for suffix in sample.members if f".{suffix}" in picture_suffixes()]


def counts_of(samples: Iterable[Sample]) -> Counter[str]:
    """Number of samples with a member of each suffix."""
    return Counter(suffix for sample in samples for suffix in sample.members)


def gaps(names: Iterable[str]) -> Iterator[str]:
    """A sentence for each series of shards, such as train-0.tar and train-2.tar, in which numbers are missing, but not most of them."""
    series: dict[str, dict[int, str]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            series.setdefault(found[1], {})[int(found[2])] = name
    for start, there in series.items():
        first, last = min(there), max(there)
        if 0 < (num := last - first + 1 - len(there)) <= len(there):
            digits = len(_NUMBERED.sub(r"\2", there[first]))
            lacking = [f"{start}{number:0{digits}d}{SUFFIX}" for number in range(first, last) if number not in there]
            shown = ", ".join(lacking[:_MAX_LISTED]) + ", ..." * (num > _MAX_LISTED)
            yield f"{plural(num, 'shard')} between {there[first]} and {there[last]} {'is' if num == 1 else 'are'} not there: {shown}"


def expanded(pattern: str) -> list[str]:
    """The names that braces mean, as a shell has them.

    >>> expanded("a-{08..10}-{x,y}.tar")[:3]
    ['a-08-x.tar', 'a-08-y.tar', 'a-09-x.tar']
    """
    pieces = _BRACES.split(pattern)
    choices = [_choices(piece) if number % 2 else [piece] for number, piece in enumerate(pieces)]
    return ["".join(parts) for parts in islice(product(*choices), _MOST_SHARDS)]


def _choices(braces: str) -> list[str]:
    found = _RANGE.fullmatch(braces)
    if found is None:
        return braces.split(",")
    first, last = int(found[1]), int(found[2])
    return [str(number).zfill(len(found[1])) for number in range(first, min(last, first + _MOST_SHARDS) + 1)]


def _found(text: str, where: str) -> tuple[Root, list[str]]:
    above, pattern = posixpath.split(text.rstrip("/"))
    if not is_pattern(text) and not is_archive_name(pattern):
        folder = open_folder(text, where)
        names = [name for name in folder.scan().files if name.lower().endswith(SUFFIX) and not is_hidden(name)]
        if not names:
            raise UserError(Problem("", 0, where, f"must hold WebDataset's shards (*{SUFFIX}), but {folder.shown} has none"))
        return folder, names
    folder = open_folder(above or ("/" if text.startswith("/") else "."), where)
    there = folder.scan().files
    if "{" in pattern:
        names = expanded(pattern)
        _refuse_missing([name for name in names if name not in {*there}], len(names), folder, where)
    else:
        names = [name for name in there if fnmatchcase(name, pattern)] if is_pattern(text) else [pattern]
    if not {*names} & {*there}:
        near = beside(replace(folder, path=f"{folder.path}/{pattern}", shown=f"{folder.shown}/{pattern}"))
        raise UserError(Problem("", 0, where, f"must be WebDataset's shards, but in {folder.shown} none is named {pattern}{near}"))
    return folder, names


def _refuse_missing(missing: list[str], num: int, folder: Root, where: str) -> None:
    if missing:
        shown = ", ".join(missing[:_MAX_LISTED]) + (", ..." if len(missing) > _MAX_LISTED else "")
        raise UserError(Problem("", 0, where, f"all {num:,} shards must be there, but {folder.shown} lacks {len(missing):,}: {shown}"))
