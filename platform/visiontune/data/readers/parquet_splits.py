"""To which part a Parquet file belongs: train, val or test by the word that its name begins with, no letter after it.

`train.parquet`, `train_2.parquet`, `validation-00000-of-00002.parquet`; or `train/0000.parquet`. All files of one word are one part.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from visiontune.data.class_names import part_of
from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.errors import UserError

_SUFFIX = ".parquet"
_NUMBERED = re.compile(r"(.*-)(\d+)-of-(\d+)\.\w+")
_MAX_LISTED = 5


def part_of_file(name: str) -> str | None:
    """train, val or test; None where its name says none of them."""
    return part_of(_word(name))


def is_numbered(name: str) -> bool:
    """Whether it is named as one of so many, such as train-00000-of-00002.parquet."""
    return bool(_NUMBERED.fullmatch(name))


def parts_section(root: Root, folder: str, text: str) -> dict[str, str] | None:
    """What `train`, `val` and `test` must be for the Parquet files in a folder of `root`; None where none of them are for training.

    Raises UserError for two words for one part, and for files that hold the same rows twice by their names.
    """
    found = root.scan(folder)
    names = [name for name in found.files if name.lower().endswith(_SUFFIX) and not is_hidden(name)]
    section = {part: posixpath.join(text, folder, one) for part, one in _patterns(names, root.show(folder)).items()}
    for inner in found.folders:
        part = part_of(inner)
        if part and any(name.lower().endswith(_SUFFIX) for name in root.scan(posixpath.join(folder, inner)).files):
            if part in section:
                raise UserError(f"SOURCE {root.show(folder)} has {section[part]} and {inner}/ for {part}: say which, as data.{part}=...")
            section[part] = posixpath.join(text, folder, inner)
    return {part: section[part] for part in ("train", "val", "test") if part in section} if "train" in section else None


def missing_shards(names: Sequence[str]) -> Iterator[str]:
    """A sentence for each set of files numbered like train-00000-of-00003.parquet of which some are not there."""
    sets: dict[tuple[str, int], set[int]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            sets.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (start, total), there in sets.items():
        if lacking := sorted({*range(total)} - there):
            listed = ", ".join(f"{number:05d}" for number in lacking[:_MAX_LISTED])
            yield f"of {total} files {start}*-of-{total:05d} these are missing: {listed}{', ...' * (len(lacking) > _MAX_LISTED)}"


def _patterns(names: Sequence[str], where: str) -> dict[str, str]:
    words: dict[str, dict[str, list[str]]] = {}
    for name in names:
        if (part := part_of_file(name)) is not None:
            words.setdefault(part, {}).setdefault(_word(name), []).append(name)
    return {part: _pattern(part, found, where) for part, found in words.items()}


def _pattern(part: str, words: dict[str, list[str]], where: str) -> str:
    (word, names), *others = words.items()
    if others:
        raise UserError(f"SOURCE {where} must have one word for {part}, but has {names[0]} and {others[0][1][0]}: say data.{part}=...")
    totals = {match[3] if (match := _NUMBERED.fullmatch(name)) else "" for name in names}
    if len(totals) > 1 and totals != {""}:
        twice = f"{', '.join(names[:_MAX_LISTED])}{', ...' * (len(names) > _MAX_LISTED)}"
        raise UserError(f"SOURCE {where} must hold the rows of {part} once, but these may repeat them: {twice}; say data.{part}=...")
    if len(names) == 1:
        return names[0]
    # Without the dot, or the file of the bare word would not match.
    return f"{word}[!a-zA-Z]*{_SUFFIX.removeprefix('.') if f'{word}{_SUFFIX}' in names else _SUFFIX}"


def _word(name: str) -> str:
    match = re.match(r"[A-Za-z]+", name)
    return match[0] if match else ""
