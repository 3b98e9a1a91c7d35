"""What is printed never turns a job that is done into a failed one: whatever the terminal's encoding, with or without a reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

PRINTS = "import sys; from visiontune.cli import entry_point\ndef done(args):\n {}\n return 0\n"
CALL = "entry_point.parse = lambda words: type('Args', (), {'run': staticmethod(done)})\nsys.exit(entry_point.main())"


def run(prints: str, shell: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A job that does nothing but print, as a process; `shell` is what stands after the command."""
    command = f'exec "$0" -c "$1" {shell}'
    known = {"PYTHONPATH": str(ROOT / "platform"), "PATH": os.environ["PATH"], **environment}
    return subprocess.run(["bash", "-c", command, sys.executable, PRINTS.format(prints) + CALL], capture_output=True, env=known)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437"])
def test_an_encoding_that_lacks_characters(encoding: str) -> None:
    said = run("print('0.9 ± 0.1 …'); print('▁▄█'); print('{\"class\": \"猫 🐈 \\udcff\"}')", PYTHONIOENCODING=encoding)
    assert said.returncode == 0 and said.stderr == b""
    *_, last = said.stdout.decode(encoding).splitlines()
    assert json.loads(last) == {"class": "猫 🐈 \udcff"}, "what a program reads means the same"
    if encoding == "ascii":
        assert said.stdout.decode().splitlines()[:2] == ["0.9 +- 0.1 ~", "_-#"]


def test_closed_streams_and_readers_that_left(tmp_path: Path) -> None:
    long = "[print('line', number) for number in range(20_000)]"
    assert run(long, ">&-").returncode == run(long, "<&- >&- 2>&-").returncode == 0
    left = run(long, "> >(head -1)")
    assert (left.returncode, left.stderr) == (0, b"")
    kept = tmp_path / "kept"
    code = f"open({str(kept)!r}, 'w').write('kept'); import os; os.write(1, b'loose')"
    assert run(code, ">&-").returncode == 0 and kept.read_text() == "kept", "no file takes the place of a closed stream"
    full = run(long, "> /dev/full")
    assert full.returncode == 1 and full.stderr.startswith(b"visiontune: No space left") and b"Exception ignored" not in full.stderr
