"""Rectifiers compared on paired seeds, beside the order that Xu et al. 2015 (arXiv 1505.00853) report for CIFAR-10.

    .venv/bin/python benchmarks/rectifiers.py data.train=cifar10_train.parquet data.test=cifar10_test.parquet

search_spaces/rectifiers_small.yaml as a user runs it: a grid of five, each trained on 5 seeds that all share. "Ahead" is the mean by seed
of ReLU's error minus the rectifier's on the same seed, with the 95 % interval of a paired t: it is known where that does not hold 0. Errors
are those of the validation pictures, by which nothing was chosen. The paper's are one run each, on other sizes. 20 minutes on 2 cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import machine
from common.result import Result, arguments, parse
from visiontune import search
from visiontune.results.tables.winner_lines import Estimate
from visiontune.tuning.records.records import TrialRecord

FILE = machine.ROOT / "search_spaces" / "rectifiers_small.yaml"
PAPER = {"relu": 0.1245, "leaky_relu a=100": 0.1266, "leaky_relu a=5.5": 0.1120, "prelu": 0.1179, "rrelu": 0.1119}
AHEAD = ("leaky_relu a=5.5", "prelu", "rrelu")
SMOKE = ["data={source: digits, image_size: 16, max_pictures: 200}", "budget={num_trials: 5, min_epochs: 2, max_epochs: 2, repeats: 2}"]


def name_of(trial: TrialRecord) -> str:
    """The rectifier as the table has it."""
    model = trial.recipe["model"]
    return f"{model['activation']} a={model['a']:g}" if model["activation"] == "leaky_relu" else str(model["activation"])


def rows_of(trials: Sequence[TrialRecord]) -> dict[str, dict[str, float]]:
    """A row for each rectifier, in the order of the paper's errors."""
    errors = {name_of(trial): [1.0 - value for value in trial.repeats] for trial in trials if trial.state == "complete"}
    return {name: _row(name, errors) for name in sorted(errors, key=lambda name: PAPER[name])}


def _row(name: str, errors: Mapping[str, Sequence[float]]) -> dict[str, float]:
    own, ahead = Estimate.of(errors[name]), Estimate.of([relu - own for relu, own in zip(errors["relu"], errors[name], strict=True)])
    row: dict[str, Any] = {"paper's error": PAPER[name]}
    if own is not None and ahead is not None:
        row |= {"val error": own.mean, "deviation": own.deviation, "ahead of relu": ahead.mean, "low": ahead.low, "high": ahead.high}
    return row


def main() -> None:
    """Search, read the values by seed, compare."""
    parser = arguments(__doc__)
    parser.add_argument("overrides", nargs="*", help="as for `visiontune search`")
    args = parse(parser, overrides=SMOKE)
    with tempfile.TemporaryDirectory(prefix="visiontune-rectifiers-", ignore_cleanup_errors=True) as folder:
        study = search(FILE, args.overrides, studies_dir=Path(folder), progress=False)
        rows = rows_of(study.record.trials)
        result = Result("rectifiers", args, min(len(trial.repeats) for trial in study.record.trials), "seeds")
    result.table("errors", rows)
    num = sum(rows[name]["ahead of relu"] > 0 for name in AHEAD if name in rows)
    result.target("of Leaky ReLU with a = 5.5, PReLU and RReLU ahead of ReLU, as in the paper", float(num), 3.0, unit="")
    result.write()


if __name__ == "__main__":
    main()
