"""`visiontune check FILE --run`: each check's line as it ends, a picture of the range tests, or all of it as JSON."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.results.lr_range_plot import draw_range_tests
from visiontune.results.text import duration
from visiontune.training.checks.all_checks import run_checks
from visiontune.training.checks.verdict import VERDICTS, Check, worst

if TYPE_CHECKING:
    from collections.abc import Callable

    from visiontune.spec.recipe import StudySpec

PICTURE = "lr_range.png"


def run_and_show(spec: StudySpec, studies_dir: Path, *, is_quiet: bool = False) -> dict[str, Any]:
    """Run the checks of a file, print a line for each unless `is_quiet`, and give them as JSON has them (`to_json`).

    The range tests' picture goes into the study's folder.
    """
    started, found = time.monotonic(), []
    with _progress() as tell:
        for check in run_checks(spec, studies_dir / ".data", tell=tell):
            tell("")
            found.append(check)
            if not is_quiet:
                print("\n".join(lines(check)), flush=True)
        picture = draw_range_tests(found, studies_dir / spec.study / PICTURE)
    if not is_quiet:
        print(f"  {summary(found)} in {duration(time.monotonic() - started)}")
        print(*([f"  learning-rate range tests: {picture}"] if picture else []), sep="\n", end="\n" if picture else "")
    return to_json(spec, found, picture)


def lines(check: Check) -> list[str]:
    """The verdict, the check and what it found; below it a hint, where there is one."""
    first = f"  {check.verdict:4}  {check.name}: {check.said}"
    return [first, f"        -> {check.hint}"] if check.hint else [first]


def summary(checks: list[Check]) -> str:
    """How many of each verdict."""
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in VERDICTS}
    return f"{len(checks)} checks: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def to_json(spec: StudySpec, checks: list[Check], picture: Path | None) -> dict[str, Any]:
    """All of a file's checks: `verdict` is the gravest."""
    return {
        "file": spec.space.file,
        "study": spec.study,
        "verdict": worst([check.verdict for check in checks]),
        "picture": None if picture is None else str(picture),
        "checks": [
            {"name": check.name, "verdict": check.verdict, "said": check.said, "hint": check.hint, "figures": dict(check.figures)}
            for check in checks
        ],
    }


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """On a terminal a spinner beside the name of what runs, gone before anything is printed; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.markup import escape

    status = Console(stderr=True).status("")

    def tell(name: str) -> None:
        status.stop()
        if name:
            status.update(f"{escape(name)} ...")
            status.start()

    try:
        yield tell
    finally:
        status.stop()
