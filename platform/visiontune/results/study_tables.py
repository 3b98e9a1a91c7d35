"""What a study holds, as tables, figures and text: its trials and curves as pandas, costs, importance, its leaderboard."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import leaderboard, to_json
from visiontune.results.tables.trial_costs import cost_rows, front_rows, told, total_lines, with_costs
from visiontune.results.tables.trial_table import curve_table, param_table, trial_table
from visiontune.results.tables.used import bytes_of
from visiontune.spec.declarations.call_ranges import MANY, SEED, refuse_given, refuse_outside
from visiontune.spec.plugins import in_use
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.study.read_study import load_files_of

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from visiontune.results.tables.ablation_table import Ablation
    from visiontune.results.tables.importance_table import Why


@dataclass(frozen=True)
class StudyTables:
    """A study as it stood when it was read."""

    folder: StudyFolder
    record: StudyRecord
    status: str = ""
    num_new_trials: int = 0
    num_new_epochs: int = 0
    storage_url: str = field(default="journal", repr=False)  # which may hold a password

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

    @property
    def front(self) -> pd.DataFrame:
        """Rows of `trials` that no other beats in one objective without being worse in another, and their costs; the cheapest first.

        `fresh_mean`, `fresh_low` and `fresh_high`: the metric on fresh seeds, with its 95 % interval, of those that were trained on them.
        """
        return front_rows(self.record, self.trials)

    def pareto(self, cost: str | None = None) -> Figure:
        """The metric against a cost, by default the first objective among them, as a plotly figure, and its front. Raises UserError."""
        from visiontune.results.plots.pareto import pareto

        return pareto(self._with_costs(), cost)

    def _with_costs(self) -> StudyRecord:
        with in_use(load_files_of(self.folder, self.storage_url)):
            return with_costs(self.record)

    @property
    def params(self) -> pd.DataFrame:
        """Sampled values: a row for each trial, a column for each dotted key; NaN where a branch was not taken."""
        return param_table(self.record.trials)

    @property
    def curves(self) -> pd.DataFrame:
        """The objective: a row for each epoch from 1, a column for each trial; NaN where a trial was not trained so far."""
        return curve_table(self.record.trials)

    @property
    def best(self) -> TrialRecord | None:
        """The first of the ranking: those that got furthest first, by value within. None where no trial has a finite value."""
        return self.record.best

    def leaderboard(self, n: int = 10, width: int | None = None, *, costs: bool = False) -> str:
        """The `n` best trials, rungs, failures, the best recipe as text; trials' lines are cut at `width` characters. Raises UserError.

        With `costs` a column for each cost that is known.
        """
        refuse_outside(MANY, n=n)
        refuse_given(MANY, width=width)
        if not costs:
            return leaderboard(self.record, n, width)
        found = self._with_costs()
        return "\n".join([leaderboard(found, n, width, told(found)), *total_lines(found)])

    def to_dict(self, *, costs: bool = False) -> dict[str, Any]:
        """The study as JSON can carry it, trials best first; with `costs` all that is known of what they cost."""
        return {**to_json(self._with_costs() if costs else self.record), "bytes": bytes_of(self.folder.path)}

    def importance(self, seed: int = 0) -> Why:
        """What mattered, by how much, what is not known yet, and what to search next; seconds. `seed` is the forests'.

        Raises UserError where the study's space is none that a file can have today.
        """
        from visiontune.results.tables.importance_table import Why
        from visiontune.results.tables.next_search import next_search
        from visiontune.tuning.importance.importance import importance_of

        refuse_outside(SEED, seed=seed)
        with in_use(load_files_of(self.folder, self.storage_url)):
            found = importance_of(self.record, int(seed))
            return Why(found, next_search(self.record, found))

    def plot(self, name: str) -> Figure:
        """A plotly figure: curves, budget, ablation; importance, marginals, parallel, slices, ranks: seconds. Raises UserError."""
        from visiontune.results.plots.ablation_plot import ablation_figure
        from visiontune.results.plots.figure_table import ABLATION, figure_of

        if name == ABLATION:
            if (found := self.ablation) is None:
                raise UserError(f"study {self.name} has no ablation yet; `visiontune ablate {self.name}` makes one")
            return ablation_figure(found)
        with in_use(load_files_of(self.folder, self.storage_url)):
            return figure_of(self.record, name)

    @property
    def ablation(self) -> Ablation | None:
        """What `ablate` has found so far; None where it never ran, or another trial has won since."""
        from visiontune.results.retraining.ablate_study import read_ablation

        return read_ablation(self.folder, self.storage_url)

    def __str__(self) -> str:
        return self.leaderboard()
