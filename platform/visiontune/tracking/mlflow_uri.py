"""Which MLflow: a server when MLFLOW_TRACKING_URI says so, else one SQLite file beside the studies."""

from __future__ import annotations

import os
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.filesystem.uri import shown

_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql", "databricks")

QUIET_ENV = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""mlflow sends telemetry at import unless told not to; the others silence it."""


def tracking_uri(studies: StudiesFolder, uri: str | None = None) -> str:
    """`uri`, else MLFLOW_TRACKING_URI, else the SQLite file beside the studies. Raises UserError for what mlflow 3 refuses."""
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{studies.mlflow_database.resolve()}"
    scheme = chosen.partition(":")[0].partition("+")[0]
    if ":" not in chosen or scheme not in _SCHEMES:
        kinds = "http://, https://, sqlite:/// or a database URL (postgresql://, mysql://)"
        raise UserError(f"MLFLOW_TRACKING_URI must be {kinds}, but got {shown(chosen)!r}; unset it for {studies.mlflow_database}")
    return chosen


def artifact_root(studies: StudiesFolder, uri: str) -> Path | None:
    """Where models go: beside the studies; None where a server decides."""
    return None if uri.startswith(("http", "databricks")) else studies.mlflow_artifacts.resolve()
