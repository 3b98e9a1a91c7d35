"""What the stores of pictures take, which studies and names need them, and how those are removed that nothing needs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from visiontune.data.store.stores import Stored, remove, stores_in
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.screens.text import aligned
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_place import refuse_renamed

UNUSED_DAYS = 30
_DAY_S = 86_400


@dataclass(frozen=True)
class KeptData:
    """A store, and why it is kept: `names` and `studies` that mean it. `used` is when a command last found it."""

    digest: str
    num_bytes: int
    used: datetime
    names: tuple[str, ...]
    studies: tuple[str, ...]
    stored: Stored

    def is_unused(self, days: float) -> bool:
        """Whether nothing means it, and no command found it for so many days."""
        return not self.names and not self.studies and time.time() - self.stored.used_s >= days * _DAY_S

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        known = {"digest": self.digest, "bytes": self.num_bytes, "used": self.used.isoformat()}
        return {**known, "names": list(self.names), "studies": list(self.studies)}


@dataclass(frozen=True)
class DataList:
    """The stores of a folder of studies, the one used last first. `removed` are those that were removed just now."""

    path: Path
    kept: tuple[KeptData, ...]
    removed: tuple[KeptData, ...] = ()
    unread: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[KeptData]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

    def unused(self, days: float) -> list[KeptData]:
        """What nothing means, no command found for so many days, and no store that stays has its pixels from."""
        needed = {one.stored.base for one in self.kept if not one.is_unused(days)}
        return [one for one in self.kept if one.is_unused(days) and one.digest not in needed]

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        parts = {"kept": self.kept, "removed": self.removed}
        return {
            "path": str(self.path),
            **{name: [one.to_dict() for one in some] for name, some in parts.items()},
            "unread": list(self.unread),
        }

    def __str__(self) -> str:
        rows = [("data", "GB", "last used", "names", "studies"), *map(_cells, self.kept)]
        said = [f"removed {one.digest[:12]}, {one.num_bytes / 1e9:,.3f} GB, last used {one.used:%Y-%m-%d}" for one in self.removed]
        unused = self.unused(UNUSED_DAYS)
        if unused and not said:
            total = sum(one.num_bytes for one in unused) / 1e9
            hint = f"`visiontune data --prune {UNUSED_DAYS}` removes {'it' if len(unused) == 1 else 'them'}, {total:,.3f} GB"
            said = [f"{len(unused)} that no name and no study means, unused for {UNUSED_DAYS} days: {hint}"]
        return "\n".join([*(aligned(rows) if self.kept else [f"no data in {self.path}"]), *said, *self.unread])


def list_data(studies: StudiesFolder, storage: str = "journal") -> DataList:
    """What is there. Studies that are not in their folder's journal are looked for in `storage`."""
    meant, unread = _meant(studies, storage)
    found = [
        KeptData(one.digest, one.num_bytes, datetime.fromtimestamp(one.used_s), one.names, tuple(meant[one.digest]), one)
        for one in stores_in(studies.data_cache)
    ]
    return DataList(studies.data_cache, tuple(found), unread=unread)


def prune_data(studies: StudiesFolder, days: float, storage: str = "journal") -> DataList:
    """Remove what no name and no study means and no command found for so many days.

    Raises UserError where a study can't be read, for it may have been begun on any of them, and where the disk refuses.
    """
    found = list_data(studies, storage)
    if found.unread:
        raise UserError("nothing is removed as long as studies can't be read", *(Problem("", 0, "", one) for one in found.unread))
    gone = found.unused(days)
    for one in gone:
        try:
            remove(one.stored)
        except OSError as error:
            raise UserError(f"{one.stored.path} must be removed, but: {error.strerror or error}") from error
    return DataList(found.path, tuple(one for one in found if one not in gone), tuple(gone))


def _meant(studies: StudiesFolder, storage: str) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Names of the studies begun on each digest; a sentence for each study that can't be read."""
    meant, unread = defaultdict[str, list[str]](list), list[str]()
    for name in studies.names():
        folder = studies.study(name)
        for url in dict.fromkeys(["journal", storage]):
            with suppress(UserError, KeyError, TypeError, ValueError):
                meant[str(read_study(folder, url).pictures.get("digest"))].append(name)
                break
        else:
            unread.append(_said_of_unread(folder))
    return meant, tuple(unread)


def _said_of_unread(folder: StudyFolder) -> str:
    try:
        refuse_renamed(folder)
    except UserError as error:
        return first_line(error)
    return f"study {folder.name} can't be read here: `storage=URL` names its database, or remove {folder.path}"


def _cells(one: KeptData) -> tuple[str, ...]:
    return (
        one.digest[:12],
        f"{one.num_bytes / 1e9:,.3f}",
        f"{one.used:%Y-%m-%d}",
        ", ".join(one.names) or "-",
        ", ".join(one.studies) or "-",
    )
