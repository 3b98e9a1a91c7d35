"""Predictions on their way out: as records, a pandas frame, CSV, JSON lines, or lines for people."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from visiontune.data.file_names import printable
from visiontune.errors import UserError, plural
from visiontune.filesystem.atomic_write import replacing, try_out
from visiontune.filesystem.given_paths import path_from
from visiontune.inference.predict import Prediction
from visiontune.results.screens.text import padded, width_of

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "json", "table")
_KINDS = {".csv": "csv", ".json": "json", ".jsonl": "json"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MOST_TOLD = 5
_NUM_ALIGNED = 40
_MARK = "|"
_REDRAW_S = 0.25


@dataclass(frozen=True)
class Predictions:
    """What a network says of pictures, made while it is iterated over (once), one `Prediction` for each picture in order.

    `temperature` is what its logits were divided by; 1.0: as trained. The most probable `top` classes are given, `num_shown` of them in a
    table for people (None: all). `notes` say where the first pictures differ from those of training. Of a network for several classes
    (`has_many`) those that reach their thresholds stand in a column of their own, `predicted`, parted by |.
    """

    each: Iterator[Prediction] = field(repr=False)
    top: int
    temperature: float = 1.0
    notes: tuple[str, ...] = ()
    num_shown: int | None = None
    has_many: bool = False

    def __iter__(self) -> Iterator[Prediction]:
        return self.each

    def to_pandas(self) -> pd.DataFrame:
        """Columns path, class, probability, class_2, probability_2 and so on, problem ("" where there is none); all that is left.

        Of a network for several classes also predicted, after path.
        """
        import pandas as pd

        return pd.DataFrame([_row(one, self.columns()) for one in self], columns=self.columns())

    def columns(self, num: int | None = None) -> list[str]:
        """Their names, with the `num` most probable classes, by default all that are given."""
        more = [f"{name}_{place}" for place in range(2, (num or self.top) + 1) for name in ("class", "probability")]
        return ["path", *(["predicted"] if self.has_many else []), "class", "probability", *more, "problem"]

    def print(self, kind: str = "table") -> None:
        """Print all that is left as "table", "csv" or "json"; else as `write`."""
        print_predictions(self, kind, sys.stdout)

    def write(self, path: Path | str, kind: str | None = None) -> None:
        """Write all that is left as "csv" or "json" (an object a line), which the file's name says by default; whole or not at all.

        Pictures that could not be used are told on stderr. Raises UserError, also where nothing could be predicted.
        """
        path = path_from(path, "a file of predictions")
        if (kind := kind or _KINDS.get(path.suffix)) not in FORMATS:
            raise UserError(
                f"predictions are written as {' or '.join(_KINDS)}, but the file is {path.name!r}; nearest is '{path.stem}.csv'"
            )
        try:
            try_out(path)
            with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
                print_predictions(self, kind, file)
        except OSError as error:
            raise UserError(f"predictions need a folder that can be written, but {path}: {error.strerror or error}") from error


def print_predictions(found: Predictions, kind: str, out: TextIO) -> None:
    """Write "csv", "json" (an object a line) or "table" (for people) as they come; on a terminal, stderr says how many are done.

    Ends with the pictures that could not be used, on stderr. Raises UserError where nothing could be predicted, before a line is written
    where there is no picture.
    """
    if (first := next(found.each, None)) is None:
        raise UserError("there is no picture among what was given: a folder counts files that are named like pictures")
    found = replace(found, each=chain([first], found.each))
    print(*(f"note: {printable(note)}" for note in found.notes), sep="\n", end="\n" * bool(found.notes), file=sys.stderr, flush=True)
    counted = _Counted(found, is_shown=sys.stderr.isatty() and not out.isatty())
    {"csv": _write_csv, "json": _write_json, "table": _write_table}[kind](
        counted, found.columns(found.num_shown if kind == "table" else None), out
    )
    out.flush()
    counted.end()


class _Counted:
    """The same predictions; counts, and keeps the first few problems."""

    def __init__(self, found: Predictions, *, is_shown: bool) -> None:
        self._found, self._is_shown = found, is_shown
        self._num, self._num_bad, self._told = 0, 0, list[str]()
        self._began_s = self._shown_s = time.monotonic()

    def __iter__(self) -> Iterator[Prediction]:
        for one in self._found:
            self._num += 1
            if one.problem:
                self._num_bad += 1
                self._told += [f"{one.path} {one.problem}"] if len(self._told) < _MOST_TOLD else []
            yield one
            if self._is_shown and (now_s := time.monotonic()) - self._shown_s >= _REDRAW_S:
                self._shown_s = now_s
                print(f"\r{self._num:,} pictures, {self._num / (now_s - self._began_s):,.0f} a second", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Raises UserError where no picture could be used."""
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr)
        if not self._num_bad:
            return
        more = f"; and {self._num_bad - len(self._told):,} more" if self._num_bad > len(self._told) else ""
        said = f"{self._num_bad:,} of {plural(self._num, 'picture')} could not be used: {'; '.join(self._told)}{more}"
        if self._num_bad == self._num:
            raise UserError(said)
        print(printable(said), file=sys.stderr)


def _row(one: Prediction, columns: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(columns) | {"path": one.path, "problem": one.problem}
    if one.predicted is not None:
        row["predicted"] = _MARK.join(one.predicted)
    for place, (name, probability) in enumerate(zip(one.classes, one.probabilities, strict=True), 1):
        end = "" if place == 1 else f"_{place}"
        row |= {f"class{end}": name, f"probability{end}": probability}
    return row


def _write_csv(found: _Counted, columns: Sequence[str], out: TextIO) -> None:
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in _row(one, columns).items()} for one in found)


def _cell(value: Any) -> Any:
    """A text as a spreadsheet shows it: one that begins like a formula would run, so it gets the apostrophe that spreadsheets mean by it.

    Names of files and classes are whoever's made the pictures. JSON lines and the frame have them as they are.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_json(found: _Counted, columns: Sequence[str], out: TextIO) -> None:
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        predicted = {} if one.predicted is None else {"predicted": one.predicted}
        said = (
            {"problem": one.problem} if one.problem else {**predicted, "classes": [{"class": name, "probability": p} for name, p in pairs]}
        )
        print(json.dumps({"path": one.path, **said}, ensure_ascii=False), file=out)


def _write_table(found: _Counted, columns: Sequence[str], out: TextIO) -> None:
    """The first forty decide how wide columns are."""
    waiting = iter(found)
    first = list(islice(waiting, _NUM_ALIGNED))
    header = list(columns[:-1])
    widths = [max(map(width_of, cells)) for cells in zip(header, *(_cells(one, header) for one in first), strict=True)]

    def line(cells: list[str], problem: str = "") -> str:
        shown = map(padded, [cells[0]] if problem else cells, widths)
        return "  ".join([*shown, printable(problem)]).rstrip()

    if first:
        print(line(header), file=out)
    for one in chain(first, waiting):
        print(line(_cells(one, header), one.problem), file=out)


def _cells(one: Prediction, header: Sequence[str]) -> list[str]:
    row = _row(one, header)
    return [f"{row[name]:.3f}" if isinstance(row[name], float) else printable(row[name] or "") for name in header]
