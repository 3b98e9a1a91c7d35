"""A model, an optimizer and an op of the user's own through a search: the study's folder has what it needs, and another process trains."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from places import PLATFORM, ROOT
from simulated_search import drive
from tiny import make_recipe, make_store

from visiontune.errors import UnfitMachine, UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.plugins import in_use
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.tuning.cluster.ray_submit import submit
from visiontune.tuning.legs.run_leg import run_leg
from visiontune.tuning.records.leg import Leg, pack
from visiontune.tuning.retraining.front_files import leave_front
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import study_record

PLUGIN = ROOT / "examples" / "my_models.py"

STUDY = """\
study: mine
plugins: [my_models.py]
data: {source: digits}
objective: [val_top1, num_parameters]
budget: {num_trials: 6, min_epochs: 1, max_epochs: 3}
confirm: {num_seeds: 0}
space:
  model: {name: {choice: {tiny_net: {channels: {int: [4, 8]}}, lenet5: {}}}}
  optimizer: {name: averaged_sgd, lr: auto}
  augmentation: {policy: fixed, Salt: {magnitude: {float: [0.1, 0.5]}}}
"""

WORK = """
import sys
from pathlib import Path
import torch
import visiontune
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.checks.made_store import make_store
from visiontune.tuning.cluster.ray_worker import unpack
from visiontune.tuning.legs.run_leg import Worker

torch.set_num_threads(1)
for report in Worker(make_store(num=60), StudyFolder(Path(sys.argv[2]))).run(unpack(sys.argv[1])):
    print(report.epoch, report.failure or "trained", report.reason)
for epoch in visiontune.train(sys.argv[3], device="cpu", studies_dir=sys.argv[2]):
    print(epoch.epoch, "trained")
"""


def write(folder: Path, more: str = "") -> Path:
    (folder / "my_models.py").write_text(PLUGIN.read_text() + more)
    (folder / "study.yaml").write_text(STUDY)
    return folder / "study.yaml"


@pytest.mark.heavy
def test_a_search_leaves_what_another_process_needs(tmp_path: Path) -> None:
    file, folder = write(tmp_path), StudyFolder(tmp_path / "studies" / "mine")
    spec = load_study(file)
    with in_use(spec.plugins):
        _, storage, _ = drive(spec, folder.path, costs_of=lambda recipe: {"num_parameters": 1.0})
    leave_front(study_record(storage, "mine"), folder, lambda event: None)
    recipes = [trial.user_attrs["recipe"] for trial in storage.trials()]
    assert {one["model"]["name"] for one in recipes} == {"tiny_net", "lenet5"} and all(one["plugins"] == [*spec.plugins] for one in recipes)
    assert [one.read_text() for one in folder.plugins.iterdir()] == [PLUGIN.read_text()]

    write(tmp_path, "# changed\n")
    with pytest.raises(UserError, match=r"plugins: was \['my_models.py@sha256:.*'\], is now \['my_models.py@sha256:"):
        create_or_resume(folder, load_study(file))
    (tmp_path / "my_models.py").unlink()
    on_front = [load_recipe(file).to_dict() for file in folder.front.glob("*.yaml")]
    assert on_front and all(one in recipes for one in on_front), "read with the copies beside it"

    number = next(n for n, one in enumerate(recipes) if one["model"]["name"] == "tiny_net")
    recipe = load_recipe({**recipes[number], "training": {**recipes[number]["training"], "num_epochs": 1}})
    dump_recipe(recipe, folder.winner)
    leg = pack(Leg(key="00000", number=0, recipe=recipe, known_epochs=0))
    work = [sys.executable, "-c", WORK, leg, folder.path, folder.winner]
    told = subprocess.run(work, env={"PYTHONPATH": str(PLATFORM)}, capture_output=True, text=True)
    assert told.stdout == "1 trained \n1 trained\n", told.stderr


def test_a_plugin_that_is_gone_is_the_machine_s_fault_and_not_the_recipe_s(tmp_path: Path) -> None:
    leg = Leg(key="00000", number=0, recipe=replace(make_recipe(), plugins=("gone.py@sha256:00",)), known_epochs=0)
    with pytest.raises(UnfitMachine, match=r": the plugin gone.py is gone from "):
        next(run_leg(leg, make_store(), StudyFolder(tmp_path), "cpu"))


def test_submit_refuses_a_plugin_that_would_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "studies").mkdir()
    file = write(tmp_path).rename(tmp_path / "studies" / "study.yaml")
    file.write_text(STUDY.replace("my_models.py", "../my_models.py"))
    monkeypatch.setattr("visiontune.tuning.cluster.ray_submit.connect", lambda address: NoJobs())
    with pytest.raises(UserError, match=r"the plugin \.\./my_models\.py must lie in .*studies, which paths start from on the cluster"):
        submit(file, "http://127.0.0.1:1")


class NoJobs:
    def list_jobs(self) -> list[object]:
        return []
