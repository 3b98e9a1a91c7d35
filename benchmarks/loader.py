"""Pictures on their way to a network, on one core: visiontune's store and loader against what a user would pick instead.

    .venv/bin/python benchmarks/loader.py                              # made pictures, 3 minutes
    .venv/bin/python benchmarks/loader.py --cifar cifar10_train.parquet  # the training epochs on CIFAR-10
    .venv/bin/python benchmarks/loader.py --quick                      # a tenth of the pictures, one round: does it run?

Everyone crops with a margin of an eighth, mirrors by chance, normalises, and hands over shuffled batches of 256 float32
pictures and labels, in one process (workers would share the core) with warm files:

    visiontune       the store that `ingest` makes of the Parquet file, and the loader that training uses
    albumentations   torch's DataLoader over files (PNG at 32 and 64 px, JPEG of 256 px for 224), OpenCV, the same ops
    torchvision v2   torch's DataLoader over the same files, torchvision.io and transforms.v2
    Hugging Face     torch's DataLoader over `datasets` on the same Parquet file, and albumentations; only where `datasets` is installed

Seconds are the processor's. Both sides of a ratio take turns, and the median of the rounds' ratios counts. Then: random batches
out of the store (>= 300,000 pictures/s at 32 px), and the share of an epoch's time in which a small network waited for
pictures (< 5 %), both as they are and augmented.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb
import cv2
import machine
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from augmentation import MEAN, STD, WEAK, compose_of, seconds
from torch.utils.data import DataLoader

from visiontune.augmentation.policy import build_policy
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.spec.parse import load_recipe
from visiontune.training.input.epoch_order import batch_bounds, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.loop import train

BATCH = 256
NUM_CLASSES = 10
FILE_SIZES = {32: 32, 64: 64, 224: 256}
NUM_PICTURES = {32: 4096, 64: 2048, 224: 512}
NUM_TRAINED = 20_000
RECIPE = """
data: {{source: parquet, train: {path}, max_pictures: {num}, duplicates: keep}}
model: {{name: cnn, width: 16, depth: 3}}
optimizer: {{name: sgd, lr: 0.05}}
augmentation: {augmentation}
training: {{batch_size: 128, num_epochs: 2, seed: 0}}
"""
AUGMENTATIONS = {
    "as they are": "{policy: none}",
    "cropped, mirrored": "{policy: fixed, PadAndCrop: {magnitude: 0.5, probability: 1.0}, HorizontalFlip: {probability: 0.5}}",
}
Pass = Callable[[], None]


@dataclass(frozen=True)
class Files:
    """The same pictures as files of their own and in one Parquet file."""

    size: int
    paths: list[str]
    labels: list[int]
    parquet: Path


def made(num: int, size: int) -> Iterator[np.ndarray]:
    """Smooth shapes, finer ones and grain, uint8 HWC: what JPEG finds in a photograph."""
    random = np.random.default_rng(0)
    for _ in range(num):
        picture = np.zeros((size, size, 3), np.float32)
        for cells, weight in ((4, 160.0), (16, 70.0)):
            coarse = random.random((cells, cells, 3), np.float32) * weight
            picture += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
        yield (picture + random.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8)


def write(folder: Path, num: int, size: int) -> Files:
    """Pictures for a training size."""
    ending = "jpg" if size > 64 else "png"
    contents = [cv2.imencode(f".{ending}", picture)[1].tobytes() for picture in made(num, FILE_SIZES[size])]
    labels = [row % NUM_CLASSES for row in range(num)]
    paths = [folder / f"{size}_{row}.{ending}" for row in range(num)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    images = [{"bytes": content, "path": path.name} for path, content in zip(paths, contents, strict=True)]
    parquet = folder / f"{size}.parquet"
    pq.write_table(pa.table({"image": images, "label": labels}), parquet)
    return Files(size, [str(path) for path in paths], labels, parquet)


def ours(files: Files, folder: Path, kind: str) -> Pass:
    """Epoch after epoch as training takes them."""
    data = {"source": "parquet", "train": str(files.parquet), "image_size": files.size, "duplicates": "keep", "store": kind}
    store = Store.open(prepare(data, folder / "stores"))
    split = open_pictures(
        store,
        np.arange(len(store.labels_N)),
        torch.device("cpu"),
        preprocessing=fit_preprocessing({"name": "standardize", "colour": "stored"}, store),
        policy=build_policy({"policy": "fixed", **WEAK}, image_size=files.size, channels=3),
        num_workers=0,
    )
    epochs = iter(range(1, 1_000_000))

    def run() -> None:
        epoch = next(epochs)
        for _ in split.batches(shuffled(len(split), 0, epoch), batch_bounds(len(split), BATCH), epoch):
            pass

    return run


class Read:
    """A data set of files: `read` gives what `transform` takes."""

    def __init__(self, files: Files, read: Callable[[str], Any], transform: Callable[[Any], Any]) -> None:
        self.files, self.read, self.transform = files, read, transform

    def __len__(self) -> int:
        return len(self.files.paths)

    def __getitem__(self, row: int) -> Any:
        return self.transform(self.read(self.files.paths[row])), self.files.labels[row]


def albumentations(files: Files) -> Pass:
    """OpenCV reads."""
    compose = compose_for(files)
    return passes(Read(files, lambda path: cv2.imread(path, cv2.IMREAD_COLOR_RGB), lambda image: compose(image=image)["image"]))


def torchvision(files: Files) -> Pass:
    """torchvision reads."""
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    resize = [v2.Resize(files.size)] if files.size != FILE_SIZES[files.size] else []
    moves = [v2.RandomCrop(files.size, padding=files.size // 8), v2.RandomHorizontalFlip()]
    transform = v2.Compose([*resize, *moves, v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    return passes(Read(files, lambda path: decode_image(path, ImageReadMode.RGB), transform))


def hugging_face(files: Files, folder: Path) -> Pass | None:
    """None where it is not installed."""
    try:
        import datasets
    except ImportError:
        return None
    datasets.disable_progress_bars()
    compose = compose_for(files)
    loaded = datasets.load_dataset("parquet", data_files=str(files.parquet), split="train", cache_dir=str(folder / "hugging_face"))

    def transform(rows: dict[str, Any]) -> dict[str, Any]:
        return {"x": [compose(image=np.asarray(image.convert("RGB")))["image"] for image in rows["image"]], "y": rows["label"]}

    return passes(loaded.cast_column("image", datasets.Image()).with_transform(transform))


def compose_for(files: Files) -> Any:
    """The same ops as ours, as a user would write them down."""
    from albumentations.pytorch import ToTensorV2

    resize = [alb.Resize(files.size, files.size)] if files.size != FILE_SIZES[files.size] else []
    return alb.Compose([*resize, *compose_of(WEAK, files.size, use_normalize=True).transforms, ToTensorV2()])


def passes(dataset: Any) -> Pass:
    """torch's loader over it."""
    loader = DataLoader(dataset, batch_size=BATCH, shuffle=True)

    def run() -> None:
        for _ in loader:
            pass

    return run


def compare(folder: Path, size: int, num: int, rounds: int) -> list[list[str]]:
    """A row for each entrant at this size."""
    files = write(folder, num, size)
    kinds = ("raw", "encoded") if size > 64 else ("raw",)
    entrants: dict[str, Pass | None] = {f"visiontune, {kind} store": ours(files, folder, kind) for kind in kinds}
    entrants |= {"albumentations": albumentations(files), "torchvision v2": torchvision(files), "Hugging Face": hugging_face(files, folder)}
    runs = {name: run for name, run in entrants.items() if run is not None}
    for run in runs.values():
        run()
    found = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    first = next(iter(runs))
    rows = []
    for name in entrants:
        if name not in runs:
            rows.append([f"{size} px, {name}", "not installed", "", ""])
            continue
        ratios = [one[name] / one[first] for one in found]
        rate = num / min(one[name] for one in found)
        rows.append([f"{size} px, {name}", f"{rate:,.0f}", f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"])
    return rows


def gather_rate(store: Store, rounds: int) -> float:
    """Pictures/s of shuffled batches out of the store, best round."""
    order_N = shuffled(len(store.labels_N), 0, 1)

    def run() -> None:
        for low in range(0, len(order_N), BATCH):
            store.read(order_N[low : low + BATCH], store.image_size)

    run()
    return len(order_N) / min(seconds(run) for _ in range(rounds))


def main() -> None:
    """Every figure, then the verdicts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cifar", type=Path, help="CIFAR-10's training file as Parquet, for the training epochs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pictures, one round")
    args = parser.parse_args()
    share, rounds = (10, 1) if args.quick else (1, args.rounds)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print(machine.line(rounds, "rounds on one core"))
    with tempfile.TemporaryDirectory(prefix="visiontune-loader-") as name:
        folder = Path(name)
        rows = [row for size, num in NUM_PICTURES.items() for row in compare(folder, size, num // share, rounds)]
        print(machine.table(["crop, flip, normalise, batch", "pictures/s", "x visiontune's time", "range"], rows))
        path = args.cifar.resolve() if args.cifar else write(folder, NUM_TRAINED // share, 32).parquet
        whose = "CIFAR-10" if args.cifar else "made pictures"
        for what, augmentation in AUGMENTATIONS.items():
            recipe_path = folder / "recipe.yaml"
            recipe_path.write_text(RECIPE.format(path=path, num=NUM_TRAINED // share, augmentation=augmentation))
            recipe = load_recipe(recipe_path)
            store = Store.open(prepare(recipe.data, folder / "stores"))
            *_, last = train(recipe, store)
            what = f"waiting for {whose} {what}, of an epoch of {len(store.train_idx):,}"
            print(machine.against(what, 100 * last.metrics["data_wait_share"], 5, is_at_most=True, unit=" %"))
            print(f"  the epoch took {last.metrics['epoch_s']:.1f} s")
        print(machine.against("gather from the store at 32 px", gather_rate(store, rounds), 300_000, unit=" pictures/s"))


if __name__ == "__main__":
    main()
