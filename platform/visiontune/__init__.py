"""visiontune: a YAML search space and pictures in, the best training recipe out that the machines at hand can find."""

from __future__ import annotations

import logging
import os
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from visiontune.api import (
    Interrupted,
    ablate,
    check,
    check_plugin,
    compare,
    confirm,
    enqueue,
    evaluate,
    events,
    export,
    export_policy,
    fit,
    import_search,
    ingest,
    init_space,
    inspect,
    json_schema,
    list_data,
    list_entries,
    list_studies,
    load_data,
    load_recipe,
    load_study,
    open_ui,
    predict,
    preview,
    profile,
    prune_data,
    rehearse,
    replay,
    sample,
    search,
    submit,
    train,
    train_longer,
)
from visiontune.errors import Died, Diverged, LostRank, NoCluster, SearchFailed, UserError

if TYPE_CHECKING:
    from visiontune.results.pictures.dataset import Dataset
    from visiontune.results.study import Study
    from visiontune.results.tables.ablation_table import Ablation
    from visiontune.spec.declarations.trial_recipe import TrialRecipe

__version__ = "0.1.0"

__all__ = [
    "Ablation",
    "Dataset",
    "Died",
    "Diverged",
    "Interrupted",
    "LostRank",
    "NoCluster",
    "SearchFailed",
    "Study",
    "TrialRecipe",
    "UserError",
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

# For torch, before it allocates: large blocks in huge pages. Every batch and activation on a CPU is a fresh block, and zeroing it page
# by page took a quarter of an epoch of a small CNN (batches of 256 at 32 px) and half of making a batch at 224 px.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# For GNU's OpenMP, before torch loads it: threads that wait for each other soon sleep. Left alone they spin, each on a core that another
# process may have, and then the one that is waited for does not run: small networks trained many times slower (CONTRIBUTING.md).
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# In a notebook without ipywidgets tqdm and Ray say so when they are imported; nothing here uses widgets.
warnings.filterwarnings("ignore", "IProgress not found")
logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)

_CLASSES = {
    "Ablation": "visiontune.results.tables.ablation_table",
    "Dataset": "visiontune.results.pictures.dataset",
    "Study": "visiontune.results.study",
    "TrialRecipe": "visiontune.spec.declarations.trial_recipe",
}


def __getattr__(name: str) -> Any:
    """The classes that functions here give, for annotations; imported when they are used, since their modules import numpy and optuna."""
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name]), name)
    raise AttributeError(f"module 'visiontune' has no attribute {name!r}")
