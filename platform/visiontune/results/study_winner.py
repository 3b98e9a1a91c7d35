"""The winner of a study, as Python users hold it: its recipe and weights, and what is known of how good it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.winner_lines import Estimate, curse_of, estimate_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.tuning.records.records import Candidate, Confirmation, StudyRecord, test_mean_of, tested_of


@dataclass(frozen=True)
class Winner:
    """The best of a search that has ended: of its best trials, trained again on fresh seeds, the one that won.

    `confirmations` are its trainings, each tested once; `weights` is the file of the network that was kept. `value` is the objective over
    the fresh seeds, `probability` that of being the best of the `candidates`, `winners_curse` the search's value minus `value.mean`; None
    where nothing was confirmed. `with_val`: the training on train and val together, where that was asked for.
    """

    number: int
    recipe: TrialRecipe
    recipe_file: Path
    weights: Path | None
    confirmations: tuple[Confirmation, ...]
    value: Estimate | None = None
    probability: float | None = None
    winners_curse: float | None = None
    candidates: tuple[Candidate, ...] = ()
    with_val: Confirmation | None = None

    @staticmethod
    def of(study: StudyRecord, number: int, recipe: TrialRecipe, folder: StudyFolder) -> Winner:
        """The trial of that number, with what its race says of it."""
        own = next((one for one in study.candidates if one.number == number), None)
        race: dict[str, Any] = {
            "value": estimate_of(study.confirmations, study.objective.metric),
            "candidates": study.candidates,
            "with_val": study.with_val,
        }
        if own is not None:
            race |= {"probability": own.probability, "winners_curse": curse_of(own)}
        weights = folder.winner_weights if folder.winner_weights.exists() else None
        return Winner(number, recipe, folder.winner, weights, study.confirmations, **race)

    @property
    def test_top1(self) -> float | None:
        """Mean accuracy on the test split, 0 to 1, over the confirmations, or of the one of train and val where there is one.

        None where none was tested, and where pictures have several classes.
        """
        return test_mean_of(tested_of(self.confirmations, self.with_val)).get("test_top1")

    @property
    def test_map(self) -> float | None:
        """The same of the mean average precision, where pictures have several classes."""
        return test_mean_of(tested_of(self.confirmations, self.with_val)).get("test_map")
