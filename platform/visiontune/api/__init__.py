"""What `import visiontune` offers: all that the command line does, with the same files, the same rules and the same errors.

A `File` is a path or the file's content as a mapping, a `Folder` or an `OutFile` a path or None. A space or recipe is overridden by words
as on the command line (`overrides=["budget.num_trials=8"]`) or by keyword arguments, in which two underscores stand for a dot
(`budget__num_trials=8`).
Input that can't be used raises `UserError`, whose text is every problem with its place, its rule and the nearest valid choice.
Whatever has to read pictures may raise `Died`, as `ingest` does.
`studies_dir` is by default VISIONTUNE_STUDIES, else ./studies. Nothing heavy is imported before it is needed.
"""

from visiontune.api.entries import check_plugin, json_schema, list_entries
from visiontune.api.export_model import export
from visiontune.api.inspect_winner import inspect
from visiontune.api.pictures import export_policy, ingest, init_space, list_data, load_data, preview, prune_data
from visiontune.api.recipes import fit, load_recipe, profile, train
from visiontune.api.searches import Interrupted, ablate, check, confirm, sample, search, submit
from visiontune.api.studies import enqueue, events, load_study, open_ui, rehearse
from visiontune.api.trials import compare, import_search, list_studies, replay, train_longer
from visiontune.api.winners import evaluate, predict

__all__ = [
    "Interrupted",
    "ablate",
    "check",
    "check_plugin",
    "compare",
    "confirm",
    "enqueue",
    "evaluate",
    "events",
    "export",
    "export_policy",
    "fit",
    "import_search",
    "ingest",
    "init_space",
    "inspect",
    "json_schema",
    "list_data",
    "list_entries",
    "list_studies",
    "load_data",
    "load_recipe",
    "load_study",
    "open_ui",
    "predict",
    "preview",
    "profile",
    "prune_data",
    "rehearse",
    "replay",
    "sample",
    "search",
    "submit",
    "train",
    "train_longer",
]
