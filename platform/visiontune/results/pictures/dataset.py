"""Pictures that were ingested, in Python: where they are, what was found, and the arrays themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.store.ingest_report import IngestReport
from visiontune.data.store.store import Shard, Store
from visiontune.errors import UserError
from visiontune.filesystem.given_paths import path_from
from visiontune.results.pictures.class_sheet import write_sheet
from visiontune.results.pictures.data_summary import damage_lines, lines, study_line, to_json
from visiontune.results.pictures.pair_sheet import write_pairs

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Dataset:
    """A store of pictures. `print(dataset)` is the report; `section` is the section `data` that names the same pictures, where it is known.

    `store` has the arrays: `images_NHWC` uint8, `labels_N`, and the rows of each split: `train_idx`, `val_idx`, `test_idx`.
    """

    name: str
    store: Store
    section: Mapping[str, Any] | None = None
    renamed_from: Path | None = None
    """The store that the name meant before, where that was another one."""

    @property
    def path(self) -> Path:
        """The one memory-mapped file."""
        return self.store.path

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return self.store.class_names

    @property
    def counts(self) -> pd.DataFrame:
        """A row for each class, a column for each of train, val, test."""
        import pandas as pd

        return pd.DataFrame(to_json(self.store)["classes"]).T.rename_axis(index="class", columns="split")

    @property
    def report(self) -> IngestReport:
        """What the ingest found: what was set aside and why, repeats, sizes. Raises UserError for a store without it."""
        return self.store.report()

    def verify(self) -> list[Shard]:
        """Every shard whose pixels are not those that were written; empty where all are. Reads the whole file."""
        return list(self.store.damaged())

    def write_sheet(self, path: Path | str) -> None:
        """Write a PNG with some training pictures of each class. Raises UserError for another kind of file, OSError."""
        path = path_from(path, "a sheet")
        _refuse_other(path)
        write_sheet(self.store, path)

    def write_pairs(self, path: Path | str) -> None:
        """Write a PNG of pictures that are nearly the same, or equal and of two classes, side by side. Raises as `write_sheet`.

        Also UserError where there are none.
        """
        path = path_from(path, "a sheet")
        _refuse_other(path)
        write_pairs(self.store, path)

    def to_dict(self, damaged: list[Shard] | None = None) -> dict[str, Any]:
        """Everything about the store as JSON can carry it; `damaged` is what `verify` gave."""
        return to_json(self.store, damaged)

    def summary(self, damaged: list[Shard] | None = None) -> list[str]:
        """Lines for people; `damaged` is what `verify` gave, where it was asked."""
        more = [] if damaged is None else damage_lines(self.store, damaged)
        more += [] if self.renamed_from is None else [f"  before     the name meant {_known(self.renamed_from)}"]
        more += [] if self.section is None else [f"  {study_line(self.section)}"]
        return [f"{self.name}:", *lines(self.store), *more]

    def __str__(self) -> str:
        return "\n".join(self.summary())

    def __repr__(self) -> str:
        return (
            f"<visiontune.Dataset {self.name!r}: {len(self.store.labels_N):,} pictures of {len(self.class_names)} classes in {self.path}>"
        )


def _refuse_other(path: Path) -> None:
    if path.suffix != ".png":
        raise UserError(f"a sheet is a picture, such as sheet.png, but got {str(path)!r}")


def _known(path: Path) -> str:
    try:
        return f"{len(Store.open(path).labels_N):,} pictures, still to be had as {path.stem[:12]}"
    except UserError:
        return "pictures that are gone"
