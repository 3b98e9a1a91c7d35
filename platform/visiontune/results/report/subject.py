"""What a report is about: a study, what it knows, and what its winner sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from visiontune.filesystem.json_text import read_mapping
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.report.shown_trials import shown_trials
from visiontune.results.tables.importance_table import Why
from visiontune.results.tables.winner_lines import Estimate, estimate_of
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.retraining.winner import winner_of

if TYPE_CHECKING:
    from visiontune.results.inspection.inspection_views import View
    from visiontune.results.tables.ablation_table import Ablation


@dataclass(frozen=True)
class ReportSubject:
    """`study` has the costs of those trials that are shown one by one, where its pictures are known. `views` are what the winner sees, by
    name.

    Where there are none although they were wanted, `why_no_views` says the reason, and `why_no_importance` that of a missing `why`.
    """

    folder: StudyFolder
    study: StudyRecord
    why: Why | None = None
    views: Mapping[str, View] = field(default_factory=dict)
    why_no_importance: str = ""
    why_no_views: str = ""
    ablation: Ablation | None = None

    @property
    def winner(self) -> TrialRecord | None:
        """The search's winner, None before it has ended."""
        return winner_of(self.study) if self.study.ending is not None and self.folder.winner.exists() else None

    @cached_property
    def shown(self) -> StudyRecord:
        """The study with the trials that are shown one by one."""
        return shown_trials(self.study)

    @property
    def metric(self) -> str:
        """Of the objective."""
        return self.study.objective.metric

    @property
    def fresh(self) -> Estimate | None:
        """The objective over the winner's fresh seeds."""
        return estimate_of(self.study.confirmations, self.metric)

    @cached_property
    def test(self) -> Mapping[str, Any]:
        """Test figures of the weights that were kept, and of each class; empty where there are none."""
        if self.winner is None or not self.folder.winner_test.exists():
            return {}
        return read_mapping(self.folder.winner_test)
