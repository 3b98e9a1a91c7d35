"""Searches from Python, on Ray: a mapping in, a Study out; in a thread; the same folder as the command's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from search_here import PLACE, search_here
from simulated_search import drive, make_spec

import visiontune
from visiontune.cli import main
from visiontune.tuning.cluster.interruption import interruptible

SPACE: dict[str, Any] = {
    "study": "mine",
    "data": {"source": "digits", "image_size": 8},
    "budget": {"num_trials": 4, "min_epochs": 1, "max_epochs": 3, "reduction_factor": 3},
    "resources": {"gpus_per_trial": 0, "max_concurrent_trials": 2},
    "confirm": {"num_seeds": 1, "top": 1},
    "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": {"float": [0.01, 0.2], "log": True}}},
}


def test_check_says_what_a_search_will_cost(tmp_path: Path) -> None:
    found = visiontune.check(SPACE, studies_dir=tmp_path)
    assert found.cost.num_trials == 4 and found.cost.rungs == (1, 3) and found.pictures.num_classes == 10 and found.verdict == "ok"
    assert not [*tmp_path.glob("mine")]


def rays_variables() -> dict[str, str]:
    """But one that its import sets."""
    starts = ("RAY_", "TUNE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if name.startswith(starts) and name != "RAY_CLIENT_MODE"}


def what_tune_keeps(monkeypatch: pytest.MonkeyPatch) -> set[Any]:
    """States of the Ray trials that Tune's own loop keeps at any step, and the classes of its callbacks; filled while a search runs."""
    seen = set[Any]()

    def patched(*args: Any, **kwargs: Any) -> Any:  # once Tune is imported, which must be in the environment of a search
        from visiontune.tuning.cluster.ray_adapter import LegScheduler

        choose = LegScheduler.choose_trial_to_run

        def chosen(self: LegScheduler, tune_controller: Any) -> None:
            choose(self, tune_controller)
            tune_itself = tune_controller._tune_controller
            kept = {*tune_itself._trials, *tune_itself._trials_to_cache, *tune_itself._stopped_trials}
            seen.update({one.status for one in kept}, map(type, tune_itself._callbacks._callbacks))

        monkeypatch.setattr(LegScheduler, "choose_trial_to_run", chosen)
        return interruptible(*args, **kwargs)

    monkeypatch.setattr("visiontune.tuning.search_on_cluster.interruptible", patched)
    return seen


@pytest.mark.ray
def test_a_mapping_in_and_a_study_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before, kept = rays_variables(), what_tune_keeps(monkeypatch)
    study = _in_a_thread(lambda: visiontune.search(SPACE, studies_dir=tmp_path, progress=False, budget__num_trials=3))
    assert rays_variables() == before
    assert "RUNNING" in kept and "TERMINATED" not in kept and not any("TrialProgress" in str(one) for one in kept)
    assert (study.status, study.num_new_trials, len(study.trials)) == ("finished", 3, 3)
    winner, best = study.winner, study.best
    assert winner is not None and best is not None and winner.number == best.number and winner.test_top1 is not None
    assert visiontune.load_recipe(winner.recipe_file).fingerprint == best.fingerprint == winner.recipe.fingerprint
    assert study.curves[best.number].dropna().index.tolist() == [1, 2, 3]
    assert "phase=" not in capsys.readouterr().out

    monkeypatch.setattr(PLACE, search_here)
    more = visiontune.search(SPACE, ["budget.num_trials=4"], studies_dir=tmp_path, progress=False)
    assert (more.num_new_trials, len(more.trials)) == (1, 4) and len(study.refresh().trials) == 4
    assert more.trials["value"][:3].tolist() == study.trials["value"].tolist()
    assert main(["show", "mine", "--json", "--studies-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(more.to_dict()))
    with pytest.raises(visiontune.UserError, match=r"space\.optimizer\.lr"):
        visiontune.search(SPACE, studies_dir=tmp_path, progress=False, space__optimizer__lr=0.5)


def _in_a_thread(call: Callable[[], visiontune.Study]) -> visiontune.Study:
    """What it gives; meanwhile this process has the signal handlers that it had."""
    before, seen = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}, []
    with ThreadPoolExecutor(1) as pool:
        ready = pool.submit(call)
        while not ready.done():
            seen.append({number: signal.getsignal(number) for number in before} == before)
            time.sleep(0.05)
    assert all(seen)
    return ready.result()


@pytest.mark.parametrize("has_trials", [True, False])
def test_an_interruption_while_ray_starts_has_the_study_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_trials: bool
) -> None:
    spec = make_spec(tmp_path / "made", 3)
    if has_trials:
        drive(spec, tmp_path / "made")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("visiontune.tuning.launch.run_search", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        visiontune.search(tmp_path / "made.yaml", studies_dir=tmp_path, progress=False)
    assert isinstance(caught.value, visiontune.Interrupted) == has_trials
    assert not has_trials or len(caught.value.study.trials) == 3


def test_importing_is_quick_and_takes_nothing_heavy() -> None:
    """The modules, not the time: benchmarks/startup.py has that."""
    code = "import sys, visiontune; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "ray", "mlflow", "optuna", "numpy", "pandas", "rich", "IPython", "asyncio"} & {*loaded} and len(loaded) < 400
