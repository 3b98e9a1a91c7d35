"""A file of a small population."""

from __future__ import annotations

from typing import Any

SPACE: dict[str, Any] = {
    "study": "pop",
    "data": {"source": "digits"},
    "budget": {"num_trials": 8, "max_epochs": 9},
    "sampler": {"name": "random", "seed": 1},
    "trial_scheduler": {"name": "pbt", "interval": 3},
    "confirm": {"num_seeds": 0},
    "space": {
        "model": {"name": "cnn", "dropout": {"float": [0.0, 0.5]}},
        "optimizer": {"name": "sgd", "lr": {"float": [1e-4, 0.4], "log": True}},
    },
}


def with_space(**sections: Any) -> dict[str, Any]:
    return {**SPACE, "space": {**SPACE["space"], **sections}}
