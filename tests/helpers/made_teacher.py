"""The files of a trained network for others to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tiny import make_recipe, model_section, section

from visiontune.data.store.store import Store
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.training.setup import Setup, set_up
from visiontune.training.weights_file import save_weights


def make_teacher(folder: Path, store: Store, model: Mapping[str, Any] | None = None, colour: str = "stored", seed: int = 5) -> Setup:
    """Writes big.yaml, which says that its pictures are the digits, and big.safetensors; not trained."""
    recipe = make_recipe(model or model_section("lenet5"), data=section("data", {"source": "digits"}), seed=seed)
    recipe = replace(recipe, preprocessing={**recipe.preprocessing, "colour": colour})
    setup = set_up(recipe, store, torch.device("cpu"))
    dump_recipe(recipe, folder / "big.yaml")
    save_weights(setup.network, folder / "big.safetensors", preprocessing=setup.preprocessing)
    return setup
