"""Distillation against its formula and torch's own KL divergence, its files as they are found, kept and refused."""

from __future__ import annotations

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from made_teacher import make_teacher
from tiny import make_recipe, make_store, model_section, section
from torch import Tensor
from torch.nn import functional as F

from visiontune.api.inputs import spec_to_go_on
from visiontune.data.store.store import DataInfo
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations import teacher_files
from visiontune.spec.declarations.teacher_files import settle_teacher
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import keep_files, load_files
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.yaml.yaml_writer import dump_recipe, to_yaml
from visiontune.training import teacher
from visiontune.training.loop import train
from visiontune.training.setup import set_up
from visiontune.training.teacher import build_teaching, problem_of_teacher
from visiontune.tuning.cluster.ray_submit import submit
from visiontune.tuning.preflight.preflight import preflight
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import load_files_of

CPU = torch.device("cpu")


def taught(key: str, **args: Any) -> dict[str, Any]:
    return section("loss", {"teacher": "distillation", "teacher_from": key, **args})


def key_in(folder: Path) -> str:
    return settle_teacher(str(folder / "big.yaml"), "")


@pytest.mark.parametrize("colour", ["stored", "rgb"])
def test_the_loss_is_hintons_of_the_very_pictures(colour: str, tmp_path: Path) -> None:
    """The teacher has another scale, other channels and another size than the student's pictures."""
    big = make_teacher(tmp_path, make_store(num=60, seed=3), colour=colour)
    store = make_store(num=60, size=24)
    student = set_up(make_recipe(model_section("cnn", width=4, depth=1)), store, CPU)
    teaching = build_teaching(taught(key_in(tmp_path), teacher_temperature=3.0, teacher_share=0.75), student.preprocessing, 3, CPU)
    raw_NHWC = torch.from_numpy(store.images_NHWC[:5].copy())
    x_NCHW, y_N = student.preprocessing(raw_NHWC).permute(0, 3, 1, 2), torch.arange(5) % 3
    logits_NK = student.network.train()(x_NCHW)
    hard = F.cross_entropy(logits_NK, y_N)
    found = teaching(hard, logits_NK, x_NCHW)

    smaller = F.interpolate(raw_NHWC.permute(0, 3, 1, 2).float(), size=(16, 16), mode="bilinear", antialias=True)
    theirs_NK = big.network.eval()(big.preprocessing(smaller.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    p_NK, q_NK = (theirs_NK / 3).softmax(1), (logits_NK / 3).softmax(1)
    kl = (p_NK * (p_NK.log() - q_NK.log())).sum(1).mean()
    torch.testing.assert_close(found, 0.25 * hard + 0.75 * 9 * kl, rtol=1e-4, atol=1e-5)
    gradients: tuple[Tensor, ...] = torch.autograd.grad(found, list(student.network.parameters()), allow_unused=True)
    assert any(one is not None and one.abs().sum() > 0 for one in gradients)


def test_a_teacher_whitens_as_it_was_trained_though_its_student_computes_in_bf16(tmp_path: Path) -> None:
    """In bf16 a whitening's products lose what tells small components apart; the network behind it is one that hands on its input."""
    from visiontune.training.arithmetic import Arithmetic
    from visiontune.training.input.preprocessing import Preprocessing, Whitening

    make_teacher(tmp_path, store := make_store(num=60))
    raw_NHWC = torch.from_numpy(store.images_NHWC[:4].copy())
    values = Whitening(torch.full((16, 16, 1), 99.0), torch.eye(256) + torch.randn(256, 256))
    seen: list[Tensor] = []
    student = set_up(make_recipe(), store, CPU).preprocessing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "_trained", lambda *_: (Seen(seen), Preprocessing(values)))
        teaching = build_teaching(taught(key_in(tmp_path)), student, 3, CPU)
    with Arithmetic(CPU, "bf16").autocast():
        teaching(torch.zeros(()), torch.zeros(4, 3), student(raw_NHWC).permute(0, 3, 1, 2))
    torch.testing.assert_close(seen[0].permute(0, 2, 3, 1), values(raw_NHWC.float()), rtol=1e-4, atol=0.1)  # values near 1,500


class Seen(torch.nn.Module):
    """A network that keeps what it was given."""

    def __init__(self, seen: list[Tensor]) -> None:
        super().__init__()
        self.seen = seen

    def forward(self, x_NCHW: Tensor) -> Tensor:
        self.seen.append(x_NCHW)
        return torch.zeros(len(x_NCHW), 3)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(tmp_path: Path) -> None:
    """By its teacher alone, on mixed pictures too: the same weights in the same scale give the same scores."""
    store = make_store(num=60)
    start = make_teacher(tmp_path, store)
    mixed = {"policy": "none", "mixing": "mixup"}
    recipe = make_recipe(model_section("lenet5"), seed=5, augmentation=section("augmentation", mixed))
    recipe = replace(recipe, loss=taught(key_in(tmp_path), teacher_share=1.0))
    setup = set_up(recipe, store, CPU)
    before = {name: tensor.clone() for name, tensor in setup.network.state_dict().items()}
    assert all(torch.equal(tensor, start.network.state_dict()[name]) for name, tensor in before.items())
    for number, (x_NCHW, y_N) in enumerate(setup.train_set.batches(setup.order(0, 1), setup.bounds, 1)):
        assert setup.stepper.step(x_NCHW, y_N, 0.1, number) > 0.5  # against labels
    for name, tensor in setup.network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=1e-4)


def test_a_pause_changes_no_bit(tmp_path: Path) -> None:
    store = make_store(num=60)
    make_teacher(tmp_path, store)
    recipe = replace(make_recipe(num_epochs=2), loss=taught(key_in(tmp_path)))
    states = []
    for epoch in train(recipe, store):
        buffer = io.BytesIO()
        torch.save(epoch.state(), buffer)
        states.append(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    *_, again = train(recipe, store, resume=states[0])
    assert all(torch.equal(tensor, states[-1]["model"][name]) for name, tensor in again.model.state_dict().items())


def study(folder: Path, teacher: Any, **sections: Any) -> Any:
    space = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, **sections}
    space["loss"] = {"teacher": "distillation", "teacher_from": teacher}
    return {"study": "one", "data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}, "space": space}


def test_a_teacher_is_its_content_and_travels_with_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other weights under the same names are another study; what was kept is enough to train the recipe elsewhere."""
    store = make_store(num=60)
    make_teacher(tmp_path, store)
    spec = load_study(study(tmp_path, {"choice": [str(tmp_path / "big.yaml")]}))
    first = spec.identity()
    keep_files(spec, tmp_path / "study")
    recipe = replace(make_recipe(), loss=taught(key_in(tmp_path)), data=section("data", {"source": "digits"}))
    dump_recipe(recipe, tmp_path / "study" / "winner.yaml")

    make_teacher(tmp_path, store, seed=6)
    assert load_study(study(tmp_path, {"choice": [str(tmp_path / "big.yaml")]})).identity() != first
    monkeypatch.setattr(teacher_files, "_found", {})
    with pytest.raises(UserError, match="is not known in this process"):
        set_up(recipe, store, CPU)
    shutil.move(tmp_path / "study", tmp_path / "moved")
    load_files(TrialRecipe(**recipe.to_dict()), tmp_path / "moved")
    set_up(recipe, store, CPU)
    monkeypatch.setattr(teacher_files, "_found", {})
    assert load_recipe(tmp_path / "moved" / "winner.yaml").fingerprint == recipe.fingerprint

    weights = next((tmp_path / "moved" / "teachers").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(teacher_files, "_found", {})
    with pytest.raises(UserError, match="the teacher big has changed"):
        load_recipe(tmp_path / "moved" / "winner.yaml")


def test_a_study_goes_on_with_its_copy_of_a_teacher_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Under its own name alone: to another study the teacher is gone. What a study is read for later needs no file of it either."""
    (tmp_path / "there").mkdir()
    make_teacher(tmp_path / "there", make_store(num=60))
    studies, given = StudiesFolder(tmp_path / "studies"), study(tmp_path, {"choice": [str(tmp_path / "there" / "big.yaml")]})
    folder = studies.study("one")
    spec = load_study(given)
    folder.path.mkdir(parents=True)
    create_or_resume(folder, spec)
    (tmp_path / "there" / "big.yaml").unlink()
    monkeypatch.setattr(teacher_files, "_found", {})
    assert spec_to_go_on(given, (), {}, studies).identity() == spec.identity()
    assert re.search(r"there is no \S+big\.yaml any more: the study's copy .*/studies/one/teachers/", caplog.text)
    with pytest.raises(UserError, match=r"there is no .*big\.yaml"):
        spec_to_go_on({**given, "study": "two"}, (), {}, studies)

    monkeypatch.setattr(teacher_files, "_found", {})
    assert load_files_of(folder) == ()
    assert spec_of_identity(spec.identity(), "one").identity() == spec.identity()


REFUSED: dict[str, dict[str, Any]] = {
    "there is no .*bog.yaml; nearest is big.yaml": {"teacher": "bog.yaml"},
    "needs a recipe and its weights, but there is no .*alone.safetensors; a search": {"teacher": "alone.yaml"},
    "the teacher half: the weights .* can't be read: they are damaged": {"teacher": "half.yaml", "broken": {"half": 9000}},
    "the teacher empty: the weights .* can't be read: they are damaged": {"teacher": "empty.yaml", "broken": {"empty": 0}},
    "a teacher is named by its recipe, but got .*big.safetensors; nearest is .*big.yaml": {"teacher": "big.safetensors"},
    "the teacher big: the weights .* don't fit this network": {"num_classes": 3},
    "which whitening does not leave": {"preprocessing": {"name": "zca"}},
    "frozen stages leave only features": {"transfer": {"regime": "linear", "weights": "published"}, "model": {"name": "resnet18"}},
}


@pytest.mark.parametrize("words", REFUSED)
def test_a_teacher_that_can_not_teach_is_refused_before_anything_runs(words: str, tmp_path: Path) -> None:
    given = dict(REFUSED[words])
    make_teacher(tmp_path, make_store(num=60, size=8, num_classes=given.pop("num_classes", 10)))
    (tmp_path / "alone.yaml").write_text("")
    for name, size in given.pop("broken", {}).items():
        (tmp_path / f"{name}.yaml").write_bytes((tmp_path / "big.yaml").read_bytes())
        (tmp_path / f"{name}.safetensors").write_bytes((tmp_path / "big.safetensors").read_bytes()[:size])
    told = []
    try:
        preflight(load_study(study(tmp_path, str(tmp_path / given.pop("teacher", "big.yaml")), **given)))
    except UserError as error:
        told = [problem.rule for problem in error.problems if problem.where.endswith("loss.teacher_from")]
    assert len(told) == 1 and re.search(words, told[0])


def test_submit_refuses_a_teacher_that_would_stay_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths start from this folder on a cluster too, and what lies outside of it does not travel."""
    (tmp_path / "here").mkdir()
    make_teacher(tmp_path, make_store(num=60))
    monkeypatch.chdir(tmp_path / "here")
    Path("study.yaml").write_text(to_yaml(study(tmp_path, "../big.yaml")))
    monkeypatch.setattr("visiontune.tuning.cluster.ray_submit.connect", lambda address: SimpleNamespace(list_jobs=list))
    with pytest.raises(UserError, match=r"the teacher big must lie in .*here, which paths start from on the cluster, or be"):
        submit(Path("study.yaml"), "http://127.0.0.1:1")


def test_other_classes_are_refused(tmp_path: Path) -> None:
    make_teacher(tmp_path, make_store(num=60))
    info = DataInfo(16, 1, 3, ("cat", "dog", "owl"))
    section = {"name": "standardize"}
    told = problem_of_teacher(taught(key_in(tmp_path)), section, info, channels=1, use_features=False)
    assert told == "a teacher must know the same classes, but big knows 10 (0, 1, 2, 3, ...), and these are 3 (cat, dog, owl)"
