"""One real SQLite database for all tests of the floor: its first migration takes a second and a half of a core, for whichever process."""

from __future__ import annotations

import os
import shutil
from contextlib import chdir
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def studies_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="session")
def uri(studies_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    from visiontune.filesystem.file_lock import locked

    own = tmp_path_factory.getbasetemp()
    migrated = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "migrated.db"
    with locked(migrated.with_suffix(".lock")):
        if not migrated.exists():
            migrate(migrated)
    shutil.copy(migrated, studies_dir / "mlflow.db")
    return f"sqlite:///{studies_dir}/mlflow.db"


def migrate(path: Path) -> None:
    """Make an empty database with MLflow's tables."""
    from mlflow.tracking import MlflowClient

    begun = path.with_suffix(".begun")
    MlflowClient(f"sqlite:///{begun}").search_experiments()
    begun.rename(path)


@pytest.fixture(scope="session")
def client(uri: str, studies_dir: Path):
    from mlflow.tracking import MlflowClient

    with chdir(studies_dir):  # where artifacts go that no test says a place for
        client = MlflowClient(uri)
        client.search_experiments()
    return client
