"""How far an ingest is, on stderr: a bar with rate and time left on a terminal, one line in a notebook, lines of key=value elsewhere.

An ingest outlives its reader: when the pipe is closed or the terminal is gone, nothing more is written.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from visiontune.results.screens.notebook import Notebook, is_notebook
from visiontune.results.screens.text import duration

if TYPE_CHECKING:
    from visiontune.data.ingest.progress import Progress

LINE_S, QUICK_S, REDRAW_S = 5.0, 1.0, 0.25


class IngestScreen:
    """Its method `tell` is for `prepare`. An ingest of less than a second shows nothing."""

    def __init__(
        self,
        *,
        is_plain: bool = False,
        is_silent: bool = False,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out if out is not None else sys.stderr
        self._is_gone = is_silent
        self._notebook = Notebook() if not is_plain and is_notebook() else None
        self._is_plain, self._clock = is_plain or not self._out.isatty(), clock
        self._began_s = self._since_s = self._shown_s = clock()
        self._stage = self._shown = ""
        self._bar: Any = None

    @staticmethod
    def of(progress: bool | str) -> IngestScreen:
        """True: what suits where it is shown; "plain": lines; False: nothing."""
        return IngestScreen(is_plain=progress == "plain", is_silent=not progress)

    def __enter__(self) -> IngestScreen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._quietly(self._bar.stop)

    def tell(self, progress: Progress) -> None:
        """A redraw, or a line where the stage is another or five seconds have passed."""
        now_s = self._clock()
        if self._stage in ("", "waiting", "reading") and progress.stage != self._stage:
            self._since_s = now_s  # listing files is no part of a rate
        self._stage = progress.stage
        if now_s - self._began_s >= QUICK_S:
            self._quietly(lambda: self._show(progress, now_s))

    def _quietly(self, show: Callable[[], None]) -> None:
        if self._is_gone:
            return
        try:
            show()
        except (OSError, ValueError):  # a closed pipe, a closed file
            self._is_gone = True

    def _show(self, progress: Progress, now_s: float) -> None:
        if self._notebook is not None:
            if progress.stage != self._shown or now_s - self._shown_s >= REDRAW_S:
                self._shown, self._shown_s = progress.stage, now_s
                self._notebook.update(f"{progress.stage}: {self._said(progress)}")
        elif not self._is_plain:
            self._draw(progress)
        elif progress.stage != self._shown or now_s - self._shown_s >= LINE_S:
            self._shown, self._shown_s = progress.stage, now_s
            print(line(progress, now_s - self._since_s), file=self._out, flush=True)

    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
            self._bar = Bar(*columns, console=Console(file=self._out), transient=True)
            self._bar.add_task("", said="")
            self._bar.start()
        said = self._said(progress)
        self._bar.update(0, completed=progress.num_done, total=progress.num, description=progress.stage, said=said)

    def _said(self, progress: Progress) -> str:
        said = f"{progress.num_done:,} of {progress.num:,}"
        if progress.stage not in ("reading", "decoding", "predicting"):
            return said
        rate, left_s = pace(progress, self._clock() - self._since_s)
        return f"{said}, {rate:,.0f} a second, {duration(left_s)} left" + (f", {progress.num_bad:,} bad" if progress.num_bad else "")


def predicting(num_done: int, num: int, num_bad: int = 0) -> Progress:
    """How far an evaluation is."""
    from visiontune.data.ingest.progress import Progress

    return Progress("predicting", num_done, num, 0, num_bad)


def line(progress: Progress, spent_s: float) -> str:
    """One line of key=value words, for logs."""
    rate, left_s = pace(progress, spent_s)
    words = {"stage": shlex.quote(progress.stage), "done": progress.num_done, "total": progress.num, "kept": progress.num_kept}
    words |= {"bad": progress.num_bad, "per_s": f"{rate:.0f}", "left_s": "-" if left_s is None else f"{left_s:.0f}"}
    return " ".join(f"{key}={value}" for key, value in words.items())


def pace(progress: Progress, spent_s: float) -> tuple[float, float | None]:
    """Pictures read or decoded a second, and seconds left at that rate; what an earlier call left behind is no rate, nor is no time."""
    rate = max(progress.num_done - progress.num_kept, 0) / spent_s if spent_s > 0 else 0.0
    return rate, (progress.num - progress.num_done) / rate if rate > 0 else None
