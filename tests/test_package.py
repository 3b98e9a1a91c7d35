"""What importing the package does to the process, and whether its docstrings' examples say what it does."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PLATFORM

MODE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
CODE = """
import sys
sys.path[:0] = {path!r}
import visiontune, torch
block = torch.ones(64 << 20, dtype=torch.uint8)
print(sum(int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")))
"""


@pytest.mark.heavy
@pytest.mark.skipif(not MODE.exists() or "[never]" in MODE.read_text(), reason="this kernel gives no huge pages")
@pytest.mark.parametrize(("asked", "is_huge"), [(None, True), ("0", False)])
def test_torch_gets_huge_pages_unless_the_user_says_no(asked: str | None, is_huge: bool) -> None:
    if not is_huge and "[always]" in MODE.read_text():
        pytest.skip("this kernel gives them to everybody")
    env = {name: value for name, value in os.environ.items() if name != "THP_MEM_ALLOC_ENABLE"}
    env |= {} if asked is None else {"THP_MEM_ALLOC_ENABLE": asked}
    code = CODE.format(path=[entry for entry in sys.path if entry])
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert (int(out.stdout) > 32 << 10) == is_huge


OPENMP = """
import ctypes, sys
sys.path[:0] = {path!r}
import visiontune
ctypes.CDLL({library!r})
"""


@pytest.mark.parametrize(
    ("asked", "told"),
    [({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, "30000000000"), ({"OMP_WAIT_POLICY": "passive"}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")],
)
def test_threads_that_wait_soon_sleep_unless_the_user_says_otherwise(asked: dict[str, str], told: str) -> None:
    """As torch's OpenMP itself says once it is loaded: how often a thread looks before it sleeps."""
    [folder] = importlib.util.find_spec("torch").submodule_search_locations  # type: ignore[union-attr,misc]
    [library] = Path(folder, "lib").glob("libgomp*")
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    env |= {"OMP_DISPLAY_ENV": "verbose"} | asked
    code = OPENMP.format(path=[entry for entry in sys.path if entry], library=str(library))
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert f"GOMP_SPINCOUNT = '{told}'" in out.stderr


WITH_EXAMPLES = [path.relative_to(PLATFORM) for path in sorted(PLATFORM.rglob("*.py")) if ">>> " in path.read_text()]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=str)
def test_the_examples_of_docstrings_give_what_they_say(path: Path) -> None:
    found = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert found.attempted and not found.failed
