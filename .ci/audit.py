"""Known weaknesses of the pinned packages, by pip-audit, with an end that is no good one where it knew nothing.

    make audit

pip-audit 2.10 leaves out what the index's database does not answer for, says "No known vulnerabilities found" and ends with 0. Here a
package that was not looked up is counted, and exit code 1 means a finding that ACCEPTED does not name, or that nothing was looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PINS = Path(__file__).resolve().parents[1] / "constraints.txt"
ACCEPTED: dict[str, str] = {}
"""Findings by their id, each with why it does not reach visiontune."""


def lines_of(report: dict[str, Any], accepted: dict[str, str]) -> tuple[list[str], bool]:
    """What a report of pip-audit's says, in lines, and whether it is a good one."""
    packages = report["dependencies"]
    known = [one for one in packages if "skip_reason" not in one]
    found = [(one, finding) for one in known for finding in one["vulns"]]
    lines = []
    for one, finding in found:
        fixed = f"fixed in {', '.join(finding['fix_versions'])}" if finding["fix_versions"] else "not fixed yet"
        reach = f"does not reach us: {accepted[finding['id']]}" if finding["id"] in accepted else "NOT LOOKED AT YET"
        lines.append(f"{one['name']} {one['version']}: {finding['id']}, {fixed}; {reach}")
    lines.append(f"{len(known)} of {len(packages)} packages were looked up, {len(found)} findings")
    if not known:
        lines.append("the database did not answer for any of them, so nothing is known: run this where the package index itself is reached")
    return lines, bool(known) and all(finding["id"] in accepted for _, finding in found)


def main() -> int:
    """Ask, print, and give the exit code."""
    command = [
        sys.executable,
        "-m",
        "pip_audit",
        "-r",
        str(PINS),
        "--require-hashes",
        "--disable-pip",
        "-f",
        "json",
        "--progress-spinner",
        "off",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        print(f"pip-audit gave no report: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return 1
    lines, is_good = lines_of(report, ACCEPTED)
    print("\n".join(lines))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
