"""How a search stands, while it runs: a table that redraws itself on a terminal, plain key=value lines elsewhere.

A search outlives its reader: when the pipe is closed or the terminal is gone, the screen writes nothing more. The cursor is
never hidden and the alternate screen never used, so that a killed search leaves a terminal as it found it.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from visiontune.errors import plural
from visiontune.results.screens.notebook import Notebook, is_notebook
from visiontune.results.screens.text import amount, duration, number, recipe_line
from visiontune.results.screens.wording import WORDING
from visiontune.tuning.records.snapshot import Snapshot

if TYPE_CHECKING:
    from rich.table import Table

REDRAW_S = 0.25
CHANGE_S = 2.0
QUIET_S = 15.0
LONG_S = 10.0
"""Without a machine, before that is said."""


class Screen:
    """Shows snapshots: `with Screen() as screen: run_search(..., screen=screen.update)`. Cheap to call at any rate."""

    def __init__(
        self,
        *,
        is_plain: bool = False,
        is_silent: bool = False,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out if out is not None else sys.stdout
        self._is_notebook = not is_plain and is_notebook()
        self._is_plain = is_plain or not (self._out.isatty() or self._is_notebook)
        self._clock = clock
        self._wording = WORDING.get()
        self._shown_at: float | None = None
        self._shown: tuple[object, ...] = ()
        self._latest: Snapshot | None = None
        self._live: Any = None
        self._is_gone = is_silent

    @staticmethod
    def of(progress: bool | str) -> Screen:
        """True: what suits where it is shown; "plain": lines; False: nothing."""
        return Screen(is_plain=progress == "plain" or not progress, is_silent=not progress)

    def __enter__(self) -> Screen:
        if self._is_notebook:
            self._live = Notebook()
        elif not self._is_plain:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._out), auto_refresh=False, vertical_overflow="crop")
            self._live.start()
            self._live.console.show_cursor(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The last snapshot stays on the terminal."""
        if self._latest is not None and self._key(self._latest) != self._shown:
            self._draw(self._latest)
        if self._live is not None:
            self._quietly(self._live.stop)

    def say(self, text: str) -> None:
        """A sentence that stays: on a terminal above the table, elsewhere a line of its own, without a terminal as note=."""
        text = self._wording(text)
        if self._live is not None and not self._is_notebook:
            self._quietly(lambda: self._live.console.print(text, markup=False, highlight=False))
        else:
            said = text if self._is_notebook else f"note={shlex.quote(text)}"
            self._quietly(lambda: print(said, file=self._out, flush=True))

    def update(self, snapshot: Snapshot) -> None:
        """Show it if it is time to: on a terminal at most four times a second; a line every 2 s if anything changed, else every 15 s."""
        self._latest = snapshot
        age_s = float("inf") if self._shown_at is None else self._clock() - self._shown_at
        is_news = self._key(snapshot) != self._shown
        wait_s = REDRAW_S if self._live is not None else CHANGE_S if is_news else QUIET_S
        if age_s >= wait_s:
            self._draw(snapshot)

    def _draw(self, snapshot: Snapshot) -> None:
        key = self._key(snapshot)
        is_new_best = self._shown[:1] != key[:1]
        self._shown_at, self._shown = self._clock(), key
        if self._live is not None:
            self._quietly(lambda: self._live.update(table(snapshot), refresh=True))
        else:
            self._quietly(lambda: print(line(snapshot, has_recipe=is_new_best), file=self._out, flush=True))

    def _quietly(self, show: Callable[[], None]) -> None:
        if self._is_gone:
            return
        try:
            show()
        except (OSError, ValueError):  # a closed pipe, a closed file
            self._is_gone = True

    @staticmethod
    def _key(snapshot: Snapshot) -> tuple[object, ...]:
        best = None if snapshot.best is None else (snapshot.best.number, snapshot.best.value)
        ended = (snapshot.num_done, snapshot.num_pruned, snapshot.num_failed)
        return (best, snapshot.phase, *ended, snapshot.num_running, snapshot.num_staged, snapshot.num_waiting, snapshot.lowest_rung)


def line(snapshot: Snapshot, *, has_recipe: bool = True) -> str:
    """One line of key=value words as a shell would quote them; the best recipe last."""
    best = snapshot.best
    words: dict[str, object] = {
        "phase": snapshot.phase,
        "trials": "-" if snapshot.num_trials is None else snapshot.num_trials,
        "done": snapshot.num_done,
        "running": snapshot.num_running,
        "staged": snapshot.num_staged,
        "waiting": snapshot.num_waiting,
        "pruned": snapshot.num_pruned,
        "failed": snapshot.num_failed,
        "nodes": snapshot.num_nodes,
        "gpus": f"{snapshot.num_gpus:g}",
        "waits_s": round(snapshot.waits_s),
        "epochs_per_minute": f"{snapshot.epochs_per_minute:.1f}",
        "time_left_s": "-" if snapshot.time_left_s is None else round(snapshot.time_left_s),
        "elapsed_s": round(snapshot.elapsed_s),
    }
    for unit, limit in _limits(snapshot):
        words |= {f"spent_{unit}": f"{snapshot.spent.get(unit, 0.0):.4g}", f"of_{unit}": f"{limit:g}"}
    if snapshot.lowest_rung:
        words["lowest_rung"] = snapshot.lowest_rung
    if best is not None:
        words |= {"best": number(best.value), "best_trial": best.number, "best_epoch": best.epoch}
    if best is not None and has_recipe:
        words["best_recipe"] = recipe_line(best.recipe)
    return " ".join(f"{key}={shlex.quote(str(value))}" for key, value in words.items())


def _limits(snapshot: Snapshot) -> list[tuple[str, float]]:
    """Those of the budget that are not counted in trials."""
    return [(unit, limit) for unit, limit in snapshot.limits.items() if unit != "num_trials"]


def table(snapshot: Snapshot) -> Table:
    """The snapshot as a table for a person: counts, pace, best trial so far with its recipe in one line."""
    from rich.table import Table
    from rich.text import Text

    best, grid = snapshot.best, Table.grid(padding=(0, 2))
    counts = {
        "done": snapshot.num_done,
        "running": snapshot.num_running,
        "staged": snapshot.num_staged,
        "waiting": snapshot.num_waiting,
        "pruned": snapshot.num_pruned,
        "failed": snapshot.num_failed,
    }
    trials = "  ".join(f"{count} {what}" for what, count in counts.items())
    times = f"{duration(snapshot.elapsed_s)} elapsed, {duration(snapshot.time_left_s)} left"
    wanted = "" if snapshot.num_trials is None else f"of {snapshot.num_trials} "
    nodes = f"{snapshot.num_nodes} node{'s'[snapshot.num_nodes == 1 :]} with {snapshot.num_gpus:g} GPUs"
    grid.add_row(snapshot.phase, Text(f"{snapshot.num_begun} {wanted}trials:  {trials}"))
    if snapshot.num_nodes:
        waits = f"; no trial has a machine for {duration(snapshot.waits_s)}" if snapshot.waits_s >= LONG_S else ""
        grid.add_row("machines", Text(nodes + waits))
    grid.add_row("pace", Text(f"{snapshot.epochs_per_minute:.0f} epochs a minute, {times}"))
    spent = [f"{snapshot.spent.get(unit, 0.0):.3g} of {amount(limit, unit)}" for unit, limit in _limits(snapshot)]
    if spent:
        grid.add_row("budget", Text(", ".join(spent) + " spent"))
    if snapshot.lowest_rung:
        grid.add_row("rungs", Text(f"trials are compared from epoch {snapshot.lowest_rung} on"))
    if best is None:
        grid.add_row("best", Text("none yet"))
    else:
        grid.add_row("best", Text(f"{number(best.value)} by trial {best.number} after {plural(best.epoch, 'epoch')}"))
        grid.add_row("", Text(recipe_line(best.recipe), overflow="ellipsis", no_wrap=True))
    return grid
