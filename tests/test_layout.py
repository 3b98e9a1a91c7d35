"""The one-way flow and the shape of the house, read out of the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "platform" / "visiontune"
FLOORS = ("errors", "filesystem", "spec", "data", "augmentation", "models", "training", "tuning", "tracking", "results", "api", "cli")
MODULES = sorted(SOURCE.rglob("*.py"))
HEAVY = {"torch", "torchvision", "ray", "mlflow", "albumentations", "numpy", "optuna", "pyarrow", "cv2", "sklearn"}


def imports(path: Path) -> Iterator[str]:
    """Dotted names of every import in a file, also those inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def test_the_source_root_does_not_hide_the_standard_library() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    code = "import platform; print(platform.python_version())"
    for env in ({}, {"PYTHONPATH": "platform"}):
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == sys.version.split()[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_floor_imports_only_floors_above_it(path: Path) -> None:
    floor = floor_of(path)
    if floor == "__init__":
        return
    for name in imports(path):
        package, _, rest = name.partition(".")
        if package == "visiontune" and rest:
            above = rest.partition(".")[0]
            assert above not in FLOORS or FLOORS.index(above) <= FLOORS.index(floor), f"{floor} imports {name}"


@pytest.mark.parametrize(
    ("library", "floor"), [("ray", "tuning"), ("mlflow", "tracking"), ("optuna", "tuning"), ("albumentations", "augmentation")]
)
def test_a_library_has_one_floor(library: str, floor: str) -> None:
    users = {floor_of(path) for path in MODULES if library in roots(path)}
    assert users == {floor}


def test_declarations_cost_no_heavy_import() -> None:
    for path in SOURCE.glob("spec/**/*.py"):
        assert not roots(path) & HEAVY, path
    code = "import sys, visiontune.cli, visiontune.spec.parse, visiontune.spec.epoch_forecast; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "platform", capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_no_module_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in [*MODULES, *(ROOT / "jobs").glob("*.py")]}
    assert not {path: length for path, length in lengths.items() if length > 400}


def test_no_script_of_jobs_hides_a_module_of_anyone_else() -> None:
    names = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    assert names and not names & (set(sys.stdlib_module_names) | HEAVY | {"visiontune", "yaml", "rich"})
