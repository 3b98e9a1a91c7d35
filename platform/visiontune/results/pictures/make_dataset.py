"""Datasets made and found: what `visiontune ingest` and `visiontune data` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from visiontune.data.ingest.progress import Tell
from visiontune.data.prepare import source_of, with_defaults
from visiontune.data.prepared_store import as_read, prepared
from visiontune.data.readers.detect import detect_source, source_as
from visiontune.data.store.names import find_store, give_name, refuse_name
from visiontune.data.store.store import Store
from visiontune.errors import Problem, UserError
from visiontune.results.pictures.dataset import Dataset
from visiontune.spec.parse_data import excluded_by, load_data

_SOURCE = "SOURCE"


def section_of(source: Path | str | Mapping[str, Any], words: Sequence[str], where: str = _SOURCE) -> dict[str, Any]:
    """The section `data`, checked, defaults filled in: of a mapping as it is, of a path or name by looking at it. Raises UserError.

    "source=NAME" and `words` alone say it too; beside a path, `source=NAME` in `words` says as what it is read. `where` is what the user
    knows the argument as. Keys may stand as in a study, `data.seed=1`, which is how messages have them.
    """
    words = [word.removeprefix("data.") for word in words]
    if isinstance(source, Mapping):
        return load_data(source, words)
    if not isinstance(source, str | PathLike):
        raise UserError(f"{where} is a path, a name or a section `data` as a mapping, but got {source!r}")
    text = str(source)
    if text.startswith("source="):
        return load_data({}, [text, *words])
    kinds = [word.removeprefix("source=") for word in words if word.startswith("source=")]
    try:
        exclude = excluded_by(words)
        found = source_as(kinds[-1], text, exclude) if kinds else detect_source(text, exclude=exclude)
    except UserError as error:
        raise UserError(*(_named(problem, where) for problem in error.problems)) from error
    return load_data(found, words)


def _named(problem: Problem, where: str) -> Problem:
    """The problem with an argument that is called otherwise than the one of `visiontune ingest`."""
    rule = f"{where}{problem.rule.removeprefix(_SOURCE)}" if problem.rule.startswith(f"{_SOURCE} ") else problem.rule
    return replace(problem, where=where if problem.where == _SOURCE else problem.where, rule=rule)


def make_dataset(section: Mapping[str, Any], name: str | None, cache: Path, tell: Tell) -> Dataset:
    """Make or find the store of these pictures, and name it. Raises UserError."""
    if name is not None:
        refuse_name(cache, name, section)
    store = prepared(section, cache, tell=tell)
    before = None if name is None else give_name(cache, name, store, section)
    return Dataset(name or store.path.stem, store, section, before)


def find_dataset(name: str, cache: Path) -> Dataset:
    """A dataset by its name, its digest or the beginning of one. Raises UserError."""
    path, section, first_name = find_store(cache, name)
    store = Store.open(path)
    if section is not None and first_name != store.first_name:  # it was made of the same pictures elsewhere
        with suppress(UserError):
            data = with_defaults(section)
            store = as_read(store, data, source_of(data))
    return Dataset(name, store, section)
