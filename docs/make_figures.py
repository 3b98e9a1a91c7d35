"""docs/figures.md, and the table between the marks of README.md, made from benchmarks/results/*.json.

    .venv/bin/python docs/make_figures.py            # write both
    .venv/bin/python docs/make_figures.py --check    # exit code 1 where one of them is not what the results give

figures.template.md has the words; {{NAME}} in it stands for results/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from common.result import RESULTS, verdict  # noqa: E402
from common.tables import markdown  # noqa: E402

TEMPLATE, PAGE, README = ROOT / "docs" / "figures.template.md", ROOT / "docs" / "figures.md", ROOT / "README.md"
PLACE = re.compile(r"^\{\{(\w+)\}\}$", re.MULTILINE)
MARKED = re.compile(r"(?<=<!-- figures -->\n).*?(?=<!-- /figures -->)", re.DOTALL)
IN_README = ("wall_s", "epochs", "s_per_epoch", "wall_per_ideal")
Results = dict[str, dict[str, Any]]


def read_results(folder: Path = RESULTS) -> Results:
    """By name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def page(template: str, results: Results) -> str:
    """The template with every result in its place. Raises ValueError where one has none, or a place no result."""
    places = PLACE.findall(template)
    if astray := sorted(set(places) ^ results.keys()):
        raise ValueError(f"each of benchmarks/results has one place in docs/figures.template.md, but not {', '.join(astray)}")
    return PLACE.sub(lambda found: block(results[found[1]]), template)


def block(result: dict[str, Any]) -> str:
    """One result: how it was measured, its tables, its targets."""
    tables = [markdown(rows, name=name) for name, rows in result["figures"].items()]
    targets = "\n".join(f"- {verdict(target)}" for target in result["targets"])
    return "\n\n".join(part for part in (origin(result), *tables, targets) if part)


def origin(result: dict[str, Any]) -> str:
    """Command, n, commit, date, machine, versions."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    recorded = f" Recorded {result['recorded']}." if "recorded" in result else ""
    measured = f"`{result['command']}`: n = {result['n']} {result['of']}; commit {result['commit']}, {result['date']}."
    return f"{measured}{recorded}\n{result['hardware']}; {versions}."


def readme(text: str, results: Results) -> str:
    """README's text with the table of overhead.py between its marks."""
    table = markdown(results["overhead"]["figures"]["entrants"], IN_README)
    return MARKED.sub(lambda _: f"{table}\n", text)


def main() -> None:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args()
    results = read_results()
    wanted = {PAGE: page(TEMPLATE.read_text(), results), README: readme(README.read_text(), results)}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if args.check and stale:
        sys.exit(f"{', '.join(path.name for path in stale)}: not what benchmarks/results give; docs/make_figures.py writes it")
    for path in stale:
        path.write_text(wanted[path])


if __name__ == "__main__":
    main()
