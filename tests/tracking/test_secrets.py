"""A search whose databases have secrets in their addresses leaves them nowhere: not on the screen, in files, in logs or in MLflow."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from simulated_search import drive, make_spec

from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.study import open_study
from visiontune.tracking.delivery import Delivery
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Outbox

SECRET = "hush-4711"
AWAY = f"postgresql://me:{SECRET}@127.0.0.1:9/optuna"


def holding(folder: Path, secret: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.heavy
def test_a_secret_in_an_address_is_in_no_file_and_on_no_screen(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite takes arguments that it does not know, so that a real database can have a secret one in its address."""
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)  # MLflow takes such an address for a path from here, and makes its folders
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    shutil.copy(uri.removeprefix("sqlite:///"), tmp_path / "runs.db")
    storage, runs = (f"sqlite:///file:{tmp_path}/{name}.db?uri=true&secret_key={SECRET}" for name in ("optuna", "runs"))
    folder = StudyFolder(tmp_path / "studies" / "study")
    spec = make_spec(folder.path, 3, sampler="random", num_seeds=1, overrides=[f"storage.url={storage}"])
    drive(spec, folder.path, put=Outbox(folder).put)
    with caplog.at_level(logging.DEBUG, "visiontune"):
        with pytest.raises(OSError):
            Delivery(folder, runs, lambda: _refuse(f"no answer from https://me:{SECRET}@host/")).step()
        delivery = Delivery(folder, runs, lambda: Runs(MlflowClient(runs), tmp_path / "models"))
        while delivery.step():
            pass
    study = open_study(folder, storage)
    studies = ["--studies-dir", str(folder.path.parent)]
    assert main(["show", "study", "--storage", storage, *studies]) == 0
    assert main(["show", "study", "--storage", AWAY, *studies]) != 0
    assert main(["show", "study", "--storage", AWAY.replace("postgresql", "nosuchdb"), *studies]) != 0
    assert main(["check", str(folder.path.with_suffix(".yaml")), f"data.path=s3://KEY:{SECRET}@bucket/cats", "data.source=folder"]) == 2
    out, err = capsys.readouterr()
    assert "trial" in out and "127.0.0.1:9" in err
    assert SECRET not in out + err + caplog.text + repr(study) + repr(spec)
    assert not holding(tmp_path, SECRET)


def _refuse(text: str) -> Runs:
    raise ConnectionRefusedError(text)


def test_what_is_told_to_be_typed_again_and_what_failed_have_no_password(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for error in (KeyboardInterrupt(), RuntimeError(f"could not parse {AWAY}")):
        monkeypatch.setattr("visiontune.api.check", lambda *_, error=error, **__: _raise(error))
        assert main(["check", "a.yaml", f"storage.url={AWAY}"]) == 1
    assert SECRET not in capsys.readouterr().err and not holding(tmp_path, SECRET) and list(tmp_path.iterdir())


def _raise(error: BaseException) -> None:
    raise error
