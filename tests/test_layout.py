"""The one-way flow and the shape of the house, read out of the source itself: every import statement of every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from places import PLATFORM, ROOT, SOURCE

FLOORS = (
    "errors",
    "filesystem",
    "spec",
    "data",
    "augmentation",
    "models",
    "training",
    "inference",
    "inspection",
    "exports",
    "tuning",
    "tracking",
    "results",
    "api",
    "cli",
)
ROOMS = {
    "spec": "declarations yaml tables space reading schema",
    "tuning": "records ranking study budget proposals importance legs retraining search preflight cluster",
    "results": "screens pictures tables use inspection plots checks drafts retraining report",
}
"""Folders within a floor, in the order in which they may need each other; the files beside them come last."""

LONGEST_CHAIN = 41
"""Files that a file may need one after the other, itself counted; from `visiontune.__main__` down to keyed random numbers today."""

MODULES = {
    ".".join(path.relative_to(PLATFORM).with_suffix("").parts).removesuffix(".__init__"): path for path in sorted(SOURCE.rglob("*.py"))
}
HEAVY = {"torch", "torchvision", "ray", "mlflow", "albumentations", "numpy", "optuna", "pyarrow", "cv2", "sklearn", "pandas"}


@dataclass(frozen=True)
class Import:
    """One imported name. `when` is at once, deferred (in a function) or typing (under TYPE_CHECKING, never run)."""

    name: str
    when: str


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Of all statements, wherever they stand."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    for statement, when in _statements(ast.parse(path.read_text()), "at once"):
        if isinstance(statement, ast.Import):
            yield from (Import(alias.name, when) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: relative import"
            yield from (Import(f"{statement.module}.{alias.name}", when) for alias in statement.names)


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.AST, str]]:
    """Those in all of its blocks, and when each is run. Expressions hold no import, and most of a tree is made of them."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        is_typing = block == "body" and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and when != "typing"
        within = "typing" if is_typing else "deferred" if is_function else when
        for one in getattr(node, block, ()):
            yield one, within
            yield from _statements(one, within)


@cache
def needs(module: str) -> frozenset[str]:
    """Other modules of the package that this one imports in whatever way; the package itself offers what is in api to users."""
    found = set()
    for one in imports(MODULES[module]):
        name = one.name if one.name in MODULES else one.name.rpartition(".")[0]
        if name in MODULES and name not in (module, "visiontune"):
            found.add(name)
    return frozenset(found)


def floor_of(module: str) -> str:
    name = module.split(".")[1] if "." in module else ""
    return "cli" if name == "__main__" else name


def roots(module: str) -> set[str]:
    return {one.name.partition(".")[0] for one in imports(MODULES[module])}


def circles() -> list[list[str]]:
    """Sets of files that need each other (strongly connected, by reachability)."""

    @cache
    def reached(module: str) -> frozenset[str]:
        seen: set[str] = set()
        waiting = [*needs(module)]
        while waiting:
            if (other := waiting.pop()) not in seen:
                seen.add(other)
                waiting += needs(other)
        return frozenset(seen)

    found = {frozenset({module, *(other for other in reached(module) if module in reached(other))}) for module in MODULES}
    return [sorted(circle) for circle in found if len(circle) > 1]


def test_the_source_root_does_not_hide_the_standard_library() -> None:
    assert not (PLATFORM / "__init__.py").exists()
    code = "import platform; print(platform.python_version())"
    for env in ({}, {"PYTHONPATH": "platform"}):
        told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == sys.version.split()[0]


def test_a_floor_imports_only_floors_above_it() -> None:
    """At once, deferred and for types alike: an import inside a function is no way round."""
    inside = [module for module in MODULES if "." in module]
    assert {floor_of(module) for module in inside} <= {*FLOORS}
    place = {module: FLOORS.index(floor_of(module)) for module in inside}
    assert [f"{module} imports {other}" for module in inside for other in needs(module) if place[other] > place[module]] == []


@pytest.mark.parametrize("floor", ROOMS)
def test_a_room_needs_only_rooms_before_it(floor: str) -> None:
    order = ROOMS[floor].split()
    assert sorted(order) == sorted(path.name for path in (SOURCE / floor).iterdir() if (path / "__init__.py").exists())

    def place(module: str) -> int:
        name = module.split(".")[2] if module.count(".") > 1 else ""
        return order.index(name) if name in order else len(order)

    inside = [module for module in MODULES if floor_of(module) == floor]
    assert [
        f"{one} imports {other}" for one in inside for other in needs(one) if floor_of(other) == floor and place(other) > place(one)
    ] == []


def test_no_file_needs_itself_in_a_circle() -> None:
    assert circles() == []


def test_no_chain_of_imports_is_longer_than_said() -> None:
    @cache
    def longest(module: str) -> tuple[str, ...]:
        return (module, *max(map(longest, needs(module)), key=len, default=()))

    chain = max(map(longest, MODULES), key=len)
    assert len(chain) == LONGEST_CHAIN, chain


def is_offered(name: str) -> bool:
    """Whether an imported name is the package itself or what it has for users: no module right below it."""
    return name == "visiontune" or (name.rpartition(".")[0] == "visiontune" and name not in MODULES)


def test_nothing_of_the_package_imports_what_it_offers_to_users() -> None:
    assert [
        name for name in ("visiontune", "visiontune.__version__", "visiontune.search", "visiontune.Study") if not is_offered(name)
    ] == []
    assert not is_offered("visiontune.api") and not is_offered("visiontune.errors.UserError")
    users = {name for name, path in MODULES.items() for one in imports(path) if is_offered(one.name)}
    assert not users


def test_a_name_stands_for_one_module() -> None:
    names = Counter(path.stem for path in MODULES.values() if path.stem not in ("__init__", "__main__"))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_table_is_where_its_name_says() -> None:
    """`visiontune list NAME` is spec/tables/NAME.py; some tables share a file."""
    from visiontune.spec.space.sections import TABLES

    shared = {"norms": "activations", "class_weightings": "balances", "samplers": "search", "trial_schedulers": "search"}
    for name in TABLES:
        assert (SOURCE / "spec" / "tables" / f"{shared.get(name, name)}.py").is_file(), name


@pytest.mark.parametrize(
    ("library", "floor"), [("ray", "tuning"), ("mlflow", "tracking"), ("optuna", "tuning"), ("albumentations", "augmentation")]
)
def test_a_library_has_one_floor(library: str, floor: str) -> None:
    users = {floor_of(module) for module in MODULES if library in roots(module)}
    assert users == {floor}


def test_declarations_cost_no_heavy_import() -> None:
    light = [module for module in MODULES if floor_of(module) in ("", "errors", "filesystem", "spec", "api")]
    for module in light:
        assert not {one.name.partition(".")[0] for one in imports(MODULES[module]) if one.when == "at once"} & HEAVY, module
    code = "import sys, visiontune, visiontune.cli, visiontune.spec.parse, visiontune.spec.space.epoch_forecast; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=PLATFORM, capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_a_searchs_figures_are_sent_without_torch() -> None:
    """What MLflow's writer imports as it connects: it runs beside every search, most of the time without a winner."""
    waiting, seen = [f"visiontune.tracking.{name}" for name in ("writer", "delivery", "mlflow_runs", "registry", "winner_model")], set()
    while waiting:
        if (module := waiting.pop()) in seen:
            continue
        seen.add(module)
        at_once = {one.name for one in imports(MODULES[module]) if one.when == "at once"}
        assert not {name.partition(".")[0] for name in at_once} & {"torch", "ray", "optuna", "albumentations"}, module
        waiting += [name if name in MODULES else name.rpartition(".")[0] for name in at_once if name.startswith("visiontune.")]


def test_no_module_is_long() -> None:
    paths = [*MODULES.values(), *(ROOT / "jobs").glob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert not {path: length for path, length in lengths.items() if length > 300}


def test_no_script_of_jobs_hides_a_module_of_anyone_else() -> None:
    names = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    assert names and not names & (set(sys.stdlib_module_names) | HEAVY | {"visiontune", "yaml", "rich"})


def test_a_file_that_is_named_is_there() -> None:
    """In docstrings, comments and pages: what they send a reader to was sometimes renamed since."""
    there = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
    sources = [*MODULES.values(), *ROOT.glob("*.md"), *ROOT.glob("docs/*"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("*.yaml")]
    for path in sources:
        for name in re.findall(r"(?<![\w./-])[a-z_][\w/]*\.py\b", path.read_text(errors="replace")):
            assert "NAME" in name or any(one == name or one.endswith(f"/{name}") for one in there), f"{path}: {name}"
