"""Learning curves of every point of a grid, recorded once: what rehearsed searches look their epochs up in."""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from visiontune.spec.declarations.fingerprint import fingerprint
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.space.study_spec import StudySpec

Point = tuple[float, float]
Curves = dict[str, list[Point]]
"""(val_top1, test_top1) by epoch, under the key of a recipe; shorter than the budget where training diverged."""


@dataclass(frozen=True)
class Grid:
    """What is recorded: every model, optimizer, learning rate of `levels`, schedule and batch size, for `num_epochs`."""

    models: Mapping[str, Any]
    levels: Sequence[float]
    schedules: Sequence[str]
    batch_sizes: Sequence[int]
    num_epochs: int

    def spec(self, *overrides: str) -> StudySpec:
        """A search of it, in which the learning rate is a range that reaches half a step beyond the levels."""
        step = math.sqrt(self.levels[1] / self.levels[0])
        space = {
            "model": {"name": {"choice": self.models}},
            "optimizer": {
                "name": {"choice": {"sgd": {"momentum": 0.9}, "adamw": {}}},
                "lr": {"float": [self.levels[0] / step, self.levels[-1] * step], "log": True},
            },
            "schedule": {"name": {"choice": list(self.schedules)}},
            "training": {"batch_size": {"choice": list(self.batch_sizes)}},
        }
        study = {
            "study": "rehearsal",
            "data": {"source": "digits", "max_pictures": 800, "val_fraction": 0.5, "test_fraction": 0.4, "seed": 0},
            "objective": {"metric": "val_top1"},
            "budget": {"num_trials": 100_000, "min_epochs": 1, "max_epochs": self.num_epochs, "reduction_factor": 3},
            "confirm": {"num_seeds": 0},
        }
        return load_study({**study, "space": space}, overrides)

    def key_of(self, recipe: TrialRecipe) -> str:
        """Equal for recipes that share a curve: all but the trial's seed, and the learning rate at its nearest level."""
        content = recipe.to_dict()
        lr = min(self.levels, key=lambda level: abs(math.log(level / content["optimizer"]["lr"])))
        return fingerprint({**content, "optimizer": {**content["optimizer"], "lr": lr}, "training": {**content["training"], "seed": 0}})


def record(grid: Grid, cache: Path, num_processes: int) -> Curves:
    """The curves of the whole grid, from the cache if it has them."""
    file = cache / f"visiontune-rehearsal-{fingerprint(asdict(grid))}.json"
    if not file.exists():
        from visiontune.data.prepare import prepare
        from visiontune.spec.declarations.domains import FixedParams

        spec = grid.spec(f"space.optimizer.lr={{choice: {list(grid.levels)}}}")
        recipes = [make_recipe(spec, spec.space.resolve(FixedParams(point)), k) for k, point in enumerate(spec.space.grid())]
        store = prepare(spec.data, cache / "visiontune-rehearsal-data")
        print(f"recording {len(recipes)} curves of {grid.num_epochs} epochs", flush=True)
        with multiprocessing.get_context("spawn").Pool(num_processes) as pool:
            curves = dict(pool.imap_unordered(partial(curve, grid, store), [recipe.to_dict() for recipe in recipes], chunksize=4))
        file.with_suffix(".tmp").write_text(json.dumps(curves))
        file.with_suffix(".tmp").replace(file)
    return dict(json.loads(file.read_text()))


def curve(grid: Grid, store_path: Path, content: dict[str, Any]) -> tuple[str, list[Point]]:
    """Train one recipe in full and test it after every epoch."""
    import torch

    from visiontune.data.store.store import Store
    from visiontune.training.evaluate import measure, open_split
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.loop import Diverged, train

    torch.set_num_threads(1)
    recipe, store = TrialRecipe(**content), Store.open(store_path)
    test = open_split(store, "test", fit_preprocessing(recipe.preprocessing, store), "cpu")
    points: list[Point] = []
    try:
        for epoch in train(recipe, store):
            points.append((epoch.metrics["val_top1"], measure(epoch.model, test)["top1"]))
    except Diverged:
        pass
    return grid.key_of(recipe), points
