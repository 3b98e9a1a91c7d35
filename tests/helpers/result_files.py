"""What a file of benchmarks/results has to hold."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from places import ROOT

BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = sorted(BENCHMARKS.glob("*.py"))
RESULTS = sorted((BENCHMARKS / "results").glob("*.json"))
KEYS = {"command", "commit", "date", "hardware", "versions", "n", "of", "figures", "targets"}


def problems_of(path: Path) -> list[str]:
    """Everything that is wrong with one, in words."""
    content = json.loads(path.read_text())
    missing = KEYS - content.keys()
    if missing:
        return [f"{path.name} lacks {sorted(missing)}"]
    script = Path(content["command"].split()[0])
    tables = content["figures"]
    checks = {
        "names a command of benchmarks/": (ROOT / script).is_file() and script.parent.name == "benchmarks",
        "bears its script's name": path.stem == script.stem or path.stem.startswith(f"{script.stem}_"),
        "holds figures": bool(tables) and all(row for rows in tables.values() for row in rows.values()),
        "holds finite numbers alone": all(is_figure(value) for rows in tables.values() for row in rows.values() for value in row.values()),
        "has targets with finite values": all(is_figure(target["value"]) for target in content["targets"]),
        "counts something": content["n"] >= 1 and bool(content["of"]),
        "names no place on a machine": not re.search(r'(^|[\s"=])/\w', path.read_text()),
    }
    return [f"{path.name}: it is not so that it {what}" for what, holds in checks.items() if not holds]


def is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
