"""What `visiontune check --plugin FILE` prints: a line for each row of a plugin."""

from __future__ import annotations

from pathlib import Path

from visiontune.results.checks.study_check import lines, summary
from visiontune.spec.plugins import load_plugin
from visiontune.training.checks.check import Check
from visiontune.training.checks.plugin_checks import check_rows


def check_plugin(path: Path, *, is_quiet: bool = False) -> tuple[Check, ...]:
    """Hold every row to what the tables' own rows are held to, and print each as it ends unless `is_quiet`. Raises UserError."""
    plugin = load_plugin(path)
    if not is_quiet:
        print(plugin.key, flush=True)
    found = []
    for check in check_rows(plugin):
        found.append(check)
        if not is_quiet:
            print("\n".join(lines(check)), flush=True)
    if not is_quiet:
        print(f"  {summary(found)}")
    return tuple(found)
