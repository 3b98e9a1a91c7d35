"""The sections of a report, in its order: one more is one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from visiontune.results.report import network_sections, study_sections
from visiontune.results.report.ablation_section import ablation
from visiontune.results.report.blocks import Block
from visiontune.results.report.front_section import front
from visiontune.results.report.subject import ReportSubject


@dataclass(frozen=True)
class Section:
    """`content` gives None where the study has nothing for it: then it is left out. `slug` is its address within the page."""

    slug: str
    title: str
    content: Callable[[ReportSubject], Sequence[Block] | None]


SECTIONS = (
    Section("leaderboard", "Leaderboard", study_sections.leaderboard),
    Section("front", "The front", front),
    Section("race", "Who has won, by how much", study_sections.race),
    Section("curves", "Learning curves and rungs", study_sections.curves),
    Section("importance", "What mattered", study_sections.importance),
    Section("ablation", "What each factor is worth", ablation),
    Section("costs", "What it costs", study_sections.costs),
    Section("classes", "Classes", network_sections.classes),
    Section("mistakes", "What it gets wrong", network_sections.mistakes),
    Section("labels", "Labels that may be wrong", network_sections.labels),
    Section("corruptions", "Corrupted pictures", network_sections.corruptions),
    Section("sees", "What it sees", network_sections.sees),
    Section("augmentation", "Its augmentation", network_sections.augmentation),
    Section("recipe", "The recipe", study_sections.recipe),
)
