"""A benchmark's arguments and its result: printed as it comes, and kept as results/NAME.json, of which docs/make_figures.py makes pages.

A file holds command, commit, date, hardware, versions, n (`of` what), and figures: tables {table: {row: {column: number}}} whose
columns bear their units. `targets` are what was wanted of some of them. The commit is that of the start; where it is another one at the
end, that is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine
from common.tables import Rows, number, plain

RESULTS = machine.ROOT / "benchmarks" / "results"


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """What every benchmark takes."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--smoke", action="store_true", help="does it run? Tiniest sizes, some seconds; its figures mean nothing")
    parser.add_argument("--out", type=Path, help="folder for the figures as JSON; benchmarks/results, or a temporary one for a smoke run")
    return parser


def parse(parser: argparse.ArgumentParser, **smoke: Any) -> argparse.Namespace:
    """`smoke` are other defaults of a smoke run."""
    if "--smoke" in sys.argv:
        parser.set_defaults(**smoke)
    args = parser.parse_args()
    if args.smoke and args.out and args.out.resolve() == RESULTS:
        parser.error("figures of a smoke run mean nothing, so they don't go to benchmarks/results")
    return args


class Result:
    """One result on its way to results/NAME.json. A run that is not `whole` (entrants left out) is kept apart, as a smoke run is."""

    def __init__(self, name: str, args: argparse.Namespace, n: int, of: str, *, whole: bool = True) -> None:
        """`n` counts `of`: runs, rounds, seeds. Prints them with the machine."""
        self.path = (args.out or (RESULTS if whole and not args.smoke else _elsewhere())) / f"{name}.json"
        self._n, self._of, self._hardware = n, of, machine.hardware()
        self._versions, self._commit = machine.versions(), machine.commit()
        self._tables: dict[str, Rows] = {}
        self._targets: list[dict[str, Any]] = []
        versions = " ".join(f"{name} {version}" for name, version in self._versions.items())
        print(f"machine: {self._hardware}\nwith: {versions}; commit {self._commit}; n = {n} {of}", flush=True)

    def table(self, name: str, rows: Rows) -> None:
        """Rows whose columns bear their units."""
        self._tables[name] = rows
        print(plain(name, rows), flush=True)

    def target(self, what: str, value: float, wanted: float, *, is_at_most: bool = False, unit: str = "x") -> None:
        """A figure, what was wanted of it, whether it is met."""
        self._targets.append({"what": what, "value": value, "wanted": wanted, "is_at_most": is_at_most, "unit": unit})
        print(f"RATIO {verdict(self._targets[-1])}", flush=True)

    def write(self) -> None:
        """Raises ValueError for what is no finite number."""
        end = machine.commit()
        commit = self._commit if end == self._commit else f"{self._commit} (at the end {end})"
        about: dict[str, Any] = {"command": machine.command(), "commit": commit, "date": time.strftime("%Y-%m-%d")}
        about |= {"hardware": self._hardware, "versions": self._versions, "n": self._n, "of": self._of}
        text = json.dumps({**about, "figures": self._tables, "targets": self._targets}, indent=1, ensure_ascii=False, allow_nan=False)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(text + "\n")
        print(f"figures: {self.path.relative_to(machine.ROOT) if self.path.is_relative_to(machine.ROOT) else self.path}")


def verdict(target: dict[str, Any]) -> str:
    """A target in words.

    >>> verdict({"what": "show", "value": 0.23, "wanted": 2.0, "is_at_most": True, "unit": " s"})
    'show: 0.230 s (wanted at most 2 s: met)'
    """
    value, wanted, unit = target["value"], target["wanted"], target["unit"]
    is_met = value <= wanted if target["is_at_most"] else value >= wanted
    bound = f"at {'most' if target['is_at_most'] else 'least'} {wanted:,g}{unit}"
    return f"{target['what']}: {number(value)}{unit} (wanted {bound}: {'met' if is_met else 'MISSED'})"


def median_of(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median, with the smallest and largest where there are several."""
    found = {name: statistics.median(values)}
    return found | ({f"{name}_min": min(values), f"{name}_max": max(values)} if len(values) > 1 else {})


def mean_of(name: str, values: Sequence[float]) -> dict[str, float]:
    """The mean, with the sample standard deviation where there are several."""
    return {name: statistics.fmean(values)} | ({f"{name}_sd": statistics.stdev(values)} if len(values) > 1 else {})


def _elsewhere() -> Path:
    return Path(tempfile.gettempdir()) / "visiontune-figures"
