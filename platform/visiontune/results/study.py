"""A study in Python: its trials and curves as pandas, its best trial, its winner; running or finished, read without starting anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.leaderboard import leaderboard, to_json
from visiontune.results.study_winner import Winner
from visiontune.results.trial_costs import cost_rows, front_rows, told, total_lines, with_costs
from visiontune.results.trial_table import param_table, trial_table
from visiontune.results.used import bytes_of
from visiontune.spec.call_ranges import MANY, refuse_outside
from visiontune.spec.kept_files import load_files
from visiontune.spec.plugins import in_use
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.tuning.read_study import load_plugins_of, read_study
from visiontune.tuning.records import StudyRecord, TrialRecord
from visiontune.tuning.trial_history import read_history
from visiontune.tuning.winner import winner_of

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from visiontune.exports.write_export import Export
    from visiontune.results.ablation_table import Ablation
    from visiontune.results.evaluation import Evaluation
    from visiontune.results.importance_table import Why
    from visiontune.results.predictions import Predictions
    from visiontune.results.study_inspection import Inspection
    from visiontune.results.trial_life import TrialLife
    from visiontune.results.winner_costs import WinnerCosts


@dataclass(frozen=True)
class Study:
    """A study as it stood when it was read; `refresh` reads it again. `print(study)` is its leaderboard.

    `status` is that of the call which gave it: finished, budget (a limit that `record.ending` names kept trials from going on) or
    interrupted; "" where it was only read. The call began `num_new_trials` and trained `num_new_epochs`, confirmations included.
    """

    folder: StudyFolder
    record: StudyRecord
    status: str = ""
    num_new_trials: int = 0
    num_new_epochs: int = 0
    storage_url: str = "journal"

    @property
    def name(self) -> str:
        """The study's name, which is also that of its folder."""
        return self.record.name

    @property
    def path(self) -> Path:
        """The study's folder."""
        return self.folder.path

    @property
    def trials(self) -> pd.DataFrame:
        """A row for each trial, by number: state, value (of the objective, after `epoch` epochs), epoch, reason, kind, params, fingerprint,
        proposed_by, repeats (the value of each network of it, where it has several).

        States: complete, pruned, failed, running, waiting. A column `params.KEY` for each sampled value; NaN where a trial has none.
        One of values of several kinds (`choice: [auto, 2]`) is text, so that `to_parquet` takes the table; `params` has them as they are.
        """
        return trial_table(self.record.trials)

    @property
    def costs(self) -> pd.DataFrame:
        """What trials cost: a row for each, a column for each cost that is known; NaN where a trial has none.

        num_parameters, multiply_adds and weight_bytes are of every recipe, latencies where constraints had them measured; train_s,
        gpu_hours and price are what training took so far. Raises UserError where pictures that the study knows nothing of can't be read.
        """
        return cost_rows(self._with_costs())

    def winner_costs(self, device: str = "auto") -> WinnerCosts:
        """Measure the winner here: latency at batch 1 and 64, peak memory on a GPU, size of its file; some seconds.

        `device` is auto, cpu or cuda. Raises UserError where the study has no trained winner.
        """
        from visiontune.results.winner_costs import winner_costs
        from visiontune.training.train_recipe import find_device

        return winner_costs(self.folder, StudiesFolder(self.folder.path.parent).data_cache, find_device(device))

    @property
    def front(self) -> pd.DataFrame:
        """Rows of `trials` that no other beats in one objective without being worse in another, and their costs; the cheapest first."""
        return front_rows(self.record, self.trials)

    def pareto(self, cost: str | None = None) -> Figure:
        """The metric against a cost, by default the first objective among them, as a plotly figure, and its front. Raises UserError."""
        from visiontune.results.plots.pareto import pareto

        return pareto(self._with_costs(), cost)

    def _with_costs(self) -> StudyRecord:
        with in_use(load_plugins_of(self.folder, self.storage_url)):
            return with_costs(self.record)

    @property
    def params(self) -> pd.DataFrame:
        """Sampled values: a row for each trial, a column for each dotted key; NaN where a branch was not taken."""
        return param_table(self.record.trials)

    @property
    def curves(self) -> pd.DataFrame:
        """The objective: a row for each epoch from 1, a column for each trial; NaN where a trial was not trained so far."""
        import pandas as pd

        columns = {trial.number: pd.Series(dict(trial.values), dtype=float) for trial in self.record.trials}
        return pd.DataFrame(columns).rename_axis(index="epoch", columns="number").sort_index()

    @property
    def best(self) -> TrialRecord | None:
        """The first of the ranking: those that got furthest first, by value within. None where no trial has a finite value."""
        return self.record.best

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
        recipe = self.record.trial(number).as_trained
        load_files(recipe, self.folder.path)
        return recipe

    def trial(self, number: int) -> TrialLife:
        """One trial's life, from its proposal to its end; `print` tells it. Raises UserError for a number that no trial has."""
        from visiontune.results.trial_life import trial_life

        return trial_life(self.record, self.record.trial(number), read_history(self.folder, number, self.storage_url))

    def leaderboard(self, n: int = 10, width: int | None = None, *, costs: bool = False) -> str:
        """The `n` best trials, rungs, failures, the best recipe as text; trials' lines are cut at `width` characters. Raises UserError.

        With `costs` a column for each cost that is known.
        """
        refuse_outside(MANY, n=n)
        if not costs:
            return leaderboard(self.record, n, width)
        found = self._with_costs()
        return "\n".join([leaderboard(found, n, width, told(found)), *total_lines(found)])

    def predict(self, pictures: Any, *, top: int = 1, tta: str = "none", calibrated: bool = False, device: str = "auto") -> Predictions:
        """What the winner says of pictures: as `visiontune.predict`."""
        from visiontune.results.use_classifier import predict

        studies = StudiesFolder(self.path.parent)
        return predict(self.folder, studies, pictures, top=top, tta=tta, is_calibrated=calibrated, device=device)

    def evaluate(
        self,
        data: Path | str | Mapping[str, Any] | None = None,
        overrides: Sequence[str] = (),
        *,
        skip_unknown: bool = False,
        tta: str = "none",
        calibrated: bool = False,
        device: str = "auto",
    ) -> Evaluation:
        """How well the winner does on another labelled set, or on its validation pictures: as `visiontune.evaluate`."""
        from visiontune.results.use_classifier import evaluate

        how: dict[str, Any] = {"is_skipping": skip_unknown, "tta": tta, "is_calibrated": calibrated, "device": device}
        return evaluate(self.folder, StudiesFolder(self.path.parent), data, overrides, **how)

    def export(self, to: str = "onnx", *, out: Path | str | None = None, precision: str = "fp32", calibrated: bool = False) -> Export:
        """Write the winner in a form that needs no visiontune, and a model card: as `visiontune.export`."""
        from visiontune.results.export_winner import export_winner

        file, cache = None if out is None else Path(out), StudiesFolder(self.path.parent).data_cache
        return export_winner(self.folder, self.record, cache, to, file, precision, is_calibrated=calibrated)

    def to_dict(self, *, costs: bool = False) -> dict[str, Any]:
        """The study as JSON can carry it, trials best first; with `costs` all that is known of what they cost."""
        return {**to_json(self._with_costs() if costs else self.record), "bytes": bytes_of(self.path)}

    def inspect(self, only: Sequence[str] | None = None, out: Path | str | None = None, *, device: str = "auto") -> Inspection:
        """What the winner's network sees, as `visiontune.inspect` says. Raises UserError."""
        from visiontune.results.study_inspection import inspect_study

        cache = StudiesFolder(self.path.parent).data_cache
        return inspect_study(self.folder, cache, only=only, out=None if out is None else Path(out), device=device)

    def importance(self, seed: int = 0) -> Why:
        """What mattered, by how much, what is not known yet, and what to search next; seconds. `seed` is the forests'.

        Raises UserError where the study's space is none that a file can have today.
        """
        from visiontune.results.importance_table import Why
        from visiontune.results.next_search import next_search
        from visiontune.tuning.importance import importance_of

        with in_use(load_plugins_of(self.folder, self.storage_url)):
            found = importance_of(self.record, seed)
            return Why(found, next_search(self.record, found))

    def plot(self, name: str) -> Figure:
        """A plotly figure: curves, budget, ablation; importance, marginals, parallel, slices, ranks: seconds. Raises UserError."""
        from visiontune.results.plots.ablation_plot import ablation_figure
        from visiontune.results.plots.figure_table import figure_of

        if name == "ablation":
            if (found := self.ablation) is None:
                raise UserError(f"study {self.name} has no ablation yet; `visiontune ablate {self.name}` makes one")
            return ablation_figure(found)
        with in_use(load_plugins_of(self.folder, self.storage_url)):
            return figure_of(self.record, name)

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
        from visiontune.results.confirm_study import confirm_study

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
        return report(self.folder, self.record, None if out is None else Path(out), **how, storage_url=self.storage_url)

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
        from visiontune.results.ablate_study import ablate_study

        given: dict[str, Any] = {"budget": budget, "seeds": seeds, "address": address, "progress": progress, "may_exit": may_exit}
        return ablate_study(self.folder, **given, storage=self.storage_url)

    @property
    def ablation(self) -> Ablation | None:
        """What `ablate` has found so far; None where it never ran, or another trial has won since."""
        from visiontune.results.ablate_study import read_ablation

        return read_ablation(self.folder, self.storage_url)

    def refresh(self) -> Study:
        """The study as it stands now. Raises UserError when it is gone."""
        return open_study(self.folder, self.storage_url)

    def __str__(self) -> str:
        return self.leaderboard()

    def __repr__(self) -> str:
        return f"<visiontune.Study {self.name!r}: {len(self.record.trials)} trials in {self.path}>"


def open_study(folder: StudyFolder, storage_url: str = "journal") -> Study:
    """The study in a folder as it stands. Raises UserError where there is none."""
    return Study(folder, read_study(folder, storage_url), storage_url=storage_url)
