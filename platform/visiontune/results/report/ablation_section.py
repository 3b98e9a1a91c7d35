"""The section of a report that tells what each factor of the winner is worth."""

from __future__ import annotations

from collections.abc import Sequence

from visiontune.errors import plural
from visiontune.results.plots.ablation_plot import ablation_figure
from visiontune.results.report.blocks import Block, Plot, Table, Text
from visiontune.results.report.subject import ReportSubject
from visiontune.results.tables.ablation_table import gain_text, shown
from visiontune.tuning.retraining.ablation import ALONE, WITHOUT


def ablation(subject: ReportSubject) -> Sequence[Block] | None:
    """From the defaults to the winner, factor by factor."""
    found = subject.ablation
    if found is None:
        return None
    rows = [
        (
            factor.name,
            *(gain_text(found.row(kind, factor.name)) for kind in (WITHOUT, ALONE)),
            shown(factor, factor.before),
            shown(factor, factor.after),
        )
        for factor in found.factors
    ]
    seeds = f"{found.num_seeds} paired seeds, 95 % intervals" if found.num_seeds > 1 else "one seed, so without intervals"
    caption = f"What each factor is worth in {subject.metric} on validation pictures, better being positive; {seeds}"
    header = ("factor", "to the winner", "to the defaults", "default", "winner")
    says = f"{plural(len(rows), 'factor')} between the defaults and trial {found.winner}. The table below has every figure."
    left = [Text([f"Left out {f'of its budget, {found.budget}' if found.budget else 'so far'}: {', '.join(found.left_out)}."])]
    return Plot("ablation", ablation_figure(found), says), Table(caption, header, rows, (1, 2)), *(left if found.left_out else ())
