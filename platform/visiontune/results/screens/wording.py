"""How sentences call this program: as Python has it, unless whoever shows them says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

WORDING: ContextVar[Callable[[str], str]] = ContextVar("wording", default=str)
"""What a screen's sentences become before they are shown: the command line has commands and options there as they are typed."""
