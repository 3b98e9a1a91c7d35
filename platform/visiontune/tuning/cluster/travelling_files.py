"""What goes to a cluster with a study's file: what the file names, and nothing else that happens to lie beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from visiontune.errors import UserError
from visiontune.spec import plugins
from visiontune.spec.declarations import teacher_files
from visiontune.spec.reading.overrides import override
from visiontune.spec.space.sections import STUDY
from visiontune.spec.yaml.yaml_reader import read_yaml

MOST_BYTES = 400 << 20
"""Ray takes no more than 500 MiB with a job; pictures belong on storage that every node sees."""
_RECIPES = (".yaml", ".yml")
_WEIGHTS = ".safetensors"
_NAMES = ("study", "source", "name", "policy")
"""Keys whose values are names, which a folder beside the file may have too."""
_KEPT = (plugins.KEPT, teacher_files.KEPT)


def base_of(file: Path) -> Path:
    """The folder that paths in the file start from on the cluster: this one, where the file lies in it, as here; else the file's own."""
    return Path.cwd() if file.is_relative_to(Path.cwd()) else file.parent


def travelling(file: Path, overrides: Sequence[str]) -> list[Path]:
    """The file, and each file or folder in `base_of(file)` that it names, with what recipes among them need; sorted.

    Raises UserError where they are too large for a job.
    """
    base, file = base_of(file).resolve(), file.resolve()
    found = {file}
    for name in _texts(override(read_yaml(file), overrides, [], STUDY.fields).plain()):
        for start in (file.parent, base):
            found |= {path for path in _with_its_own(start, name) if path.is_relative_to(base) and path != base}
    num_bytes = sum(path.stat().st_size for path in files_in(found))
    if num_bytes > MOST_BYTES:
        rule = f"what the file names has {num_bytes / 2**20:,.0f} MiB, and a job takes at most {MOST_BYTES >> 20}"
        raise UserError(f"{rule}; put pictures on storage that every node sees and name them by their whole path or a URI")
    return sorted(found)


def copy_to(folder: Path, paths: Sequence[Path], base: Path) -> None:
    """Lay them into a folder as they lie in `base`: linked where the disk allows it, for they are only read."""
    for path in files_in(paths):
        to = folder / path.relative_to(base.resolve())
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, to)
        except OSError:
            shutil.copyfile(path, to)


def listed(paths: Sequence[Path], base: Path, tell: Callable[[int], str] = lambda num: f"{num:,} file{'s'[num == 1 :]}") -> str:
    """Their names as they lie in `base`, folders with the number of files."""
    shown = [(path.relative_to(base.resolve()), path) for path in paths]
    return ", ".join(f"{name}/ ({tell(len(list(files_in([path]))))})" if path.is_dir() else str(name) for name, path in shown)


def files_in(paths: Sequence[Path] | set[Path]) -> Iterator[Path]:
    """The files among them and in the folders among them, each once; none that is hidden within a folder."""
    for path in paths:
        if path.is_dir():
            inner = (one for one in path.rglob("*") if one.is_file())
            yield from (one for one in inner if not any(part.startswith(".") for part in one.relative_to(path).parts))
        elif not any(other != path and path.is_relative_to(other) for other in paths):
            yield path


def _with_its_own(start: Path, name: str) -> Iterator[Path]:
    """The path that a name means, and what belongs to it: of a study its winner alone, of a recipe its weights and kept files."""
    if not name or name.startswith(("/", "~")) or len(name) > 255:
        return
    path = (start / name).resolve()
    if (path / f"{teacher_files.WINNER}.yaml").is_file():
        path = path / f"{teacher_files.WINNER}.yaml"
    if not path.exists():
        return
    yield path
    if path.suffix in _RECIPES:
        beside = (path.with_suffix(_WEIGHTS), *(path.parent / kept for kept in _KEPT))
        yield from (one for one in beside if one.exists())


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """What may be a path, of the value of a key: not the keys themselves, `data` first of all, and no names of table entries."""
    if isinstance(value, str):
        yield from () if key in _NAMES else (value,)
    elif isinstance(value, dict):
        for inner_key, inner in value.items():
            is_choice = inner_key == "choice"
            if is_choice and isinstance(inner, dict):
                yield from _texts([*inner], key)
            yield from _texts(inner, key if is_choice else str(inner_key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, key)
