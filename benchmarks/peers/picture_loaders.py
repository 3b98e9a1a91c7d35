"""torch's DataLoader over the same pictures, as users of albumentations, torchvision and Hugging Face write it: loader.py's peers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import albumentations as alb
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from parts.picture_files import Files
from parts.picture_passes import MEAN, STD, WEAK, Pass, compose_of


class Read:
    """A data set of files: `read` gives what `transform` takes."""

    def __init__(self, files: Files, read: Callable[[str], Any], transform: Callable[[Any], Any]) -> None:
        self.files, self.read, self.transform = files, read, transform

    def __len__(self) -> int:
        return len(self.files.paths)

    def __getitem__(self, row: int) -> Any:
        return self.transform(self.read(self.files.paths[row])), self.files.labels[row]


def albumentations(files: Files, batch_size: int) -> Pass:
    """OpenCV reads."""
    compose = compose_for(files)
    reader = Read(files, lambda path: cv2.imread(path, cv2.IMREAD_COLOR_RGB), lambda image: compose(image=image)["image"])
    return passes(reader, batch_size)


def torchvision(files: Files, batch_size: int) -> Pass:
    """torchvision reads."""
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms import v2

    resize = [v2.Resize(files.size)] if files.shape != (files.size, files.size) else []
    weak = [*resize, v2.RandomCrop(files.size, padding=files.size // 8)]
    moves = [v2.RandomResizedCrop(files.size, antialias=True)] if is_resized_crop(files) else weak
    transform = v2.Compose([*moves, v2.RandomHorizontalFlip(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])
    return passes(Read(files, lambda path: decode_image(path, ImageReadMode.RGB), transform), batch_size)


def hugging_face(files: Files, batch_size: int, folder: Path) -> Pass | None:
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

    return passes(loaded.cast_column("image", datasets.Image()).with_transform(transform), batch_size)


def is_resized_crop(files: Files) -> bool:
    """Pictures that are no squares are cropped as everybody crops ImageNet's: RandomResizedCrop with its defaults."""
    return files.shape[0] != files.shape[1]


def compose_for(files: Files) -> Any:
    """The same ops as ours, as a user would write them down."""
    from albumentations.pytorch import ToTensorV2

    if is_resized_crop(files):
        crop = alb.RandomResizedCrop((files.size, files.size), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), p=1.0)
        return alb.Compose([crop, alb.HorizontalFlip(p=0.5), alb.Normalize(MEAN, STD), ToTensorV2()])
    resize = [alb.Resize(files.size, files.size)] if files.shape != (files.size, files.size) else []
    return alb.Compose([*resize, *compose_of(WEAK, files.size, use_normalize=True).transforms, ToTensorV2()])


def passes(dataset: Any, batch_size: int) -> Pass:
    """torch's loader over it."""
    loader = DataLoader(dataset, batch_size=batch_size, shuffle=True)

    def run() -> None:
        for _ in loader:
            pass

    return run
