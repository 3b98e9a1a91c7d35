"""What each factor of joint.yaml's winner is worth: from the tables' defaults to the winner and back, on paired seeds.

    .venv/bin/python benchmarks/ablate.py data.train=cifar10_train.parquet data.test=cifar10_test.parquet
    .venv/bin/python benchmarks/ablate.py --seeds 5 --budget 3h data.max_pictures=5000 data.train=... data.test=...

search_spaces/joint.yaml as a user runs it, and `visiontune ablate` of what it ends with. A gain is the mean difference in validation
accuracy, seed by seed, with the 95 % interval of a paired t: of the winner and the winner without the factor, of the defaults with it
alone and the defaults, of each step from the defaults to the winner and the step before. The seeds are none that the winner was
chosen by. A factor without a figure is one that the budget left out. With the defaults below an hour on 2 busy cores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from common import machine
from common.result import Result, arguments, parse
from common.tables import Rows
from visiontune import Ablation, search
from visiontune.results.tables.winner_lines import Estimate
from visiontune.tuning.retraining.ablation import ALONE, CUMULATIVE, DEFAULTS, WINNER, WITHOUT

FILE = machine.ROOT / "search_spaces" / "joint.yaml"
SMALL = [
    "data.max_pictures=2000",
    "data.val_fraction=0.4",
    "budget={num_trials: 27, min_epochs: 5, max_epochs: 15}",
    "space.model.width=16",
]
SMOKE = ["data={source: digits, image_size: 16, max_pictures: 200}", "budget={num_trials: 1, min_epochs: 1, max_epochs: 1}"]
SMOKE += ["confirm={top: 1, num_seeds: 1}"]
SMOKE += ["start.recipes=[{optimizer.lr: 0.02, loss.label_smoothing: 0.05}]"]  # which is trial 0: the defaults have nothing to ablate


def gain_columns(name: str, gain: Estimate | None) -> dict[str, float]:
    """A gain with its interval; nothing where there is none."""
    if gain is None:
        return {}
    return {name: gain.mean} | ({} if gain.low is None or gain.high is None else {f"{name}, low": gain.low, f"{name}, high": gain.high})


def factors(found: Ablation) -> Rows:
    """What each is worth at either end."""
    titles = {WITHOUT: "worth to the winner", ALONE: "worth to the defaults"}
    rows = {
        factor.name: {
            column: value
            for kind, title in titles.items()
            if (row := found.row(kind, factor.name)) is not None
            for column, value in gain_columns(title, row.gain).items()
        }
        for factor in found.factors
    }
    return {name: row for name, row in rows.items() if row}


def steps(found: Ablation) -> Iterator[tuple[str, dict[str, float]]]:
    """Both ends, and the way between them."""
    for row in found.rows:
        if row.kind in (DEFAULTS, WINNER, CUMULATIVE) and row.value is not None:
            name = f"+ {row.factor}" if row.kind == CUMULATIVE else f"the {row.kind}"
            yield name, {"val_top1": row.value.mean, "deviation": row.value.deviation or 0.0, **gain_columns("gain", row.gain)}


def small(overrides: Sequence[str]) -> list[str]:
    """The small size, but for the keys that are given.

    >>> small(["data.max_pictures=5000"])[0]
    'data.max_pictures=5000'
    """
    return list({word.partition("=")[0]: word for word in (*SMALL, *overrides)}.values())


def main() -> None:
    """Search, ablate, tell."""
    parser = arguments(__doc__)
    parser.add_argument("overrides", nargs="*", help="as for `visiontune search`; a key in place of the small size's")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", default="45m", help="of the ablation: epochs or a time, as for `visiontune ablate`")
    parser.add_argument("--studies-dir", type=Path, help="where the study stays, so that the same command goes on after a kill")
    args = parse(parser, overrides=SMOKE, seeds=1, budget="2")
    with tempfile.TemporaryDirectory(prefix="visiontune-ablate-", ignore_cleanup_errors=True) as temporary:
        folder = args.studies_dir or Path(temporary)
        study = search(FILE, args.overrides if args.smoke else small(args.overrides), studies_dir=folder, progress=False)
        found = study.ablate(seeds=args.seeds, budget=args.budget, progress=False)
    print(found)
    result = Result("ablate", args, args.seeds, "paired seeds")
    result.table("factors", factors(found))
    result.table("from the defaults to the winner", dict(steps(found)))
    if (winner := found.row(WINNER)) is not None and winner.gain is not None:
        result.target("points of val_top1 that the winner is above the defaults", 100 * winner.gain.mean, 0.0, unit="")
    result.write()


if __name__ == "__main__":
    main()
