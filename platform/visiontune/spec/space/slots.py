"""How many trials a node takes, and what each of them gets of its CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from visiontune.spec.space.study_spec import Resources


def slots_of(num_gpus: float, gpus_per_trial: float) -> int:
    """Trials that so many GPUs take; one that needs a part of a GPU has it on one, not on two.

    >>> slots_of(4, 0.25), slots_of(4, 0.6), slots_of(5, 2)
    (16, 4, 2)
    """
    return int(num_gpus) * int(1 / gpus_per_trial + 1e-9) if gpus_per_trial < 1 else int(num_gpus / gpus_per_trial + 1e-9)


def workers_on(cpus: float, gpus: float, wanted: Mapping[str, float]) -> int:
    """Workers that a node with so much takes, each with the `cpu` and `gpu` that are wanted, whole on it.

    >>> workers_on(8, 4, {"cpu": 1, "gpu": 0.6}), workers_on(8, 0, {"cpu": 3, "gpu": 0})
    (4, 2)
    """
    fits = [slots_of(gpus, wanted["gpu"])] if wanted.get("gpu") else []
    fits += [int(cpus / wanted["cpu"] + 1e-9)] if wanted.get("cpu") else []
    return min(fits, default=0)


def settled_cpus(resources: Resources, gpus_per_trial: float, nodes: Iterable[tuple[float, float]]) -> int:
    """`cpus_per_trial`; auto: 1 for a trial without a GPU, else a node's CPUs divided by its slots. `nodes` are (CPUs, GPUs).

    Of several kinds of node the one with the least counts, so that no GPU is left without a trial; 1 where no node with a GPU is up.
    """
    if isinstance(resources.cpus_per_trial, int):
        return resources.cpus_per_trial
    if not gpus_per_trial:
        return 1
    fits = [(cpus, slots_of(gpus, gpus_per_trial)) for cpus, gpus in nodes]
    return max(1, min((int(cpus / slots) for cpus, slots in fits if slots), default=1))
