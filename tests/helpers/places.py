"""Where things are, for tests of whatever depth."""

from __future__ import annotations

from pathlib import Path

HELPERS = Path(__file__).resolve().parent
ROOT = HELPERS.parents[1]
PLATFORM = ROOT / "platform"
SOURCE = PLATFORM / "visiontune"
SEARCH_SPACES = ROOT / "search_spaces"
DIGITS = SEARCH_SPACES / "digits.yaml"
