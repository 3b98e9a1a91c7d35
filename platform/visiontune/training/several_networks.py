"""Several networks of one recipe trained side by side, an epoch of each in turn: one trial with a mean and what its seeds do to it.

Each is the network that `train` alone would make on its seed, to the last bit on a CPU: nothing random is shared between them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from visiontune.data.folds import fold_of
from visiontune.data.store.store import Store
from visiontune.spec.declarations.network_names import own_name, seed_of_repeat
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.loop import Epoch, State, train


def train_repeats(
    recipe: TrialRecipe,
    store: Store,
    *,
    num: int,
    is_folded: bool = False,
    resume: Mapping[str, Any] | None = None,
    train: Callable[..., Iterator[Epoch]] = train,
    **how: Any,
) -> Iterator[Epoch]:
    """Epochs of `num` networks, each on a seed of its own; with `is_folded` each on a fold of its own too, `num` being all of them.

    Metrics are means over them, epoch_s their sum; a val_ metric of network k stands beside as val_top1_k. What has a model and a state of
    its own in an Epoch is the first network's, but for the state, which holds all. Raises as `train`.
    """
    states = resume["networks"] if resume else [None] * num
    history = list(resume["history"]) if resume else []
    networks = []
    for number, state in enumerate(states):
        own = replace(recipe, training={**recipe.training, "seed": seed_of_repeat(recipe.training["seed"], number)})
        pictures = fold_of(store, num, number, recipe.data["seed"]) if is_folded else store
        networks.append(train(own, pictures, resume=state, **how))
    for epochs in zip(*networks, strict=True):
        metrics = combined([epoch.metrics for epoch in epochs])
        history.append({"epoch": epochs[0].epoch, "metrics": metrics, "time_ms": time.time_ns() // 1_000_000})
        known = {"fingerprint": recipe.up_to(epochs[0].epoch).fingerprint, "epoch": epochs[0].epoch, "history": list(history)}

        def all_states(epochs: tuple[Epoch, ...] = epochs, known: State = known) -> State:
            return {**known, "networks": [epoch.state() for epoch in epochs]}

        yield replace(epochs[0], metrics=metrics, time_ms=history[-1]["time_ms"], state=all_states)


def combined(metrics: list[dict[str, float]]) -> dict[str, float]:
    """Of all networks: means, the sum of epoch_s, and each one's val_ metrics."""
    means = {name: statistics.fmean(one[name] for one in metrics) for name in metrics[0]}
    own = {own_name(name, number): one[name] for number, one in enumerate(metrics) for name in one if name.startswith("val_")}
    return {**means, "epoch_s": sum(one["epoch_s"] for one in metrics), **own}
