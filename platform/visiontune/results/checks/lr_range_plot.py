"""The learning-rate range tests of a study in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from visiontune.filesystem.atomic_write import replacing
from visiontune.training.checks.check import Check
from visiontune.training.checks.lr_range_test import smoothed

_LARGEST = 1.6
"""Times the highest first loss: the top of the plot, beyond which a diverging curve is cut off."""


def plot_range_tests(checks: Sequence[Check], path: Path) -> Path | None:
    """Write a PNG of loss against rate with suggested and file's ranges; None where no check was a range test.

    Raises OSError where the folder can't be written.
    """
    tests = [check for check in checks if check.figures.get("lrs")]
    if not tests:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # pyplot would look for a display
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, check in enumerate(tests):
        lrs, losses, colour = check.figures["lrs"], check.figures["losses"], f"C{number % 10}"
        axes.plot(lrs, losses, ".", color=colour, alpha=0.25, markersize=3)
        axes.plot(lrs, smoothed(losses), color=colour, label=check.name.partition(": ")[2])
        if check.figures["suggested"]:
            axes.hlines(0.02 + 0.02 * number, *check.figures["suggested"], color=colour, linewidth=3, transform=axes.get_xaxis_transform())
    low, high = tests[0].figures["file"]
    axes.axvspan(low / 1.02, high * 1.02, color="grey", alpha=0.12, label="optimizer.lr of the file")
    axes.set(xscale="log", xlabel="learning rate", ylabel="cross-entropy before the step")
    axes.set(title="Learning-rate range tests; bars at the bottom: rates to search")
    axes.set_ylim(0, _LARGEST * max(check.figures["losses"][0] for check in tests))
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
    return path
