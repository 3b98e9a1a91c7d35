"""Scripts in benchmarks/ find their common code beside them; so do these tests."""

from __future__ import annotations

import sys

from places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
