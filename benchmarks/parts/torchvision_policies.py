"""A plugin: torchvision's own RandAugment and TrivialAugmentWide as ops, picture by picture, for rows that train with them."""

from __future__ import annotations

from typing import Any

import albumentations as alb
import numpy as np
import torch
from torchvision.transforms import v2

from visiontune.spec.declarations.declare import Arg, Entry


class ByTorchvision(alb.ImageOnlyTransform):
    """The whole policy as one op, torch's numbers seeded by the op's own stream."""

    def __init__(self, policy: Any) -> None:
        super().__init__(p=1.0)
        self.policy = policy

    def get_params(self) -> dict[str, Any]:
        return {"torch_seed": int(self.random_generator.integers(1 << 62))}

    def apply(self, img: np.ndarray, torch_seed: int, **params: Any) -> np.ndarray:
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(torch_seed)
        made: np.ndarray = self.policy(torch.from_numpy(img).permute(2, 0, 1)).permute(1, 2, 0).numpy()
        torch.set_rng_state(before)
        return made


def randaugment(*, image_size: int) -> Any:
    """torchvision's defaults."""
    return ByTorchvision(v2.RandAugment())


def trivialaugment(*, image_size: int) -> Any:
    """torchvision's defaults."""
    return ByTorchvision(v2.TrivialAugmentWide())


_ALWAYS = {"probability": Arg(float, "chance that a picture gets it", 1.0, 0.0, 1.0)}
OPS = {
    "TorchvisionRandAugment": Entry("RandAugment of torchvision", randaugment, _ALWAYS),
    "TorchvisionTrivialAugment": Entry("TrivialAugmentWide of torchvision", trivialaugment, _ALWAYS),
}
