"""What is said of a YAML file that is not there: which ones are, the nearest first."""

from __future__ import annotations

import difflib
from pathlib import Path

from visiontune.filesystem.path_kind import kind_of

_SHIPPED = Path("search_spaces")
_SUFFIXES = (".yaml", ".yml")
_MOST_TOLD = 20


def missing_rule(path: Path) -> str:
    """The rule that a path breaks at which nothing is. Raises OSError for a folder that can't be listed."""
    folders = dict.fromkeys([path.parent, *([_SHIPPED] if not path.is_absolute() else [])])
    files = [file for folder in folders if kind_of(folder) == "folder" for file in sorted(folder.iterdir()) if file.suffix in _SUFFIXES]
    by_stem = {file.stem: file for file in reversed(files)}
    close = difflib.get_close_matches(path.stem, by_stem, n=1, cutoff=0.5)
    told = [f"nearest is '{by_stem[close[0]]}'"] if close else []
    if "=" in path.name:
        told.append("an override, KEY=VALUE, stands behind the file")
    elif not close and not path.suffix:
        told.append("an override is written KEY=VALUE, such as budget.num_trials=8")
    if kind_of(path.parent) != "folder":
        told.append(f"nor is there a folder {path.parent}")
    more = ["..."] if len(files) > _MOST_TOLD else []
    told.append(f"choices: {', '.join([*map(str, files[:_MOST_TOLD]), *more])}" if files else "nor is any YAML file there")
    return "; ".join(["there is no such file", *told])
