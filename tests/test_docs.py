"""README and docs/ against the program: every command and YAML block is parsed, what takes seconds is run, links lead somewhere."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from places import ROOT, SEARCH_SPACES
from search_here import CELL

import visiontune
from visiontune.cli import main
from visiontune.cli.arguments import parse
from visiontune.results.model_table import model_table
from visiontune.spec.parse import load_study
from visiontune.spec.parse_data import load_data
from visiontune.spec.space.sections import SPACE, STUDY
from visiontune.spec.yaml.yaml_reader import compose

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUICK = ("check", "sample", "list", "schema", "profile")


@dataclass(frozen=True)
class Block:
    """Between two fences."""

    page: Path
    language: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.page.stem}: {self.text.strip().splitlines()[0][:50]}"


def blocks(language: str) -> list[Block]:
    found = (Block(page, *match.groups()) for page in PAGES for match in BLOCK.finditer(page.read_text()))
    return [block for block in found if block.language == language]


def commands(program: str) -> list[list[str]]:
    """Words of every line of a block of sh that calls it."""
    lines = (line for block in blocks("sh") for line in block.text.replace("\\\n", " ").splitlines())
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words and words[0] == program]


def ids(words: list[str]) -> str:
    return " ".join(words)[:70]


def test_a_block_says_what_it_is_and_a_line_calls_a_known_program() -> None:
    assert {block.language for page in PAGES for block in (Block(page, *m.groups()) for m in BLOCK.finditer(page.read_text()))} <= {
        *("sh", "yaml", "python", "")
    }
    first = {line.split()[0] for block in blocks("sh") for line in block.text.splitlines() if line.strip() and line[0] not in " #"}
    assert first <= {"visiontune", "make", "ray", "pip", "git", "cd", ".venv/bin/python", "docker", "kubectl", "sbatch"}, first
    files = (word for block in blocks("sh") for word in block.text.split() if word.startswith("deploy/"))
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("words", commands("visiontune"), ids=ids)
def test_a_command_is_one_that_the_program_takes(words: list[str]) -> None:
    args = parse(words[1:])
    files = [args.file] if isinstance(getattr(args, "file", None), Path) else getattr(args, "files", [])
    assert all((ROOT / file).exists() for file in files if file.parts[0] == "search_spaces"), files
    for item in getattr(args, "overrides", []):
        if files and files[0].parts[0] == "search_spaces":
            load_study(ROOT / files[0], [item])


@pytest.mark.parametrize(
    "words",
    [words for words in commands("visiontune") if words[1] in QUICK and not {"--run", "--costs", "--plugin"} & {*words}],
    ids=ids,
)
def test_a_command_that_takes_seconds_runs(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    shutil.copytree(SEARCH_SPACES, "search_spaces")
    assert main(words[1:]) == 0


def test_make_has_the_targets_that_are_told() -> None:
    rules = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if re.match(r"[a-z]+:", line)}
    told = {word for words in commands("make") for word in words[1:] if "=" not in word}
    assert {"search", "test"} <= told <= rules


@pytest.mark.parametrize("words", [*commands("ray"), *commands(".venv/bin/python")], ids=ids)
def test_a_script_that_is_named_is_there(words: list[str]) -> None:
    files = [word for word in words if word.endswith((".py", ".yaml"))]
    assert files and all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("block", blocks("yaml"), ids=lambda block: block.id)
def test_a_yaml_block_is_one_that_a_study_takes(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole file; or sections of one, put beside what every study needs, and beside the study that it learns from."""
    if "teacher_from: studies/big" in block.text:
        (tmp_path / "studies" / "big").mkdir(parents=True)
        for name in ("winner.yaml", "winner.safetensors"):
            (tmp_path / "studies" / "big" / name).touch()
        monkeypatch.chdir(tmp_path)
    content: dict[str, Any] = compose(block.text, str(block.page), []).plain()
    if "study" in content:
        load_study(content)
        return
    assert content.keys() <= STUDY.fields.keys() | SPACE.fields.keys()
    if "data" in content:
        load_data({key: value for key, value in content["data"].items() if key != "folds"})  # which a study has alone
    space: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    space |= {key: value for key, value in content.items() if key in SPACE.fields}
    rest = {key: value for key, value in content.items() if key not in SPACE.fields}
    load_study({"study": "x", "data": {"source": "digits"}, "budget": {"num_trials": 2, "max_epochs": 3}, "space": space, **rest})


@pytest.mark.heavy
def test_the_python_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its search without Ray, as those of the notebooks."""
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    code = "\n".join([CELL, *(block.text for block in blocks("python") if block.page.name == "python.md")])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "nearest is 'adam'" in done.stdout and "1,797 pictures of 10 classes" in done.stdout


def test_pages_are_as_the_source_says() -> None:
    """`docs/make_pages.py` writes them."""
    made = runpy.run_path(str(ROOT / "docs" / "make_pages.py"))
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.read_text() == made["with_tables"](page.read_text(), are_models_counted=False), page.name
    assert (ROOT / "docs" / "api.md").read_text() == made["api_page"]()


def test_the_page_of_the_api_has_every_public_name() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_pages.py"))
    calls, records = [*made["FUNCTIONS"], *made["ERRORS"]], [path.partition(":")[2] for path in made["GIVEN"]]
    assert sorted({*calls, *records} & {*visiontune.__all__}) == sorted(visiontune.__all__)
    assert sorted({*calls} & {*visiontune.__all__}) == sorted(calls)


@pytest.mark.heavy
def test_the_table_of_models_is_counted() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    assert text.partition("<!-- list models -->\n")[2].partition("<!-- /list -->")[0].splitlines() == list(model_table())


def links(page: Path) -> Iterator[str]:
    yield from re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
