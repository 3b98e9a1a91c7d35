"""One real SQLite database for all tests of the floor: its first migration takes a second."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


@pytest.fixture(scope="session")
def studies_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="session")
def uri(studies_dir: Path) -> str:
    return f"sqlite:///{studies_dir}/mlflow.db"


@pytest.fixture(scope="session")
def client(uri: str, studies_dir: Path):
    from mlflow.tracking import MlflowClient

    with chdir(studies_dir):  # where artifacts go that no test says a place for
        client = MlflowClient(uri)
        client.search_experiments()
    return client
