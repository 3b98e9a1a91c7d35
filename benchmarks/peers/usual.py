"""What a user writes around any search tool: a Dataset over albumentations, a DataLoader and a loop in plain torch.

The networks, pictures, splits and ops are visiontune's own, so that a step computes the same; only the code around the step
differs. No checkpoints are written, which favours the peers.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as alb
import numpy as np
import torch
from albumentations.pytorch import ToTensorV2
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from visiontune.models.build import build_model
from visiontune.spec.domains import FixedParams
from visiontune.spec.parse import load_study
from visiontune.spec.space import Space
from visiontune.spec.tables.policies import OPS


class Pictures(Dataset):
    """Pictures as uint8 HWC through a Compose, one by one."""

    def __init__(self, images: Any, labels: Any, transform: alb.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(image=self.images[index])["image"], int(self.labels[index])


def make_loaders(recipe: dict[str, Any], pictures: str) -> tuple[DataLoader, DataLoader]:
    """Training and validation; num_workers=0, since worker processes cost more than they bring on pictures this small."""
    data = np.load(pictures)
    ends = [alb.Normalize(tuple(data["mean"]), tuple(data["std"])), ToTensorV2()]
    train = Pictures(data["train_x"], data["train_y"], alb.Compose([*make_ops(recipe, data["train_x"].shape[1]), *ends]))
    val = Pictures(data["val_x"], data["val_y"], alb.Compose(ends))
    return DataLoader(train, recipe["training"]["batch_size"], shuffle=True), DataLoader(val, 512)


def make_ops(recipe: dict[str, Any], image_size: int) -> list[Any]:
    """The same ops at the same strength, with albumentations' own chance p."""
    ops = []
    for name, args in recipe["augmentation"].items():
        if name in OPS.entries:
            transform = OPS.entries[name].load()(**{k: v for k, v in args.items() if k != "probability"}, image_size=image_size)
            transform.p = args["probability"]
            ops.append(transform)
    return ops


def make_optimizer(recipe: dict[str, Any], model: torch.nn.Module, num_epochs: int) -> tuple[Any, Any]:
    """torch.optim's, with L2 as its weight decay, and an lr scheduler by epoch."""
    chosen, plan = recipe["optimizer"], recipe["schedule"]
    decay = chosen["weight_decay"] + recipe["regularization"]["l2"]
    optimizer: torch.optim.Optimizer
    if chosen["name"] == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), chosen["lr"], chosen["momentum"], weight_decay=decay, nesterov=chosen["nesterov"])
    else:
        optimizer = torch.optim.AdamW(model.parameters(), chosen["lr"], weight_decay=decay)
    if plan["name"] == "cosine":
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_epochs)
    if plan["name"] == "step":
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, plan["step_epochs"], plan["gamma"])
    return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)


def train(params: dict[str, Any], space: Space, pictures: str, num_epochs: int) -> Iterator[dict[str, float]]:
    """Metrics after each epoch."""
    recipe = space.resolve(FixedParams(params))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train_loader, val_loader = make_loaders(recipe, pictures)
    x, _ = next(iter(val_loader))
    model = build_model(recipe["model"], num_classes=10, in_channels=x.shape[1], image_size=x.shape[2], seed=0).to(device)
    optimizer, scheduler = make_optimizer(recipe, model, num_epochs)
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    for _ in range(num_epochs):
        model.train()
        total = 0.0
        for x, y in train_loader:
            x, y = x.to(device), y.to(device)
            loss = F.cross_entropy(model(x), y)
            total += loss.item() * len(y)
            loss = loss + recipe["regularization"]["l1"] * sum(weight.abs().sum() for weight in weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        yield {"train_loss": total / len(train_loader.dataset), **validate(model, val_loader, device)}


@torch.no_grad()
def validate(model: torch.nn.Module, loader: DataLoader, device: str) -> dict[str, float]:
    """val_loss and val_top1."""
    model.eval()
    loss, right, num = 0.0, 0, 0
    for x, y in loader:
        x, y = x.to(device), y.to(device)
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        right += int((logits.argmax(1) == y).sum())
        num += len(y)
    return {"val_loss": loss / num, "val_top1": right / num}


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """What overhead.py hands to every peer."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--space", type=Path, required=True, help="search-space file")
    parser.add_argument("--pictures", required=True, help=".npz with train_x, train_y, val_x, val_y, mean, std")
    parser.add_argument("--points", type=Path, required=True, help="JSON: params of the trials to begin with")
    parser.add_argument("--out", type=Path, required=True, help="folder for what the tool writes; mlflow.db is there")
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    return parser


def load(args: argparse.Namespace) -> tuple[Space, list[dict[str, Any]]]:
    """The space and the points."""
    return load_study(args.space).space, json.loads(args.points.read_text())
