"""Progress in a notebook: one output of a cell, replaced at every update."""

from __future__ import annotations

import io
import sys
from typing import Any

_WIDTH = 110


def is_notebook() -> bool:
    """Whether a Jupyter kernel runs this process; asked of rich, which knows Colab and Databricks too."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter


class Notebook:
    """Shows what rich can print, as text, in place of what it showed before; as rich.live.Live is used."""

    def __init__(self) -> None:
        self._handle: Any = None

    def update(self, renderable: Any, *, refresh: bool = True) -> None:
        """Replace the output."""
        from IPython.display import display
        from rich.console import Console

        console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_jupyter=False)
        console.print(renderable)
        data = {"text/plain": console.export_text().rstrip()}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def stop(self) -> None:
        """The last output stays."""
