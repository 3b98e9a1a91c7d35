"""Prediction from files, in pictures a second, against the validation loop over the store of the same pictures.

    .venv/bin/python benchmarks/predict.py    # 3 minutes

A validation loop reads the store that was made before; `visiontune predict` finds, reads and decodes every file. Both run in one process
with all cores, take turns, and the median of the rounds' ratios counts. At 32 px (PNG, a small CNN) the store is raw, so that all
decoding is on top; at 224 px (JPEG of 256 px, ResNet-18) it is measured both raw and encoded. Wanted: 0.8 of the loop's rate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from common.result import Result, arguments, median_of, parse
from parts.picture_files import Files, write
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.inference.classifier import Classifier
from visiontune.inference.find_pictures import find_pictures
from visiontune.inference.predict import predictions
from visiontune.models.build import build_model
from visiontune.spec.parse import load_recipe
from visiontune.training.evaluate import measure, open_split
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.weights_metadata import WeightsMetadata

WANTED = 0.8
SIDES = ("validation", "predict")
CASES = {
    "32 px, small CNN, raw store": (32, {"name": "cnn", "width": 32, "depth": 3}, "raw", 1, 256),
    "224 px, ResNet-18, raw store": (224, {"name": "resnet18"}, "raw", 16, 64),
    "224 px, ResNet-18, encoded store": (224, {"name": "resnet18"}, "encoded", 16, 64),
}
"""Training size, network, how pictures are stored, into how many parts its cost divides the number of pictures, and the loop's batch,
which is about what `predict` takes at once."""


def classifier_of(files: Files, folder: Path, model: dict[str, object], kind: str, batch: int) -> tuple[Classifier, Store]:
    """Untrained: what it answers costs the same. The parts are the same file, so that its validation pictures are those of `files`."""
    parquet = str(files.parquet)
    data = {"source": "parquet", "train": parquet, "val": parquet, "test": parquet}
    data |= {"image_size": files.size, "duplicates": "keep", "store": kind}
    recipe = load_recipe(
        {"data": data, "model": model, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"batch_size": batch, "num_epochs": 1}}
    )
    store = Store.open(prepare(recipe.data, folder / "stores"))
    network = build_model(recipe.model, num_classes=len(store.class_names), in_channels=3, image_size=files.size)
    preprocessing = fit_preprocessing(recipe.preprocessing, store)
    return Classifier(network.eval(), preprocessing, WeightsMetadata.of(recipe, store), "made"), store


def seconds(run: Callable[[], object]) -> float:
    """By the clock on the wall: what others of the machine take is in both sides."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(folder: Path, case: str, num: int, rounds: int) -> dict[str, float]:
    """A row for one case."""
    size, model, kind, share, batch = CASES[case]
    files = write(folder, max(16, num // share), size)
    classifier, store = classifier_of(files, folder, model, kind, batch)

    def validate() -> None:
        pictures = open_split(store, "val", classifier.preprocessing, "cpu")
        with classifier.arithmetic.evaluating():
            measure(classifier.network, pictures, batch)

    def predict() -> None:
        assert all(one.classes for one in predictions(classifier, find_pictures(files.paths)))

    validate(), predict()
    found = [(seconds(validate), seconds(predict)) for _ in range(rounds)]
    rates = {name: len(files.paths) / statistics.median(times) for name, times in zip(SIDES, zip(*found, strict=True), strict=True)}
    ratios = median_of("share_of_the_rate", [one / other for one, other in found])
    return {"pictures": len(files.paths), **{f"{name}_per_s": rate for name, rate in rates.items()}, **ratios}


def main() -> None:
    """Every case, then the targets."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=8192, help="at 32 px; fewer of the larger ones")
    args: argparse.Namespace = parse(parser, rounds=1, pictures=128)
    result = Result("predict", args, args.rounds, "rounds")
    print(f"threads: {torch.get_num_threads()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="visiontune-predict-") as name:
        rows = {case: compare(Path(name), case, args.pictures, args.rounds) for case in CASES}
    result.table("prediction from files", rows)
    for case, row in rows.items():
        result.target(f"of the validation loop's rate, {case}", row["share_of_the_rate"], WANTED)
    result.write()


if __name__ == "__main__":
    main()
