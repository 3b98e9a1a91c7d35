"""Studies that were moved or copied: what MLflow has of them is read and written where they are now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.tracking.moved_artifacts import follow_artifacts


@pytest.mark.parametrize("is_copy", [False, True])
def test_artifacts_are_found_and_written_beside_the_studies(tmp_path: Path, uri: str, is_copy: bool) -> None:
    old, new = StudiesFolder(tmp_path / "old"), StudiesFolder(tmp_path / "ne w")
    old.path.mkdir()
    shutil.copy(uri.removeprefix("sqlite:///"), old.mlflow_database)
    before = MlflowClient(f"sqlite:///{old.mlflow_database}")
    experiment = before.create_experiment("small", (old.mlflow_artifacts / "small").as_uri())
    elsewhere = before.create_experiment("chosen", (tmp_path / "mlartifacts" / "chosen").as_uri())
    run = before.create_run(experiment).info.run_id
    folder = old.mlflow_artifacts / "small" / run / "artifacts"  # by hand: a client of this process would remember where
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text("recipe")
    model = before.create_logged_model(experiment, "winner", run).model_id
    if is_copy:
        shutil.copytree(old.path, new.path)
    else:
        old.path.rename(new.path)
    assert (follow_artifacts(new), follow_artifacts(new)) == (1, 0)
    after = MlflowClient(f"sqlite:///{new.mlflow_database}")
    assert Path(after.download_artifacts(run, "recipe.yaml")).read_text() == "recipe"
    after.log_text(run, "more", "more.txt")
    assert [path.parent.parent.parent for path in new.mlflow_artifacts.rglob("more.txt")] == [new.mlflow_artifacts / "small"]
    assert after.get_logged_model(model).artifact_location.startswith((new.mlflow_artifacts / "small").as_uri())
    assert after.get_experiment(elsewhere).artifact_location == (tmp_path / "mlartifacts" / "chosen").as_uri()
    assert old.path.exists() == is_copy and not list(old.path.rglob("more.txt")), "no folder is made anew where they were"
