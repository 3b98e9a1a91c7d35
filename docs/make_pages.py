"""docs/api.md out of docstrings, and the tables between the marks `<!-- list NAME -->` of the other pages as `visiontune list` prints them.

.venv/bin/python docs/make_pages.py              # write them; the table of models takes half a minute
.venv/bin/python docs/make_pages.py --check      # exit code 1 where one is not as it should be; models are left out
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import visiontune
from visiontune.results.entry_lists import markdown_lines
from visiontune.results.model_table import model_table

DOCS = Path(__file__).resolve().parent
MARKED = re.compile(r"(?<=<!-- list )(\w+)( -->\n)(.*?)(?=<!-- /list -->)", re.DOTALL)
FUNCTIONS = (
    *("search", "check", "sample", "load_study", "confirm", "ablate", "enqueue", "events", "rehearse", "submit", "open_ui"),
    *("predict", "evaluate"),
    *("list_studies", "compare", "replay", "train_longer", "import_search"),
    *("init_space", "ingest", "load_data", "list_data", "prune_data", "preview", "export_policy"),
    *("inspect",),
    *("load_recipe", "train", "fit", "profile", "export", "list_entries", "json_schema", "check_plugin"),
)
GIVEN = (
    "visiontune.results.study:Study",
    "visiontune.results.study_winner:Winner",
    "visiontune.results.tables.study_list:StudySummary",
    "visiontune.results.pictures.stored_data:DataList",
    "visiontune.results.pictures.stored_data:KeptData",
    "visiontune.results.compare_studies:Comparison",
    "visiontune.results.drafts.import_search:Imported",
    "visiontune.results.tables.trial_life:TrialLife",
    "visiontune.tuning.study.event_log:Event",
    "visiontune.results.replay:Replay",
    "visiontune.results.longer_training:LongerTraining",
    "visiontune.results.use.predictions:Predictions",
    "visiontune.inference.predict:Prediction",
    "visiontune.results.use.evaluation:Evaluation",
    "visiontune.results.use.winner_costs:WinnerCosts",
    "visiontune.inference.latency:Latency",
    "visiontune.results.tables.ablation_table:Ablation",
    "visiontune.results.tables.ablation_table:Row",
    "visiontune.results.checks.study_check:StudyCheck",
    "visiontune.results.tables.importance_table:Why",
    "visiontune.tuning.importance.importance:Importance",
    "visiontune.tuning.importance.importance:ParamImportance",
    "visiontune.tuning.importance.importance:CurvePoint",
    "visiontune.tuning.importance.importance:Interaction",
    "visiontune.results.rehearsal:Rehearsal",
    "visiontune.results.rehearsal:Found",
    "visiontune.results.pictures.dataset:Dataset",
    "visiontune.results.checks.preview:Preview",
    "visiontune.results.drafts.init_space:NewSpace",
    "visiontune.results.inspection.study_inspection:Inspection",
    "visiontune.results.inspection.inspection_views:View",
    "visiontune.spec.declarations.trial_recipe:TrialRecipe",
    "visiontune.training.loop:Epoch",
    "visiontune.training.train_recipe:Result",
    "visiontune.models.profile:Profile",
    "visiontune.exports.write_export:Export",
    "visiontune.tuning.records.records:TrialRecord",
    "visiontune.tuning.records.records:Confirmation",
    "visiontune.tuning.records.records:Candidate",
    "visiontune.results.tables.winner_lines:Estimate",
    "visiontune.tuning.proposals.start_recipes:StartPoint",
)
"""What the functions give, in the order in which a reader meets it."""
ERRORS = ("UserError", "Interrupted", "SearchFailed", "NoCluster", "Diverged", "Died", "LostRank")


def api_page() -> str:
    """Every public name with its signature and docstring."""
    parts = [
        "# The Python API",
        "Made from docstrings by `docs/make_pages.py`; [python.md](python.md) shows it at work.",
        doc(visiontune.api),
    ]
    parts += [part for name in FUNCTIONS for part in function(getattr(visiontune, name), f"visiontune.{name}")]
    parts += ["## What they give", "Read-only records; names that are not here are private."]
    parts += [part for path in GIVEN for part in record(path)]
    parts += ["## Errors", *(f"`visiontune.{name}`: {doc(getattr(visiontune, name))}" for name in ERRORS)]
    return "\n\n".join(parts) + "\n"


def function(one: Any, name: str) -> Iterator[str]:
    """Heading, signature, docstring."""
    yield f"## {name}" if name.count(".") == 1 else f"#### {name}"
    yield f"```python\n{name}{signature(one)}\n```"
    yield doc(one)


def record(path: str) -> Iterator[str]:
    """A class: its fields, properties and methods, those of its bases in the package first."""
    module, _, name = path.partition(":")
    kind = getattr(importlib.import_module(module), name)
    yield f"### {name}"
    yield doc(kind)
    own = [base for base in reversed(kind.__mro__) if base.__module__.startswith("visiontune")]
    fields = {field: type_ for base in own for field, type_ in base.__annotations__.items() if not field.startswith("_")}
    lines = [f"- `{field}`: `{type_}`" for field, type_ in fields.items()]
    for key, value in {key: value for base in own for key, value in vars(base).items()}.items():
        if isinstance(value, property) and not key.startswith("_"):
            lines.append(f"- `{key}`: {doc(value)}".replace("\n", "\n  "))
        elif inspect.isfunction(value) and not key.startswith("_"):
            lines.append(f"- `{key}{signature(value)}`: {doc(value)}".replace("\n", "\n  "))
    yield "\n".join(lines)


def signature(one: Any) -> str:
    """As it is written, without `self`."""
    parameters = [parameter for parameter in inspect.signature(one).parameters.values() if parameter.name != "self"]
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(one).replace(parameters=parameters)))
    return re.sub(r"<function <lambda> at \w+>", "...", re.sub(r"<built-in function (\w+)>", r"\1", text))


def doc(one: Any) -> str:
    """The docstring without its indent."""
    return inspect.cleandoc(one.__doc__ or "")


def with_tables(text: str, *, are_models_counted: bool) -> str:
    """A page with its tables as they are now; that of models stays where it is not counted."""

    def table(found: re.Match[str]) -> str:
        name, end, before = found.groups()
        if name == "models":
            return f"{name}{end}" + ("".join(f"{line}\n" for line in model_table()) if are_models_counted else before)
        return f"{name}{end}" + "".join(f"{line}\n" for line in markdown_lines(name))

    return MARKED.sub(table, text)


def main() -> None:
    """Write, or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args()
    pages = {path: path.read_text() for path in sorted(DOCS.glob("*.md"))}
    wanted = {path: with_tables(text, are_models_counted=not args.check) for path, text in pages.items()}
    wanted[DOCS / "api.md"] = api_page()
    stale = [path for path, text in wanted.items() if pages.get(path) != text]
    if args.check and stale:
        sys.exit(f"{', '.join(path.name for path in stale)}: not as the source says; docs/make_pages.py writes it")
    for path in stale:
        path.write_text(wanted[path])


if __name__ == "__main__":
    main()
