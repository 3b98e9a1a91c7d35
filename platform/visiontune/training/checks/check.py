"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.spec.declarations.declare import NOTHING

VERDICTS = ("ok", "look", "bad")
"""As expected; possibly intended, but to be looked at; a search on this input would be wasted."""


@dataclass(frozen=True)
class Check:
    """The result of one check. `said` is what was measured and against what; `hint` what to do, empty where it is ok.

    `figures` are the measured values by name, ready for JSON.
    """

    name: str
    verdict: str
    said: str
    hint: str = ""
    figures: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


def worst(verdicts: list[str]) -> str:
    """The gravest of some verdicts; "ok" of none."""
    return max(verdicts, key=VERDICTS.index, default="ok")
