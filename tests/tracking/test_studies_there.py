"""A search is sent to MLflow, and read there again by whoever looks for recipes to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simulated_search import drive, make_spec
from test_mlflow_runs import send

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.studies_there import StudiesThere
from visiontune.tuning.proposals.earlier_studies import earlier_points
from visiontune.tuning.ranking.ranking import is_usable
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.study.read_study import read_study


def test_start_points_out_of_mlflow_are_those_of_the_study_itself(client: Any, uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "sent"
    events: list[dict[str, Any]] = []
    spec = make_spec(folder, 16, scheduler="none")
    drive(spec, folder, put=events.append)
    (folder / "driver.lock").touch()
    told = {"event": "study", "study": "sent", "key": "k", "identity": spec.identity(), "mode": "max", "tags": {}, "data": {}, "time_ms": 1}
    send(client, [told, *events], Runs(client, tmp_path / "artifacts"))

    there, record = StudiesThere(uri), read_study(StudyFolder(folder))
    assert "sent" in there.names() and there.read("never sent") is None
    found = there.read("sent")
    assert found is not None and found.objective == record.objective

    def known(study: StudyRecord) -> dict[int, Any]:
        return {one.number: (one.value, one.epoch, dict(one.recipe)) for one in study.trials if is_usable(one)}

    assert known(found) == known(record) and len(known(found)) > 12
    new = make_spec(tmp_path / "empty" / "new", overrides=["start={studies: [sent]}"])
    by_folder = earlier_points(new, StudiesFolder(folder.parent))
    assert earlier_points(new, StudiesFolder(tmp_path / "empty"), elsewhere=there) == by_folder and by_folder

    for run in client.search_runs([client.get_experiment_by_name("sent").experiment_id], "tags.`visiontune.number` LIKE '%'"):
        client.set_tag(run.info.run_id, "visiontune.number", "three")
    with pytest.raises(UserError, match=r"is not what a search leaves there: .*three"):
        there.read("sent")


def test_a_server_that_is_away_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"MLflow at .*127\.0\.0\.1:9 can't be asked for earlier studies") as told:
        StudiesThere("http://user:secret@127.0.0.1:9").names()
    assert "secret" not in str(told.value)
