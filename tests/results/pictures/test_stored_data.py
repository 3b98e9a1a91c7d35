"""What is removed of stores: nothing that a name or a study means, or has its pixels from, or that was used lately; a test of each."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import visiontune
from visiontune.cli import main
from visiontune.data.prepare import prepare
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.pictures import stored_data

MONTH_S = 31 * 86_400


def test_only_what_nothing_means_and_nobody_used_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = StudiesFolder(tmp_path).data_cache
    stores = {name: prepare({"source": "digits", "seed": seed}, cache) for seed, name in enumerate(("pixels", "begun", "fresh", "old"))}
    visiontune.ingest({"source": "digits"}, name="mine", studies_dir=tmp_path, progress=False)
    for name in ("pixels", "begun", "old"):
        os.utime(stores[name], (0, time.time() - MONTH_S))
    fitted = stores["old"].with_suffix(".whitening-1.safetensors")
    fitted.touch()
    for name in ("pets", "cars"):
        StudyFolder(tmp_path / name).path.mkdir()
        StudyFolder(tmp_path / name).lock.touch()

    def read(folder: StudyFolder, url: str) -> SimpleNamespace:
        if folder.name == "cars" and url == "journal":
            raise UserError("in a database")
        return SimpleNamespace(pictures={"digest": stores["begun"].stem})

    monkeypatch.setattr(stored_data, "read_study", read)
    studies = ["--studies-dir", str(tmp_path)]
    assert main(["data", "--prune", "30", *studies]) == 2
    assert "study cars can't be read here: --storage URL names" in capsys.readouterr().err and stores["old"].exists()
    where = {"studies_dir": tmp_path, "storage": "sqlite:///cars.db"}
    assert "`visiontune data --prune 30` removes it" in str(visiontune.list_data(**where)) and fitted.exists()
    done = visiontune.prune_data(30, **where)
    assert [one.digest for one in done.removed] == [stores["old"].stem] and not fitted.exists()
    assert {name for name, path in stores.items() if path.exists()} == {"pixels", "begun", "fresh"}
    assert {one.digest: (one.names, one.studies) for one in done}[stores["begun"].stem] == ((), ("cars", "pets"))
    os.utime(stores["fresh"], (0, 0))
    prepare({"source": "digits", "seed": 2}, cache)  # which marks it as used
    assert not visiontune.prune_data(30, **where).removed and len(visiontune.prune_data(0, **where).removed) == 1
