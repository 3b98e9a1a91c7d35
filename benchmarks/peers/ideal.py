"""The ideal: visiontune's plain train loop alone, as many processes as cores, imports and warm-up left out.

Started by benchmarks/overhead.py. Reads a list of {"key", "recipe", "epochs"}; prints JSON: {key: [seconds up to the end of
epoch 1, 2, ...]}. The processes run side by side, since two on one machine slow each other down as two workers do; a perfect
split takes the sum of all seconds divided by the cores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

WARM: dict[str, Any] = {}


def warm_up(store_path: str, trial: dict[str, Any]) -> None:
    """Pay for imports, the store and the first step, as a warm worker has."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    from visiontune.data.store.store import Store

    torch.set_num_threads(1)
    WARM["store"] = Store.open(Path(store_path))
    seconds({**trial, "epochs": 1})


def seconds(trial: dict[str, Any]) -> tuple[str, list[float]]:
    """Seconds from the start of the trial to the end of each epoch, building the model and opening the pictures included."""
    from visiontune.spec.declarations.trial_recipe import TrialRecipe
    from visiontune.training.loop import Diverged, train

    ends, started = [], time.perf_counter()
    try:
        for _ in islice(train(TrialRecipe(**trial["recipe"]), WARM["store"]), trial["epochs"]):
            ends.append(time.perf_counter() - started)
    except Diverged:
        pass
    return trial["key"], ends


def main() -> None:
    """Time every trial, the longest first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--store", required=True)
    parser.add_argument("--trials", type=Path, required=True)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    trials = sorted(json.loads(args.trials.read_text()), key=lambda trial: -trial["epochs"])
    augmented = next((trial for trial in trials if trial["recipe"]["augmentation"]["policy"] != "none"), trials[0])
    with multiprocessing.get_context("spawn").Pool(args.cores, warm_up, (args.store, augmented)) as pool:
        json.dump(dict(pool.imap_unordered(seconds, trials, chunksize=1)), sys.stdout)


if __name__ == "__main__":
    main()
