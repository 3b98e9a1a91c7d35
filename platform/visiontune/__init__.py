"""visiontune: a YAML search space and pictures in, the best training recipe that the GPUs at hand can find out."""

import os

from visiontune.api import (
    Interrupted,
    check,
    export_policy,
    fit,
    ingest,
    json_schema,
    list_entries,
    load_data,
    load_recipe,
    load_study,
    open_ui,
    preview,
    profile,
    sample,
    search,
    submit,
    train,
)
from visiontune.errors import UserError

__version__ = "0.1.0"

__all__ = [
    "Interrupted",
    "UserError",
    "check",
    "export_policy",
    "fit",
    "ingest",
    "json_schema",
    "list_entries",
    "load_data",
    "load_recipe",
    "load_study",
    "open_ui",
    "preview",
    "profile",
    "sample",
    "search",
    "submit",
    "train",
]

# For torch, before it allocates: large blocks in huge pages. Every batch and activation on a CPU is a fresh block, and zeroing it page
# by page took a quarter of an epoch of a small CNN (batches of 256 at 32 px) and half of making a batch at 224 px.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
