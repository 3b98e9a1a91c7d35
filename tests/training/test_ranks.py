"""Several workers in one trial against one alone: the same figures and weights, and an end for all when one ends."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from places import ROOT
from tiny import make_recipe, make_store, model_section
from torch import distributed as dist

from visiontune.data.ingest.worker_pool import end_with
from visiontune.data.store.store import Store
from visiontune.errors import LostRank, UserError
from visiontune.filesystem.checkpoint_files import Attempt
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.models.build import build_model
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.training import gradient_checkpointing, ranks, setup, synced_batch_norm
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.input.batches import Pictures
from visiontune.training.lead_ranks import Meeting, follow, train_by_ranks
from visiontune.training.loop import Epoch, train
from visiontune.training.ranks import Ranks, joined
from visiontune.training.spawned_ranks import train_here
from visiontune.training.train_recipe import fit_recipe
from visiontune.training.weights_file import save_weights
from visiontune.tuning.legs.run_leg import run_leg
from visiontune.tuning.legs.silent_workers import take_stacks
from visiontune.tuning.records.leg import Leg

# Autograd counts devices once, and a fork can't take the threads of any: before another test's tensors without memory play a GPU.
torch.ones((), requires_grad=True).backward()
STORE = make_store()
FLIPPED = {"policy": "fixed", "HorizontalFlip": {"probability": 0.5}}
CNN = model_section("cnn", width=4, depth=2)
EVERYTHING = {"clip_norm": 0.5, "ema_decay": 0.9, "gradient_noise": 1e-4, "l2": 1e-3, "l1": 1e-4}
RECIPES = {
    "batch norm, mixed, averaged, clipped": make_recipe(
        CNN, augmentation={**FLIPPED, "mixing": "mixup"}, regularization=EVERYTHING, num_epochs=3, batch_size=15
    ),
    "classes unequal, two passes": make_recipe(
        CNN,
        balance={"name": "oversample", "strength": 0.5, "class_weights": "effective_number"},
        augmentation=FLIPPED,
        num_epochs=2,
        optimizer_args={"sharpness": "sam"},
    ),
    "micro-batches, computed again": make_recipe(
        CNN, "adamw", augmentation={"mixing": "cutmix"}, num_epochs=2, batch_size=18, micro_batch=6, use_gradient_checkpointing=True
    ),
    "plateau, erased, all metrics": make_recipe(
        None, "sgd", "plateau", augmentation={"mixing": "random_erasing"}, num_epochs=2, use_full_metrics=True
    ),
    "changed while it is trained": replace(
        make_recipe(CNN, "adamw", num_epochs=3, regularization={"ema_decay": 0.9}),
        phases=({"after_epoch": 1, "optimizer.lr": 3e-4}, {"after_epoch": 2, "optimizer.weight_decay": 0.1}),
    ),
}


class Forked:
    """A follower that is ready at once, since it is this process's fork; it kills itself where it is told to."""

    def __init__(self, meeting: Meeting, dies_in_epoch: int = 0) -> None:
        gc.collect()  # a fork that frees the process group of an earlier test crashes
        self.process = multiprocessing.get_context("fork").Process(target=self._be, args=(meeting, dies_in_epoch), daemon=True)
        self.process.start()

    def _be(self, meeting: Meeting, dies_in_epoch: int) -> None:
        batches = Pictures.batches

        def dying(self: Pictures, order_N: Any, bounds: Any, epoch: int = 0) -> Any:
            for number, batch in enumerate(batches(self, order_N, bounds, epoch)):
                if epoch == dies_in_epoch > 0 and number == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch

        Pictures.batches = dying  # type: ignore[method-assign]
        follow(meeting, 1, STORE, "cpu")

    def lost(self) -> str | None:
        return "it has ended" if self.process.exitcode else None

    def end(self) -> None:
        self.process.join(5)
        assert not self.process.is_alive()


class Killed(Forked):
    """Is ended as an actor is that does not end by itself: while the error holds its network, rank 0 keeps its connections."""

    def end(self) -> None:
        self.process.kill()
        self.process.join()


class Hung:
    """A follower that makes no step in its second epoch. It is forked before this process is watched, or it would inherit the watch."""

    def __init__(self) -> None:
        self._ours, theirs = multiprocessing.get_context("fork").Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=self._be, args=(theirs, os.getpid()), daemon=True)
        self._process.start()

    def start(self, meeting: Meeting) -> Hung:
        self._ours.send((meeting, HEARTBEAT.of_rank(1)))
        return self

    def _be(self, told: Any, parent: int) -> None:
        end_with(parent)
        batches = Pictures.batches

        def hanging(self: Pictures, order_N: Any, bounds: Any, epoch: int = 0) -> Any:
            if epoch == 2:
                time.sleep(1000)
            return batches(self, order_N, bounds, epoch)

        Pictures.batches = hanging  # type: ignore[method-assign]
        meeting, watch = told.recv()
        with HEARTBEAT.following(watch):
            follow(meeting, 1, STORE, "cpu")

    def lost(self) -> str | None:
        return "it has ended" if self._process.exitcode else None

    def end(self) -> None:
        self._process.kill()


def lead_one_that_hangs(path: Path, waits_s: float) -> None:
    """Be rank 0, whose driver takes its time after the first epoch."""
    hung = Hung()
    HEARTBEAT.begin(Attempt.claim(StudyFolder(path).checkpoint(0)).file)
    training = train_by_ranks(RECIPES["classes unequal, two passes"], STORE, device="cpu", num=2, start=hung.start)
    while True:
        with HEARTBEAT.watched(1.0):
            HEARTBEAT.epoch_ended(next(training).metrics["epoch_s"])
        time.sleep(waits_s)


@pytest.fixture(autouse=True, scope="module")
def few_to_look_through() -> None:
    """What earlier modules left behind made each of the collections above a third of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def by_two(recipe: TrialRecipe, **args: Any) -> Iterator[Epoch]:
    return train_by_ranks(recipe, STORE, device="cpu", num=2, start=Forked, **args)


def figures(epochs: list[Epoch]) -> list[dict[str, float]]:
    apart = ("epoch_s", "data_wait_share")
    return [{name: value for name, value in epoch.metrics.items() if name not in apart} for epoch in epochs]


def assert_same_weights(ours: Epoch, theirs: Epoch) -> None:
    for name, tensor in theirs.model.state_dict().items():
        assert torch.allclose(ours.model.state_dict()[name].float(), tensor.float(), rtol=1e-3, atol=1e-4), name


def others_heavy(rows: Mapping[Any, Any]) -> list[Any]:
    """Each as a row of a test, the first in every tier: a second and a follower of its own is what each takes."""
    return [pytest.param(row, id=str(name), marks=[pytest.mark.heavy] * (at > 0)) for at, (name, row) in enumerate(rows.items())]


@pytest.mark.parametrize("recipe", others_heavy(RECIPES))
def test_two_workers_train_as_one(recipe: TrialRecipe) -> None:
    theirs = list(train(recipe, STORE))  # before the fork, which then has what is imported
    ours = list(by_two(recipe))
    assert figures(ours) == [pytest.approx(one, rel=1e-3, abs=1e-5) for one in figures(theirs)]
    assert_same_weights(ours[-1], theirs[-1])


@pytest.mark.heavy
def test_two_workers_train_on_train_and_val_together_as_one_does() -> None:
    """As the winner of a search with `confirm: {use_val: true}` is, where a trial has several workers."""
    recipe = make_recipe()
    ours, theirs = list(by_two(recipe, use_val=True)), list(train(recipe, STORE, use_val=True))
    assert [pytest.approx(one, rel=1e-4) for one in figures(theirs)] == figures(ours)
    assert figures(theirs)[0]["train_loss"] != next(train(recipe, STORE)).metrics["train_loss"]
    assert_same_weights(ours[-1], theirs[-1])


@pytest.mark.heavy
def test_two_workers_take_up_what_was_frozen(tmp_path: Path) -> None:
    """From the second epoch on everything learns, by another optimizer: the first stages' features were kept until then."""
    save_weights(build_model(CNN, num_classes=10, in_channels=1, image_size=16, seed=3), tmp_path / "weights.safetensors")
    transfer = {"regime": "lp_ft", "head_epochs": 1, "weights": str(tmp_path / "weights.safetensors")}
    recipe = make_recipe(CNN, sections={"transfer": transfer}, num_epochs=2)
    theirs = list(train(recipe, STORE))
    ours = list(by_two(recipe))
    assert figures(ours) == [pytest.approx(one, rel=1e-3, abs=1e-5) for one in figures(theirs)]
    assert_same_weights(ours[-1], theirs[-1])


@pytest.mark.heavy
def test_a_trial_goes_on_with_another_number_of_workers() -> None:
    recipe = RECIPES["batch norm, mixed, averaged, clipped"]
    *_, reference = train(recipe, STORE)
    first = next(train(recipe, STORE)).state()
    generator = by_two(recipe, resume=first)
    second = next(generator).state()
    generator.close()  # type: ignore[attr-defined]  # the follower, which waits, ends: `Forked.end` asserts it
    (third,) = train(recipe, STORE, resume=second)
    assert_same_weights(third, reference)


@pytest.mark.heavy
def test_a_killed_worker_ends_the_others() -> None:
    def start(meeting: Meeting) -> Forked:
        return Forked(meeting, dies_in_epoch=2)

    started, seen = time.monotonic(), []
    with pytest.raises(LostRank, match="it has ended"):
        for epoch in train_by_ranks(RECIPES["classes unequal, two passes"], STORE, device="cpu", num=2, start=start):
            seen.append(epoch.epoch)
    assert seen == [1] and time.monotonic() - started < 20


@pytest.mark.heavy
def test_all_end_where_one_hangs_and_each_says_where_it_stood(tmp_path: Path) -> None:
    """Rank 0 waits for what the other never sends; that one's stack is what tells why."""
    torch.optim.SGD([torch.zeros(1)], 0.1)  # what it imports first takes seconds on a busy machine
    gc.collect()  # a fork that frees the process group of an earlier test crashes
    leader = multiprocessing.get_context("fork").Process(target=lead_one_that_hangs, args=(tmp_path, 1.2))
    leader.start()
    leader.join(120)
    assert leader.exitcode == 1
    kept = (tmp_path / take_stacks(StudyFolder(tmp_path), "00000")).read_text()
    own, _, other = kept.partition("\nrank-1:\n")
    assert own.startswith("Timeout") and "lead_one_that_hangs" in own and "hanging" not in own
    assert other.startswith("Timeout") and "in hanging" in other and other.count("Timeout") == 1


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            RuntimeError("shapes do not match in my loss"),
            "crashed",
            r"RuntimeError: (worker 2 of 2 failed: RuntimeError: )?shapes do not match in my loss",
        ),
        (ValueError("no such channel"), "infeasible", r"(worker 2 of 2 failed: ValueError: )?no such channel"),
    ],
    ids=["RuntimeError", "ValueError"],
)
@pytest.mark.parametrize("where", others_heavy({"follower": (1,), "leader": (0,), "both": (0, 1)}))
def test_an_error_of_the_recipe_is_typed_as_with_one_worker(
    error: Exception, kind: str, said: str, where: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever worker has it; the others see a broken connection, and theirs is no machine's fault."""

    def failing(self: Pictures, order_N: Any, bounds: Any, epoch: int = 0) -> Any:
        for number, batch in enumerate(batches(self, order_N, bounds, epoch)):
            if number == 1 and dist.get_rank() in where:
                raise type(error)(*error.args)
            yield batch

    batches = Pictures.batches
    monkeypatch.setattr(Pictures, "batches", failing)

    def train_by_two(recipe: TrialRecipe, store: Store, **args: Any) -> Iterator[Epoch]:
        return train_by_ranks(recipe, store, num=2, start=Killed, **args)

    [report] = run_leg(Leg("00000", 0, make_recipe(num_epochs=2), 0), STORE, StudyFolder(tmp_path), "cpu", train=train_by_two)
    assert report.failure == kind and re.fullmatch(said, report.reason)


def test_ranks_on_a_gpu_without_index_take_the_first_that_they_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ray's actors do; torch's own `set_device` reads what it is given, and this stands in for the driver below it."""
    chosen: list[int] = []
    monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)
    monkeypatch.setitem(ranks._BACKENDS, "cuda", "gloo")
    for name in ("cuda", "cuda:1"):
        with joined(0, 1, dist.HashStore(), torch.device(name)):
            pass
    assert chosen == [0, 1]


def test_what_several_workers_cant_train_is_refused() -> None:
    with pytest.raises(UserError, match="each of 2 workers needs a picture of every batch"):
        next(by_two(make_recipe(batch_size=1)))
    with pytest.raises(UserError, match="use_compile works with one worker, but there are 2"):
        next(by_two(make_recipe(use_compile=True)))
    with pytest.raises(UserError, match="workers must be an int from 1 to 64, but got 0"):
        next(train_here(make_recipe(), STORE, device="cpu", num_workers=0))


def test_a_layer_that_is_never_called_is_told_in_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """DistributedDataParallel tells it in the second one, and a first one with gradients that were not added up is made."""

    def with_one_more(*args: Any) -> torch.nn.Module:
        network = make_network(*args)
        network.get_submodule("conv1").register_parameter("never", torch.nn.Parameter(torch.zeros(7, 3)))
        return network

    make_network = setup.make_network
    monkeypatch.setattr(setup, "make_network", with_one_more)
    recipe = make_recipe(num_epochs=1, batch_size=len(STORE.train_idx))
    assert next(train(recipe, STORE)).epoch == 1
    with pytest.raises(UserError, match=r"^where several workers train, every .* but 1 of \d+ did not, such as one of 7 x 3: the network"):
        next(by_two(recipe))


def test_before_any_trial_a_space_is_told_what_workers_cant_share(tmp_path: Path) -> None:
    from visiontune.spec.parse import load_study
    from visiontune.tuning.preflight.preflight import preflight

    lines = "resources: {workers_per_trial: 4}\nspace: {training: {batch_size: {choice: [2, 64]}, use_compile: {choice: [true, false]}}"
    file = tmp_path / "study.yaml"
    file.write_text(f"study: a\ndata: {{source: digits}}\nbudget: {{num_trials: 4, max_epochs: 9}}\n{lines}, model: {{name: lenet5}}}}\n")
    with pytest.raises(UserError) as caught:
        preflight(load_study(file, ["space.optimizer={name: adam, lr: 0.001}"]))
    assert [problem.where for problem in caught.value.problems] == ["space.training"] * 2
    assert "of every batch, but training.batch_size is 2; nearest is 4" in str(caught.value) and "use_compile" in str(caught.value)


def norms() -> list[torch.nn.Module]:
    from timm.layers.norm_act import BatchNormAct2d

    averaged = torch.nn.BatchNorm2d(3, momentum=None)
    return [torch.nn.BatchNorm1d(3), torch.nn.BatchNorm2d(3, affine=False), averaged, BatchNormAct2d(3, act_layer=torch.nn.SiLU)]


@pytest.mark.parametrize("place", range(4))
def test_synchronised_batch_norm_is_torchs_on_the_whole_batch(place: int) -> None:
    """In a group of one: the same outputs, gradients and running statistics; and afterwards the module is as it was."""
    ours, theirs = norms()[place], norms()[place]
    x_NC = (torch.randn(6, 3) if place == 0 else torch.randn(6, 3, 4, 4)).requires_grad_()
    with joined(0, 1, dist.HashStore(), torch.device("cpu")), synced_batch_norm.synced_batch_norm(ours, Ranks(0, 2)):
        outputs = [ours(x_NC * scale) for scale in (1.0, 2.0)]
        gradients = torch.autograd.grad((outputs[0] ** 3).sum(), [x_NC, *ours.parameters()])
    expected = [theirs(x_NC * scale) for scale in (1.0, 2.0)]
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(gradients, torch.autograd.grad((expected[0] ** 3).sum(), [x_NC, *theirs.parameters()]), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x_NC), theirs.eval()(x_NC))
    assert "forward" not in vars(ours)


def test_a_gpus_batch_norm_counts_no_batch_twice_where_checkpointing_runs_it_again() -> None:
    """torch's own synchronised one; outside of a group it computes on a CPU too."""
    ours, theirs, x_NC = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3), torch.randn(6, 3, 4, 4)
    normalise = partial(synced_batch_norm._on_gpu, ours, synced_batch_norm._twin(ours))
    outputs = [normalise(x_NC)]
    with gradient_checkpointing._with_statistics_kept([ours]):
        outputs.append(normalise(x_NC))
    expected = theirs(x_NC)
    torch.testing.assert_close(outputs, [expected, expected])
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(normalise(x_NC), theirs(x_NC))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.heavy
def test_workers_of_their_own_from_pictures_to_the_test_with_a_plugin(tmp_path: Path) -> None:
    (tmp_path / "my_models.py").write_bytes((ROOT / "examples" / "my_models.py").read_bytes())
    (tmp_path / "recipe.yaml").write_text(
        "plugins: [my_models.py]\ndata: {source: digits, image_size: 8}\nmodel: {name: tiny_net}\n"
        "optimizer: {name: averaged_sgd, lr: 0.05}\ntraining: {num_epochs: 1}\n"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml")
    one, two = (fit_recipe(recipe, tmp_path, device="cpu", workers=num) for num in (1, 2))
    assert two.metrics == pytest.approx(one.metrics, rel=1e-3)
    assert two.classes == one.classes
