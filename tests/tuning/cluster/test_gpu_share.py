"""How many trials share a GPU, by a few real steps of the largest networks. No GPU is here: the peak of memory is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from simulated_search import make_spec
from tiny import make_store

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.gpu import CONTEXT_BYTES
from visiontune.tuning.cluster.gpu_share import MARGIN, MOST_SHARING, Found, gpu_kinds, largest_recipes, probe_all, settled_gpus, share_of
from visiontune.tuning.legs.placement import Node
from visiontune.tuning.study.open_storage import create_or_resume

GB = 10**9
ROOMY = [Node("a", "a", cpus=8, gpus=2)]


@pytest.mark.parametrize("total", [8 * GB, 24 * GB, 80 * GB])
def test_as_many_trials_share_a_gpu_as_fit_beside_each_other_with_their_contexts(total: int) -> None:
    for peak in range(GB // 10, total, GB // 4):
        num = round(1 / share_of(peak, total))
        assert num == 1 or num * (MARGIN * peak + CONTEXT_BYTES) <= total + num
        assert num == MOST_SHARING or (num + 1) * (MARGIN * peak + CONTEXT_BYTES) > total - num
        assert num * share_of(peak, total) <= 1


@pytest.mark.heavy
def test_the_largest_of_each_network_takes_its_steps(tmp_path: Path) -> None:
    spec, store = make_spec(tmp_path / "share", overrides=["data.image_size=16"]), make_store(300)
    recipes = list(largest_recipes(spec, store.info))
    assert [(one.model["name"], one.model.get("width"), one.model.get("depth")) for one in recipes] == [("lenet5", 4, None), ("cnn", 32, 3)]
    peaks = iter([3 * GB, 5 * GB])
    step_s, peak_bytes = probe_all(recipes, store, device=torch.device("cpu"), peak=lambda: next(peaks))
    assert peak_bytes == {"lenet5": 3 * GB, "cnn": 5 * GB} and all(0 < one < 10 for one in step_s.values())

    def full() -> int:
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert probe_all(recipes[:1], store, device=torch.device("cpu"), peak=full) == ({}, {"lenet5": math.inf})


def test_the_share_is_found_once_said_and_kept(tmp_path: Path) -> None:
    spec, store = make_spec(tmp_path / "share", overrides=["data.image_size=16"]), make_store(300)
    (tmp_path / "share").mkdir()
    storage, said, asked = create_or_resume(StudyFolder(tmp_path / "share"), spec), list[str](), list[int]()

    def ask(recipes: Sequence[TrialRecipe]) -> Found | str:
        asked.append(len(recipes))
        return "none is free" if len(asked) == 1 else Found(24 * GB, {"cnn": 0.1}, {"lenet5": float(GB), "cnn": 5.0 * GB})

    def settled(nodes: list[Node]) -> float:
        return settled_gpus(spec, storage, store.info, nodes, ask, said.append)

    assert settled([Node("a", "a", cpus=1, gpus=1)]) == 1 and not asked  # a second trial would have no processor
    assert settled([Node("a", "a", cpus=8)]) == 1 and not asked  # no GPU is up yet
    storage.add(
        {}, {}, {"recipe": {}, "fingerprint": ""}, {}
    )  # trials begin meanwhile, with a whole one each, and a later start asks again
    assert settled(ROOMY) == 1 and said[-1].endswith("none is free; the next start of the search asks again")
    assert settled(ROOMY) == 0.3333 and said[-1].endswith("a trial gets 1/3 of a GPU: of 24 GB cnn, the largest, takes 5 GB")
    assert settled(ROOMY) == 0.3333 and asked == [2, 2] and len(said) == 2


def test_a_kind_of_gpu_that_was_not_there_is_probed_by_the_next_start(tmp_path: Path) -> None:
    """A share of the larger kind may be too small on it."""
    spec, store = make_spec(tmp_path / "share", overrides=["data.image_size=16"]), make_store(300)
    (tmp_path / "share").mkdir()
    storage, said = create_or_resume(StudyFolder(tmp_path / "share"), spec), list[str]()
    a100, t4 = (Node(kind, kind, 8, 1, kind) for kind in ("A100", "T4"))
    answers = iter([Found(80 * GB, {}, {"cnn": 5.0 * GB}), "none is free", Found(16 * GB, {}, {"cnn": 5.0 * GB})])

    def settled(*nodes: Node) -> float:
        return settled_gpus(spec, storage, store.info, nodes, lambda recipes: next(answers), said.append)

    assert settled(a100) == settled(a100) == 0.25 and len(said) == 1
    assert settled(a100, t4) == 0.25 and "a trial gets 0.25 of a GPU, as before, as none could be probed" in said[-1]
    assert settled(a100, t4) == settled(t4) == settled(a100, t4) == 0.5 and len(said) == 3


def test_each_kind_of_gpu_that_is_up_is_asked_for_its_memory() -> None:
    """A share that was found on the largest would be too small a one on the others."""
    a100, t4 = {"GPU": 8.0, "CPU": 64.0, "accelerator_type:A100": 1.0}, {"GPU": 1.0, "accelerator_type:T4": 1.0}
    nodes = [{"Alive": True, "Resources": one} for one in (a100, t4, a100, {"CPU": 4.0}, {"GPU": 1.0})]
    gone = {"Alive": False, "Resources": {"GPU": 1.0, "accelerator_type:K80": 1.0}}
    assert gpu_kinds([*nodes, gone]) == ["accelerator_type:A100", "accelerator_type:T4"]
