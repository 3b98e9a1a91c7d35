"""What a user writes around any search tool: a Dataset over albumentations, a DataLoader and a loop in plain torch.

Recipe, network, ops, pictures and splits come from visiontune's own builders, so that a step computes the same; only the code
around the step differs. What a recipe says beyond what this loop reads is refused. No checkpoints are written, which favours the peers.
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
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset

from visiontune.augmentation.export.albumentations_files import pipeline
from visiontune.augmentation.export.policy_files import constant_steps
from visiontune.augmentation.policy import build_policy
from visiontune.models.build import build_model
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.space.study_spec import StudySpec

READ = {
    "regularization": {"l1", "l2"},
    "optimizer": {"name", "lr", "momentum", "nesterov", "weight_decay"},
    "schedule": {"name", "warmup_epochs", "step_epochs", "gamma"},
    "training": {"batch_size", "num_epochs", "seed"},
}
"""What the loop reads; data, model and policy go to their builders whole."""


class Pictures(Dataset):
    """Pictures as uint8 HWC through a Compose, one by one."""

    def __init__(self, images: Any, labels: Any, transform: alb.Compose) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(image=self.images[index])["image"], int(self.labels[index])


def recipe_of(params: dict[str, Any], spec: StudySpec) -> TrialRecipe:
    """The whole recipe of sampled params. Raises ValueError for one that asks for more than the loop below knows."""
    recipe = make_recipe(spec, spec.space.resolve(FixedParams(params)), 0)
    said = recipe.to_dict()
    read = {name: {key: value for key, value in said[name].items() if key in keys} for name, keys in READ.items()}
    augmentation = {key: value for key, value in said["augmentation"].items() if not key.startswith(("mix", "erasing"))}
    known = load_recipe({"data": said["data"], "model": said["model"], "augmentation": augmentation, **read}).flat()
    if unknown := {key: value for key, value in recipe.flat().items() if known.get(key) != value}:
        raise ValueError(f"the peers' loop does not know {unknown}")
    return recipe


def make_loaders(recipe: TrialRecipe, pictures: str) -> tuple[DataLoader, DataLoader]:
    """Training and validation; num_workers=0, since worker processes cost more than they bring on pictures this small."""
    data = np.load(pictures)
    ends = [alb.Normalize(tuple(data["mean"]), tuple(data["std"])), ToTensorV2()]
    train = Pictures(data["train_x"], data["train_y"], alb.Compose([*make_ops(recipe, *data["train_x"].shape[2:]), *ends]))
    val = Pictures(data["val_x"], data["val_y"], alb.Compose(ends))
    batch_size: int = recipe.training["batch_size"]
    return DataLoader(train, batch_size, shuffle=True, drop_last=len(train) >= batch_size), DataLoader(val, 512)


def make_ops(recipe: TrialRecipe, image_size: int, channels: int) -> list[Any]:
    """What `visiontune preview RECIPE --export policy.yaml` gives out: the same ops with albumentations' own chance p."""
    policy = build_policy(recipe.augmentation, image_size=image_size, channels=channels, num_epochs=recipe.training["num_epochs"])
    return [] if policy is None else list(pipeline(constant_steps(policy.steps), image_size).transforms)


def make_optimizer(recipe: TrialRecipe, model: torch.nn.Module) -> torch.optim.Optimizer:
    """torch.optim's, with L2 as its weight decay."""
    chosen = recipe.optimizer
    decay = chosen["weight_decay"] + recipe.regularization["l2"]
    if chosen["name"] == "sgd":
        return torch.optim.SGD(model.parameters(), chosen["lr"], chosen["momentum"], weight_decay=decay, nesterov=chosen["nesterov"])
    if chosen["name"] == "adamw":
        return torch.optim.AdamW(model.parameters(), chosen["lr"], weight_decay=decay)
    raise ValueError(f"the peers have no optimizer {chosen['name']}")


def make_schedule(recipe: TrialRecipe, optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    """torch's, by epoch."""
    plan, num_epochs, num_warm = recipe.schedule, recipe.training["num_epochs"], recipe.schedule["warmup_epochs"]
    kinds = {
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, max(1, num_epochs - num_warm)),
        "step": lambda: lr_scheduler.StepLR(optimizer, plan["step_epochs"], plan["gamma"]),
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, 1.0),
    }
    after = kinds[plan["name"]]()
    if not num_warm:
        return after
    warm = lr_scheduler.LinearLR(optimizer, 1 / (num_warm + 1), total_iters=num_warm)
    return lr_scheduler.SequentialLR(optimizer, [warm, after], [num_warm])


def train(params: dict[str, Any], spec: StudySpec, pictures: str) -> Iterator[dict[str, float]]:
    """Metrics after each epoch."""
    recipe = recipe_of(params, spec)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    train_loader, val_loader = make_loaders(recipe, pictures)
    x, _ = next(iter(val_loader))
    model = build_model(recipe.model, num_classes=10, in_channels=x.shape[1], image_size=x.shape[2], seed=0).to(device)
    optimizer = make_optimizer(recipe, model)
    schedule = make_schedule(recipe, optimizer)
    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    for _ in range(recipe.training["num_epochs"]):
        model.train()
        total = 0.0
        for x, y in train_loader:
            x, y = x.to(device), y.to(device)
            loss = F.cross_entropy(model(x), y)
            total += loss.item() * len(y)
            loss = loss + recipe.regularization["l1"] * sum(weight.abs().sum() for weight in weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
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


def load(args: argparse.Namespace) -> tuple[StudySpec, list[dict[str, Any]]]:
    """The study and the points."""
    return load_study(args.space, [f"budget.max_epochs={args.max_epochs}"]), json.loads(args.points.read_text())
