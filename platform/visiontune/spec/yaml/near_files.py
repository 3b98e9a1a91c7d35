"""What is said of a YAML file that is not there: which ones are, the nearest first."""

from __future__ import annotations

import re
from pathlib import Path

from visiontune.errors import closest
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder

_SHIPPED = Path("search_spaces")
_SUFFIXES = (".yaml", ".yml")
_MOST_TOLD = 20
_LONGEST = 128 * 1024
_OF_SPACES = re.compile(r"^(study|space|budget):", re.MULTILINE)


def missing_rule(path: Path, *, is_recipe: bool) -> str:
    """The rule that a path breaks at which nothing is. Raises OSError for a folder that can't be listed."""
    files = _recipes_near(path) if is_recipe else _files_in(path.parent, *([_SHIPPED] if not path.is_absolute() else []))
    by_stem = {file.stem: file for file in reversed(files)}
    close = closest(path.stem, by_stem)
    told = [f"nearest is '{by_stem[close[0]]}'"] if close else []
    if "=" in path.name:
        told.append("an override, KEY=VALUE, stands behind the file")
    elif not close and path.suffix not in _SUFFIXES:
        told.append("an override is written KEY=VALUE, such as budget.num_trials=8")
    if kind_of(path.parent) != "folder":
        told.append(f"nor is there a folder {path.parent}")
    more = ["..."] if len(files) > _MOST_TOLD else []
    what = "recipe" if is_recipe else "YAML file"
    told.append(f"choices: {', '.join([*map(str, files[:_MOST_TOLD]), *more])}" if files else f"nor is any {what} there")
    return "; ".join(["there is no such file", *told])


def _files_in(*folders: Path) -> list[Path]:
    there = [folder for folder in dict.fromkeys(folders) if kind_of(folder) == "folder"]
    return [file for folder in there for file in sorted(folder.iterdir()) if file.suffix in _SUFFIXES and kind_of(file) == "file"]


def _recipes_near(path: Path) -> list[Path]:
    """What is no search space beside it, and winners of studies."""
    beside = [file for file in _files_in(path.parent) if not _is_space(file)]
    return [*dict.fromkeys([*beside, *sorted(StudiesFolder.of().path.glob("*/winner.yaml"))])]


def _is_space(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return _OF_SPACES.search(stream.read(_LONGEST)) is not None
    except OSError:
        return False
