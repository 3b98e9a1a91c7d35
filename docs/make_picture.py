"""docs/search.svg: how a search of search_spaces/digits.yaml ends on a terminal. It runs one, half a minute.

.venv/bin/python docs/make_picture.py
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "visiontune search search_spaces/digits.yaml"
WIDTH = 150
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""rich names a host that they come from; a page should not call there."""


def main() -> None:
    """Run the search and draw the last of what it prints."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VISIONTUNE_STUDIES": "studies", "PYTHONPATH": str(ROOT / "platform")}
        words = [sys.executable, "-m", "visiontune", "search", str(ROOT / "search_spaces" / "digits.yaml"), "--plain"]
        told = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    lines = [line for line in told.splitlines() if not line.startswith(("phase=", "note="))]
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text(f"$ {COMMAND}", style="bold"))
    for line in lines:
        line = re.sub(r"\S*python\S* -m visiontune\.cli", "visiontune", line)
        console.print(Text(line, style="green" if line.startswith(("best", "winner", "test")) else ""), overflow="ellipsis", no_wrap=True)
    (ROOT / "docs" / "search.svg").write_text(FONTS.sub("", console.export_svg(title="visiontune")))


if __name__ == "__main__":
    main()
