"""A family of small data sets and one space for all of them: what record_tables.py records, one recipe on one data set at a time."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from parts.peer_searches import drawn
from parts.recorded_tables import OWN
from visiontune.filesystem.atomic_write import replacing, write_whole
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.space.study_spec import StudySpec

SPACE: Mapping[str, Any] = {
    "model": {
        "name": {
            "choice": {
                "lenet5": {"width": {"choice": [1, 2, 4]}},
                "cnn": {"width": {"int": [4, 16], "log": True}, "depth": {"int": [2, 3]}},
            }
        },
        "activation": {"choice": {"relu": {}, "leaky_relu": {"slope": {"float": [0.01, 0.3], "log": True}}, "elu": {}}},
        "init": {"choice": ["he_normal", "glorot_uniform"]},
        "dropout": {"float": [0.0, 0.5]},
    },
    "regularization": {"l2": {"float": [1e-6, 1e-2], "log": True}},
    "loss": {"label_smoothing": {"float": [0.0, 0.2]}},
    "optimizer": {
        "name": {
            "choice": {
                "sgd": {"momentum": {"float": [0.5, 0.99]}, "nesterov": {"choice": [True, False]}},
                "adamw": {"weight_decay": {"float": [1e-4, 1e-1], "log": True}},
            }
        },
        "lr": {"float": [1e-4, 0.3], "log": True},
    },
    "schedule": {"name": {"choice": {"cosine": {"warmup_epochs": {"int": [0, 3]}}, "constant": {}}}},
    "augmentation": {
        "policy": {"choice": {"none": {}, "fixed": {"Affine": {"probability": 0.8, "magnitude": {"float": [0.0, 0.6]}}}}},
    },
    "training": {"batch_size": {"choice": [16, 32, 64]}},
}
SEED = 0


@dataclass(frozen=True)
class DataSet:
    """Pictures of scikit-learn's digits or CIFAR-10 (`classes`, all where none is named), made `size` px, grey, blurred or noisy.

    `blur` is a sigma in pixels of `size`, `noise` a standard deviation out of 255.
    """

    name: str
    is_cifar: bool = True
    classes: tuple[int, ...] = ()
    size: int = 16
    is_grey: bool = False
    blur: float = 0.0
    noise: float = 0.0


DATA_SETS = (
    DataSet("digits", is_cifar=False),
    DataSet("digits_noise", is_cifar=False, noise=70.0),
    DataSet("cifar10"),
    DataSet("cifar10_animals", classes=(2, 3, 4, 5, 6, 7)),
    DataSet("cifar10_vehicles", classes=(0, 1, 8, 9)),
    DataSet("cifar10_12px", size=12),
    DataSet("cifar10_grey", is_grey=True),
    DataSet("cifar10_blur", blur=1.0),
    DataSet("cifar10_noise", noise=40.0),
)


@dataclass(frozen=True)
class Family:
    """Where it lies, which data sets of it are recorded, of how many pictures, and for how many epochs."""

    folder: Path
    data_sets: Sequence[DataSet]
    num_pictures: int
    num_epochs: int

    def spec(self, data: Mapping[str, Any]) -> StudySpec:
        """A study of these data."""
        budget = {"num_trials": 1, "min_epochs": self.num_epochs, "max_epochs": self.num_epochs}
        split = {"val_fraction": 0.4, "test_fraction": 0.3, "seed": SEED}
        return load_study({"study": "family", "data": {**data, **split}, "budget": budget, "sampler": {"seed": SEED}, "space": SPACE})

    def params(self, number: int) -> dict[str, Any]:
        """Of recipe `number`, the same for each data set."""
        return drawn(self.spec({"source": "digits"}).space, keyed_seed(SEED, "recipe", number))

    def recipe(self, number: int, data_set: DataSet) -> TrialRecipe:
        """With the same seed for each data set."""
        spec = self.spec({"source": "parquet", "train": str(self.pictures(data_set)), "image_size": data_set.size})
        return make_recipe(spec, spec.space.resolve(FixedParams(self.params(number))), number)

    def pictures(self, data_set: DataSet) -> Path:
        """The file of a data set."""
        return self.folder / "pictures" / f"{data_set.name}.parquet"

    def curve(self, number: int, data_set: DataSet) -> Path:
        """The file of a recipe's curve; written whole or not at all."""
        return self.folder / "curves" / data_set.name / f"{number:05d}.json"

    def table(self, data_set: DataSet) -> Path:
        """The table, of the curves that all data sets have."""
        return self.folder / f"own_{data_set.name}.npz"


def write_pictures(family: Family, data_set: DataSet, pictures_NHWC: np.ndarray, labels_N: np.ndarray) -> None:
    """A data set's pictures as a Parquet file, out of all that there are; nothing where it is there already."""
    import cv2
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = family.pictures(data_set)
    if path.exists():
        return
    rows = np.flatnonzero(np.isin(labels_N, data_set.classes)) if data_set.classes else np.arange(len(labels_N))
    random = np.random.default_rng(SEED)
    rows = random.permutation(rows)[: family.num_pictures]  # a file may be in the order of its classes
    made = [changed(pictures_NHWC[row], data_set, random) for row in rows]
    images = [{"bytes": cv2.imencode(".png", picture)[1].tobytes(), "path": f"{row}.png"} for row, picture in zip(rows, made, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        pq.write_table(pa.table({"image": images, "label": labels_N[rows].tolist()}), temporary)


def changed(picture_HWC: np.ndarray, data_set: DataSet, random: np.random.Generator) -> np.ndarray:
    """As the data set has it: resized, then grey, blurred, noisy."""
    import cv2

    picture = cv2.resize(picture_HWC, (data_set.size, data_set.size), interpolation=cv2.INTER_AREA)
    if data_set.is_grey:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    if data_set.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), data_set.blur)
    if data_set.noise:
        picture = (picture + random.normal(0, data_set.noise, picture.shape)).clip(0, 255).astype(np.uint8)
    return picture


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * (255 / 16)).astype(np.uint8), found.target


def cifar10(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of a Parquet file in Hugging Face's layout."""
    import cv2
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=["image", "label"])
    contents = (image["bytes"] for image in table["image"].to_pylist())
    return np.stack([cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in contents]), table["label"].to_numpy()


def record_curve(family: Family, number: int, data_set: DataSet) -> None:
    """Train a recipe in full, test it after every epoch, and write its curve; seconds are of this process, so that others don't count."""
    import torch

    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store
    from visiontune.training.evaluate import measure, open_split
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.loop import Diverged, train

    torch.set_num_threads(1)
    recipe = family.recipe(number, data_set)
    store = Store.open(prepare(recipe.data, family.folder / "stores"))
    warm_up(recipe, store)
    test = open_split(store, "test", fit_preprocessing(recipe.preprocessing, store), "cpu")
    found: dict[str, list[float]] = {"val": [], "test": [], "cost_s": []}
    spent_s, since_s = 0.0, time.process_time()
    try:
        for epoch in train(recipe, store):
            spent_s += time.process_time() - since_s
            found["val"].append(epoch.metrics["val_top1"])
            found["test"].append(measure(epoch.model, test)["top1"])
            found["cost_s"].append(round(spent_s, 4))
            since_s = time.process_time()
    except Diverged:
        pass
    write_whole(family.curve(number, data_set), json.dumps(found))


_warm: list[bool] = []


def warm_up(recipe: TrialRecipe, store: Any) -> None:
    """Once in a process, one epoch that nobody measures: it has the imports in it."""
    from visiontune.training.loop import Diverged, train

    if not _warm:
        with contextlib.suppress(Diverged):
            next(train(replace(recipe, training={**recipe.training, "num_epochs": 1}), store))
    _warm.append(True)


def write_tables(family: Family, num_recipes: int) -> int:
    """A table for each data set, of the first recipes that all of them have; how many those are."""
    has_all = (all(family.curve(number, one).exists() for one in family.data_sets) for number in range(num_recipes))
    numbers = [number for number, is_there in enumerate(has_all) if is_there]
    columns = _columns(family, numbers)
    for data_set in family.data_sets if numbers else ():
        curves = [json.loads(family.curve(number, data_set).read_text()) for number in numbers]
        arrays = {name: np.array([_padded(curve[name], family.num_epochs) for curve in curves], np.float32) for name in curves[0]}
        meta = {
            "source": "benchmarks/record_tables.py",
            "licence": "measured here",
            "what": f"{data_set}: top-1 by epoch; cost_s are seconds of one core since the start, tests left out",
            "first_epoch": "acc_1",
            OWN: SPACE,
        }
        with replacing(family.table(data_set)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, meta=json.dumps(meta), **columns, **arrays)
    return len(numbers)


def _columns(family: Family, numbers: Sequence[int]) -> dict[str, np.ndarray]:
    """`p_NAME` of every param; NaN or empty where a recipe's branches lack it."""
    recipes = [family.params(number) for number in numbers]
    found = {}
    for name, domain, _ in family.spec({"source": "digits"}).space.domains():
        is_text = isinstance(domain.ends()[0], str)
        column = [params.get(name, "" if is_text else math.nan) for params in recipes]
        found[f"p_{name}"] = np.array(column, str if is_text else float)
    return found


def _padded(values: Sequence[float], length: int) -> list[float]:
    return [*values, *[math.nan] * (length - len(values))]


def in_turn(family: Family, num_recipes: int) -> Iterator[tuple[int, DataSet]]:
    """What is not recorded yet, a recipe on every data set before the next."""
    for number in range(num_recipes):
        yield from ((number, one) for one in family.data_sets if not family.curve(number, one).exists())
