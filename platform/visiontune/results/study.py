"""A study in Python, running or finished, read without starting anything: its tables, its winner in use, and what trains more of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError, plural
from visiontune.filesystem.given_paths import given_path
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.study_tables import StudyTables
from visiontune.results.study_winner import Winner
from visiontune.spec.declarations.call_ranges import NUMBERS, refuse_outside
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import load_files
from visiontune.tuning.records.records import TrialRecord
from visiontune.tuning.retraining.winner import winner_of
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_database import storage_url as database_of
from visiontune.tuning.study.trial_history import read_history

if TYPE_CHECKING:
    from visiontune.data.picture.depth import Depth
    from visiontune.exports.write_export import Export
    from visiontune.results.inspection.study_inspection import Inspection
    from visiontune.results.tables.ablation_table import Ablation
    from visiontune.results.tables.trial_life import TrialLife
    from visiontune.results.use.evaluation import Evaluation
    from visiontune.results.use.predictions import Predictions
    from visiontune.results.use.winner_costs import WinnerCosts


@dataclass(frozen=True)
class Study(StudyTables):
    """A study as it stood when it was read; `refresh` reads it again. `print(study)` is its leaderboard.

    `status` is that of the call which gave it: finished, budget (a limit that `record.ending` names kept trials from going on) or
    interrupted; "" where it was only read. The call began `num_new_trials` and trained `num_new_epochs`, confirmations included.
    """

    def winner_costs(self, device: str = "auto") -> WinnerCosts:
        """Measure the winner here: latency at batch 1 and 64, peak memory on a GPU, size of its file; some seconds.

        `device` is auto, cpu or cuda. Raises UserError where the study has no trained winner.
        """
        from visiontune.results.use.winner_costs import winner_costs
        from visiontune.training.train_recipe import find_device

        return winner_costs(self.folder, StudiesFolder(self.folder.path.parent).data_cache, find_device(device))

    @property
    def winner(self) -> Winner | None:
        """The winner; None until the search has written its recipe."""
        trial = winner_of(self.record) if self.record.ending is not None else None  # before that the files may be an earlier winner's
        if trial is None or not self.folder.winner.exists():
            return None
        return Winner.of(self.record, trial.number, self.recipe(trial.number), self.folder)

    def recipe(self, number: int) -> TrialRecipe:
        """The recipe of a trial: everything needed to train it again, its plugins and teacher loaded.

        Raises UserError for a number that no trial has.
        """
        recipe = self._record_of(number).as_trained
        load_files(recipe, self.folder.path)
        return recipe

    def trial(self, number: int) -> TrialLife:
        """One trial's life, from its proposal to its end; `print` tells it. Raises UserError for a number that no trial has."""
        from visiontune.results.tables.trial_life import trial_life

        record = self._record_of(number)
        return trial_life(self.record, record, read_history(self.folder, record.number, self.storage_url))

    def _record_of(self, number: int) -> TrialRecord:
        refuse_outside(NUMBERS, number=number)
        return self.record.trial(number)

    def predict(
        self,
        pictures: Any,
        *,
        classes: int | None = None,
        test_time: str = "none",
        calibrated: bool = False,
        device: str = "auto",
        depth: Depth | None = None,
    ) -> Predictions:
        """What the winner says of pictures: as `visiontune.predict`."""
        from visiontune.results.use.use_classifier import predict

        folders = self.folder, StudiesFolder(self.path.parent)
        return predict(*folders, pictures, classes=classes, test_time=test_time, is_calibrated=calibrated, device=device, depth=depth)

    def evaluate(
        self,
        data: Path | str | Mapping[str, Any] | None = None,
        overrides: Sequence[str] = (),
        *,
        skip_unknown: bool = False,
        test_time: str = "none",
        calibrated: bool = False,
        device: str = "auto",
        depth: Depth | None = None,
    ) -> Evaluation:
        """How well the winner does on another labelled set, or on its validation pictures: as `visiontune.evaluate`."""
        from visiontune.results.use.use_classifier import evaluate

        how: dict[str, Any] = {
            "is_skipping": skip_unknown,
            "test_time": test_time,
            "is_calibrated": calibrated,
            "device": device,
            "depth": depth,
        }
        return evaluate(self.folder, StudiesFolder(self.path.parent), data, overrides, **how)

    def export(self, to: str = "onnx", *, out: Path | str | None = None, precision: str = "fp32", calibrated: bool = False) -> Export:
        """Write the winner in a form that needs no visiontune, and a model card: as `visiontune.export`."""
        from visiontune.results.use.export_winner import export_winner

        file, cache = given_path(out, "out"), StudiesFolder(self.path.parent).data_cache
        return export_winner(self.folder, self.record, cache, to, file, precision, is_calibrated=calibrated)

    def inspect(
        self, only: Sequence[str] | None = None, out: Path | str | None = None, *, folds: int | None = None, device: str = "auto"
    ) -> Inspection:
        """What the winner's network sees, as `visiontune.inspect` says. Raises UserError."""
        from visiontune.results.inspection.study_inspection import inspect_study

        cache, file = StudiesFolder(self.path.parent).data_cache, given_path(out, "out")
        return inspect_study(self.folder, cache, only=only, out=file, folds=folds, device=device)

    def confirm(
        self,
        *,
        top: int | None = None,
        seeds: int | None = None,
        weights: str | None = None,
        use_val: bool | None = None,
        address: str | None = None,
        progress: bool | str = True,
        may_exit: bool = False,
    ) -> Study:
        """Train the best `top` recipes again on up to `seeds` fresh seeds, to find the winner; what is done is not done again.

        What is not given stays as it was. `weights` and `use_val` as in the section confirm, the others as in `search`. Raises UserError
        for a study that has not ended or is being searched, or where no trial was trained in full; SearchFailed, NoCluster.
        """
        from visiontune.results.retraining.confirm_study import confirm_study

        given: dict[str, Any] = {"top": top, "seeds": seeds, "weights": weights, "use_val": use_val, "address": address}
        outcome = confirm_study(self.folder, **given, storage=self.storage_url, progress=progress, may_exit=may_exit)
        return Study(self.folder, outcome.study, outcome.status, 0, outcome.num_new_epochs, self.storage_url)

    def report(self, out: Path | str | None = None, *, inspect: bool = True, device: str = "auto", progress: bool | str = True) -> Path:
        """Write the study as one HTML file that needs no network, by default report.html of its folder; its path.

        With `inspect` the winner's network is asked about the validation pictures, which takes up to a minute. `device` is auto, cpu or
        cuda; `progress` as in `ingest`. Raises UserError, also where no trial has a value yet.
        """
        from visiontune.results.report.write_report import report

        how: dict[str, Any] = {"is_looking": inspect, "device": device, "progress": progress}
        return report(self.folder, self.record, given_path(out, "out"), **how, storage_url=self.storage_url)

    def ablate(
        self,
        *,
        budget: int | str | None = None,
        seeds: int = 3,
        address: str | None = None,
        progress: bool | str = True,
        may_exit: bool = False,
    ) -> Ablation:
        """What each factor of the winner is worth: recipes between the defaults and it, trained in full on paired seeds, read on val.

        `budget` bounds all calls together: epochs, or a time such as "30m"; what it leaves out is said, and by a larger one trained. What
        is trained is not trained again. Others as in `confirm`. Raises as that does, and UserError where nothing differs.
        """
        from visiontune.results.retraining.ablate_study import ablate_study

        given: dict[str, Any] = {"budget": budget, "seeds": seeds, "address": address, "progress": progress, "may_exit": may_exit}
        return ablate_study(self.folder, **given, storage=self.storage_url)

    def refresh(self) -> Study:
        """The study as it stands now. Raises UserError when it is gone."""
        return open_study(self.folder, self.storage_url)

    def __repr__(self) -> str:
        return f"<visiontune.Study {self.name!r}: {plural(len(self.record.trials), 'trial')} in {self.path}>"


def open_study(folder: StudyFolder, storage_url: str = "journal") -> Study:
    """The study in a folder as it stands. Raises UserError where there is none."""
    if not isinstance(storage_url, str):
        raise UserError(f"storage is journal or the URL of a database, but got {storage_url!r}")
    url = database_of(folder, storage_url)
    return Study(folder, read_study(folder, url), storage_url=url)
