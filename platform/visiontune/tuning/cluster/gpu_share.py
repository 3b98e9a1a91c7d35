"""`gpus_per_trial: auto` where there are GPUs: the share that the largest networks of a space fit in, found once for a study.

An actor's resources can't change, so there is one share for all trials, not one for each network: a worker would have to go for each.
What does not fit after all has half its micro-batch, as any trial that runs out of memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from visiontune.data.store.store import DataInfo, Store
from visiontune.errors import UserError, last_line
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.training.checks.all_checks import choices, sample_recipe
from visiontune.training.gpu import is_out_of_memory, limit_of
from visiontune.training.known_costs import known_costs
from visiontune.training.memory_probe import probe
from visiontune.tuning.cluster.ray_nodes import KIND
from visiontune.tuning.legs.placement import Node
from visiontune.tuning.study.study_storage import Storage

MOST_SHARING = 4
"""Trials on one GPU: five processes of small networks got twice the throughput of one, ResNet-18 less (Hydro's artifact)."""
MARGIN = 1.3
"""What other choices of the space (an optimizer with two states, averages, another policy) may take beyond what was probed."""
PROBE_S = 120.0
KEPT = "gpu_share"
"""The study's attribute: `gpus` of a trial, by network what was measured, and the `kinds` of GPUs that were up; `why` no answer was had."""


@dataclass(frozen=True)
class Found:
    """By network seconds of a step and the most bytes, infinite for one that ran out of memory, on a GPU of so many bytes."""

    total_bytes: int
    step_s: Mapping[str, float]
    peak_bytes: Mapping[str, float]


Ask = Callable[[Sequence[TrialRecipe]], Found | str]
"""Probes recipes on a GPU of the cluster; a sentence where that can't be."""


def share_of(peak_bytes: float, total_bytes: int, most: int = MOST_SHARING) -> float:
    """The smallest of 1, 1/2, 1/3, ... in which a process with such a peak has room, in Ray's ten-thousandths.

    >>> share_of(2e9, 24_000_000_000), share_of(6e9, 24_000_000_000), share_of(2e9, 24_000_000_000, most=3)
    (0.25, 0.5, 0.3333)
    """
    fits = (num for num in range(most, 1, -1) if limit_of(total_bytes // num) >= MARGIN * peak_bytes)
    return math.floor(10_000 / next(fits, 1)) / 10_000


def largest_recipes(spec: StudySpec, info: DataInfo) -> Iterator[TrialRecipe]:
    """Of each network the most expensive corner of the space, in its largest batches, in full precision where that may be chosen."""
    trainings = spec.space.corners("training")
    largest = max(trainings, key=lambda one: (one["micro_batch"] or one["batch_size"], one["precision"] == "fp32"))
    for name in choices(spec, "model.name"):
        recipe = sample_recipe(spec, {"model.name": name}, 0)
        recipe = replace(recipe, training={**largest, "num_epochs": spec.budget.max_epochs, "seed": recipe.training["seed"]})
        corners = [replace(recipe, model=model) for model in spec.space.corners("model") if model["name"] == name]
        yield max(corners or [recipe], key=lambda one: _multiply_adds(one, info))


def _multiply_adds(recipe: TrialRecipe, info: DataInfo) -> float:
    with suppress(RuntimeError, ValueError, UserError):  # what can't be built is told as such
        return known_costs(recipe, image_size=info.image_size, channels=info.channels, num_classes=info.num_classes)["multiply_adds"]
    return 0.0


def most_sharing(nodes: Iterable[Node], cpus_per_trial: int | str) -> int:
    """Trials on one GPU that find the processors they want on each of these machines."""
    each = cpus_per_trial if isinstance(cpus_per_trial, int) else 1
    return min([MOST_SHARING, *(int(node.cpus / node.gpus / each) for node in nodes if node.gpus)])


def settled_gpus(spec: StudySpec, storage: Storage, info: DataInfo, nodes: Sequence[Node], ask: Ask, say: Callable[[str], None]) -> float:
    """What a trial gets; said, and kept with the study. Trials of a study that is older have a whole GPU, as those before them.

    It is asked for again by the next start where no answer was had, or where kinds of GPUs are up that were not.
    """
    most = most_sharing(nodes, spec.resources.cpus_per_trial)
    kept, kinds = storage.attributes().get(KEPT), {node.gpu_kind for node in nodes if node.gpus and node.gpu_kind}
    if kept is not None and "why" not in kept and kinds <= {*kept.get("kinds", kinds)}:
        return float(kept["gpus"])
    if (kept is None and storage.trials()) or spec.resources.workers_per_trial > 1:
        return 1.0
    before = float(kept["gpus"]) if kept is not None else 1.0
    is_up = any(node.gpus for node in nodes)  # a machine that is still to be started takes longer than is waited for
    if most < 2 or not is_up:
        if kept is None:
            storage.set_attribute(KEPT, {"gpus": 1.0, "why": "no GPU was up that two trials could share"})
        return before
    found = ask(list(largest_recipes(spec, info)))
    if isinstance(found, str):
        has = "a whole GPU" if before == 1 else f"{before:g} of a GPU, as before"
        say(f"resources.gpus_per_trial: a trial gets {has}, as none could be probed: {found}; the next start of the search asks again")
        storage.set_attribute(KEPT, {**(kept or {}), "gpus": before, "why": found})
        return before
    name = max(found.peak_bytes, key=lambda one: found.peak_bytes[one])
    gpus, peak_bytes = share_of(found.peak_bytes[name], found.total_bytes, most), found.peak_bytes[name]
    how = f"takes {peak_bytes / 1e9:.3g} GB" if math.isfinite(peak_bytes) else "does not fit in its largest batches"
    share = "a whole GPU" if gpus == 1 else f"1/{int(1 / gpus)} of a GPU"
    say(f"resources.gpus_per_trial: a trial gets {share}: of {found.total_bytes / 1e9:.3g} GB {name}, the largest, {how}")
    figures = asdict(replace(found, peak_bytes={key: min(one, float(found.total_bytes)) for key, one in found.peak_bytes.items()}))
    storage.set_attribute(KEPT, {"gpus": gpus, "kinds": sorted(kinds), **figures})
    return gpus


def probe_all(recipes: Sequence[TrialRecipe], store: Store, **parts: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of a step and peaks by network, without those that can't be trained; `parts` are those of `probe`."""
    step_s, peak_bytes = dict[str, float](), dict[str, float]()
    for recipe in recipes:
        name = str(recipe.model["name"])
        try:
            found = probe(recipe, store, **parts)
        except (UserError, RuntimeError, ValueError) as error:
            if is_out_of_memory(error):
                peak_bytes[name] = math.inf
            continue
        step_s[name], peak_bytes[name] = found.step_s, float(found.peak_bytes)
    return step_s, peak_bytes


def asking_ray(config: Mapping[str, Any]) -> Ask:
    """On any GPU of the cluster, in a process that then ends, held against the smallest kind; `config` is what workers get."""
    import ray

    def ask(recipes: Sequence[TrialRecipe]) -> Found | str:
        on_gpu = ray.remote(num_gpus=1, num_cpus=0, max_calls=1, max_retries=0)
        kinds = gpu_kinds(ray.nodes())
        asked = [on_gpu(_on_worker).remote([recipe.to_dict() for recipe in recipes], dict(config))]
        asked += [on_gpu(_total_bytes).options(resources={kind: 0.001}).remote() for kind in kinds if len(kinds) > 1]
        try:
            answer, *totals = ray.get(asked, timeout=PROBE_S)
        except ray.exceptions.GetTimeoutError:
            for one in asked:
                ray.cancel(one, force=True)
            return f"none had an answer within {PROBE_S:g} s"
        except ray.exceptions.RayError as error:
            return last_line(error)
        return answer if isinstance(answer, str) else replace(answer, total_bytes=min([answer.total_bytes, *totals]))

    return ask


def gpu_kinds(nodes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Ray's resources that stand for the kinds of GPUs that are up; none where it does not know them."""
    there = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("GPU")]
    return sorted({name for one in there for name in one if name.startswith(KIND)})


def _total_bytes() -> int:
    """Of a task's GPU."""
    import torch

    return int(torch.cuda.mem_get_info()[1])


def _on_worker(recipes: Sequence[Mapping[str, Any]], config: Mapping[str, Any]) -> Found | str:
    """In a Ray task with a GPU of its own."""
    import torch

    from visiontune.data.store.node_copy import on_this_node
    from visiontune.spec.kept_files import load_files

    if not torch.cuda.is_available():
        return "torch sees none there"
    torch.set_num_threads(config["num_threads"])
    found = [TrialRecipe(**one) for one in recipes]
    for recipe in found:
        load_files(recipe, StudyFolder(Path(config["folder"])).path)
    store = Store.open(on_this_node(Path(config["store"]), config["remote_cache"]))
    step_s, peak_bytes = probe_all(found, store, device=torch.device("cuda"))
    return Found(torch.cuda.mem_get_info()[1], step_s, peak_bytes) if peak_bytes else "no network of the space could be trained"
