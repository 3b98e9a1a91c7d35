"""Who makes the pictures changes none of them, leaves no process behind, and is chosen by what was measured."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from opened_splits import CPU, one_epoch, opened, same
from tiny import make_recipe, make_store, model_section
from torch import Tensor
from torch.utils.data import DistributedSampler

from visiontune.data.picture.stored_form import Form
from visiontune.data.store.large_pictures import Images, Large
from visiontune.data.store.store import Store
from visiontune.training.input import batches, loader, loader_workers
from visiontune.training.input.epoch_order import batch_bounds, share_of_rank, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.loader import Loader, Measured, choose
from visiontune.training.input.loader_workers import Maker, Workers
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.loop import train

AUGMENTED = {
    "policy": "fixed",
    "Affine": {"probability": 0.7, "magnitude": 0.6},
    "GaussNoise": {"probability": 0.5, "magnitude": 0.5},
    "CoarseDropout": {"probability": 0.5, "magnitude": 1.0},
}


class Noise:
    """A policy of numpy alone: each key has its own noise."""

    crop = None

    def __call__(self, images_NHWC: Any, *, seed: int, epoch: int, index_N: Any) -> Any:
        shape = images_NHWC.shape[1:]
        noise = [np.random.default_rng([seed, epoch, index]).integers(0, 256, shape) for index in index_N.tolist()]
        return (images_NHWC + np.stack(noise)).astype(np.uint8)


class Slow(Noise):
    """As if each picture took 2 ms."""

    def __call__(self, images_NHWC: Any, **key: Any) -> Any:
        time.sleep(0.002 * len(images_NHWC))
        return super().__call__(images_NHWC, **key)


def state_of(process: int) -> str:
    """Linux's letter for it; "Z" waits for its parent, "" is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def come_true(is_so: Callable[[], bool], within_s: float = 20.0) -> bool:
    end = time.monotonic() + within_s
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)
    return is_so()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some batches to a request, so that there are requests for every worker."""
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", 4 * 256 * 20)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [1, 2, pytest.param(3, marks=pytest.mark.heavy)])
def test_batches_are_the_same_for_any_number_of_workers(num_workers: int, small_chunks: None) -> None:
    store = make_store()
    expected = {epoch: one_epoch(opened(store, Noise()), epoch) for epoch in (1, 2, 3)}
    split = opened(store, Noise(), num_workers)
    for epoch in (3, 1, 2, 1):  # in any order, as after a resume
        assert same(one_epoch(split, epoch), expected[epoch])
    assert not same(expected[1], expected[2]) and f"by {num_workers} worker process" in split.how


def test_workers_augment_by_a_real_policy_as_this_process_does(small_chunks: None) -> None:
    from visiontune.augmentation.policy import build_policy

    store = make_store(channels=3, size=16)
    expected = one_epoch(opened(store, build_policy(AUGMENTED, image_size=16, channels=3)), 2)
    split = opened(store, build_policy(AUGMENTED, image_size=16, channels=3), 2)
    assert same(one_epoch(split, 2), expected) and same(one_epoch(split, 2, batch_size=9)[:1], [joined(expected, 9)])


def joined(batches: list[tuple[Tensor, Tensor]], num: int) -> tuple[Tensor, Tensor]:
    x_NCHW, y_N = (torch.cat(parts)[:num] for parts in zip(*batches, strict=True))
    return x_NCHW, y_N


def test_an_epoch_given_up_half_way_leaves_the_next_one_whole(small_chunks: None) -> None:
    split, expected = opened(make_store(), Noise(), 2), one_epoch(opened(make_store(), Noise()), 2)
    order_N = shuffled(len(split), 1, 1)
    first = split.batches(order_N, batch_bounds(len(order_N), 8), 1)
    for _ in range(4):
        next(first)
    assert same(one_epoch(split, 2), expected)  # while the first one is still open
    first.close()  # type: ignore[attr-defined]
    assert same(one_epoch(split, 2), expected)


def test_two_epochs_at_once_do_not_mix(small_chunks: None) -> None:
    expected = [one_epoch(opened(make_store(), Noise()), epoch) for epoch in (1, 2)]
    split = opened(make_store(), Noise(), 2)
    order_N = [shuffled(len(split) + 6, 1, epoch) % len(split) for epoch in (1, 2)]
    both = zip(*(split.batches(order_N[k], batch_bounds(len(order_N[k]), 8), k + 1) for k in (0, 1)), strict=True)
    got = list(zip(*both, strict=True))
    assert same(list(got[0]), expected[0]) and same(list(got[1]), expected[1])


@pytest.mark.parametrize("num_before", [1, pytest.param(2, marks=pytest.mark.heavy)])
def test_training_with_workers_is_training_without(num_before: int, small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with dropout, whose stream is torch's own, and resumed."""
    store = make_store()
    recipe = make_recipe(model_section("lenet5", dropout=0.5), "sgd", augmentation=AUGMENTED, num_epochs=3)

    def weights(resume: Any = None) -> Iterator[tuple[dict[str, Tensor], Any]]:
        for epoch in train(recipe, store, resume=resume):
            yield {name: tensor.clone() for name, tensor in epoch.model.state_dict().items()}, pickle.loads(pickle.dumps(epoch.state()))

    expected = list(weights())
    monkeypatch.setattr(loader.Loader, "__init__", told(loader.Loader.__init__, 2))
    got = [found for found, _ in weights()]
    resumed = [found for found, _ in weights(expected[num_before - 1][1])]
    assert all(equal_weights(a, b) for a, (b, _) in zip(got, expected, strict=True))
    assert all(equal_weights(a, b) for a, (b, _) in zip(resumed, expected[num_before:], strict=True))


def told(original: Any, num_workers: int) -> Any:
    def init(self: Loader, maker: Maker, device: torch.device, _: int | None = None) -> None:
        original(self, maker, device, num_workers)

    return init


def equal_weights(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_workers_leave_torchs_generator_alone(small_chunks: None) -> None:
    split = opened(make_store(), Noise(), 2)
    before = torch.get_rng_state()
    one_epoch(split, 1)
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_are_the_same_ones_in_every_epoch_and_end_with_their_user(small_chunks: None) -> None:
    split = opened(make_store(), Noise(), 2)
    one_epoch(split, 1)
    before = {process.pid for process in multiprocessing.active_children()}
    one_epoch(split, 2)
    assert len(before) >= 2 and {process.pid for process in multiprocessing.active_children()} == before
    del split
    assert not before & {process.pid for process in multiprocessing.active_children()}


class Endless(Noise):
    """Where torch's own workers would go on: they look for their parent between two requests."""

    def __call__(self, images_NHWC: Any, **key: Any) -> Any:
        time.sleep(60)
        return images_NHWC


def work_for_ever(told: Any) -> None:
    store = make_store()
    request = (store.train_idx, store.train_idx, 1)
    made = Workers(Maker(store, Endless(), 0), 2)([request] * 4)  # type: ignore[arg-type]
    told.send([process.pid for process in multiprocessing.active_children()])
    next(made)


def test_no_worker_outlives_a_parent_that_was_killed() -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    parent = context.Process(target=work_for_ever, args=(there,))
    parent.start()
    try:
        assert here.poll(60)
        found = here.recv()
        assert len(found) == 2 and all(state_of(worker) not in ("", "Z") for worker in found)
    finally:
        assert parent.pid is not None
        os.kill(parent.pid, signal.SIGKILL)
        parent.join()
    assert come_true(lambda: all(state_of(worker) in ("", "Z") for worker in found))


def test_a_worker_that_dies_is_an_error_and_no_hang(small_chunks: None) -> None:
    class Deadly(Noise):
        def __call__(self, images_NHWC: Any, **key: Any) -> Any:
            if multiprocessing.current_process().daemon:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(images_NHWC, **key)

    with pytest.raises(RuntimeError, match="worker"):
        one_epoch(opened(make_store(), Deadly(), 1), 1)


def test_what_a_worker_raises_is_raised_here(small_chunks: None) -> None:
    class Broken(Noise):
        def __call__(self, images_NHWC: Any, **key: Any) -> Any:
            if multiprocessing.current_process().daemon:
                raise ValueError("no such colour")
            return super().__call__(images_NHWC, **key)

    split = opened(make_store(), Broken(), 1)
    with pytest.raises(ValueError, match="no such colour"):
        one_epoch(split, 1)
    assert not multiprocessing.active_children()


def test_a_started_worker_gets_a_path_and_no_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made.arrow"
    path.touch()
    store = replace(make_store(), path=path)
    monkeypatch.setattr(Store, "open", {path: store}.__getitem__)
    maker = Maker(store, Noise(), 5)  # type: ignore[arg-type]
    content = pickle.dumps(maker)
    request = (store.train_idx[:9], store.train_idx[:9] + 7, 4)
    assert len(content) < 2000 < store.images_NHWC.nbytes and torch.equal(pickle.loads(content)[request], maker[request])


@pytest.mark.heavy
def test_the_first_pictures_times_decide_and_that_is_said(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(loader, "SMALL_EPOCH_S", 0.05)
    store = make_store(num=300)
    expected = one_epoch(opened(store, Noise()), 1)
    split = opened(store, Slow(), None)
    assert "until it is known" in split.how
    assert same(one_epoch(split, 1), expected) and "by 1 worker process:" in split.how and "of the time" in split.how
    assert same(one_epoch(split, 1), expected)


@pytest.mark.heavy
def test_workers_that_turn_out_slower_are_given_up(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowElsewhere(Slow):
        def __call__(self, images_NHWC: Any, **key: Any) -> Any:
            time.sleep(0.15 * multiprocessing.current_process().daemon)
            return super().__call__(images_NHWC, **key)

    monkeypatch.setattr(loader.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(loader, "SMALL_EPOCH_S", 0.05)
    store = make_store(num=300)
    split = opened(store, SlowElsewhere(), None)
    assert same(one_epoch(split, 1), one_epoch(opened(store, Noise()), 1))
    assert "this process" in split.how and "no faster" in split.how
    assert not multiprocessing.active_children()


def test_no_process_to_be_had_is_no_end_of_training(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(loader.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(loader, "SMALL_EPOCH_S", 0.05)
    monkeypatch.setattr(loader.Workers, "__call__", refuse)
    store = make_store(num=300)
    split = opened(store, Slow(), None)
    assert same(one_epoch(split, 1), one_epoch(opened(store, Noise()), 1)) and "Resource temporarily unavailable" in split.how
    with pytest.raises(OSError, match="temporarily"):
        one_epoch(opened(store, Noise(), 1), 1)


SLOW = Measured(make_s=0.3, between_s=0.1, num_requests=100, request_bytes=8 << 20)


@pytest.mark.parametrize(
    ("measured", "num_cores", "shared_bytes", "expected", "why"),
    [
        (SLOW, 8, np.inf, 4, "75%"),  # 3 are busy all the time, one more for what varies
        (SLOW, 3, np.inf, 2, "75%"),
        (SLOW, 1, np.inf, 0, "one core"),
        (SLOW, 8, 2 * 24 * 2**20, 1, "75%"),
        (SLOW, 8, 24 * 2**20, 0, "24 MiB of shared memory"),
        (replace(SLOW, make_s=0.005), 8, np.inf, 0, "4.8% of the time"),
        (replace(SLOW, num_requests=3), 8, np.inf, 0, "0.90 s"),
        (replace(SLOW, between_s=0.0), 8, np.inf, 7, "100%"),
    ],
)
def test_workers_are_chosen_where_they_pay(measured: Measured, num_cores: int, shared_bytes: float, expected: int, why: str) -> None:
    num_workers, said = choose(measured, num_cores, shared_bytes)
    assert num_workers == expected and why in said


def test_small_sets_never_start_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader.torch, "get_num_threads", lambda: 2)
    split = opened(make_store(), Noise(), None)
    for epoch in range(1, 8):
        one_epoch(split, epoch)
    assert "an epoch's are made in 0.0" in split.how and not multiprocessing.active_children()
    assert opened(make_store(), None, 2).how == "all 54 pictures stay on cpu"


def test_the_time_waited_is_that_of_making_pictures(small_chunks: None) -> None:
    split = opened(make_store(), Slow())
    order_N = np.arange(len(split))
    started = time.perf_counter()
    for _ in split.batches(order_N, batch_bounds(len(order_N), 8)):
        time.sleep(0.02)
    took_s = time.perf_counter() - started
    assert 0.002 * len(split) <= split.waited_s <= took_s - 0.02 * (len(split) // 8)


def test_a_frozen_body_is_no_waiting() -> None:
    from visiontune.models.frozen_body import Body

    class Sleep(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.3)
            return x

    store = make_store()
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    split = open_pictures(store, store.train_idx, CPU, preprocessing=preprocessing, policy=Noise(), body=Body([Sleep()]))  # type: ignore[arg-type]
    one_epoch(split, 1)
    assert 0 < split.waited_s < 0.3


@pytest.mark.parametrize("num", [1, 2, 7, 12, 64])
@pytest.mark.parametrize("num_ranks", [1, 2, 3, 5, 16])
def test_ranks_share_each_batch_as_torchs_sampler_does(num: int, num_ranks: int) -> None:
    position_N = np.arange(100, 100 + num)
    for rank in range(num_ranks):
        sampler: Any = DistributedSampler(range(num), num_ranks, rank, shuffle=False)  # type: ignore[arg-type]
        sampled = [100 + place for step, place in enumerate(sampler) if step * num_ranks + rank < num]  # without those that fill up
        share_N, bounds = share_of_rank([0, 100, 100 + num], rank, num_ranks)
        assert share_N[bounds[1] : bounds[2]].tolist() == (sampled or position_N[:1].tolist())
        assert share_of_rank([0], rank, num_ranks)[1] == [0]  # no batch


def test_encoded_pictures_are_decoded_by_workers_as_by_this_process(small_chunks: None) -> None:
    raw = make_store(channels=3)
    contents = [cv2.imencode(".png", image_HWC[..., ::-1])[1].ravel() for image_HWC in raw.images_NHWC]
    offset_N = np.cumsum([0, *map(len, contents)])
    large = Large(raw.path, Form("encoded", (16, 16), (16, 16), 3, False), data=np.concatenate(contents), offset_N=offset_N)
    encoded = replace(raw, images_NHWC=cast(Any, Images(large)), large=large)
    expected = one_epoch(opened(raw, Noise()), 1)
    assert encoded.kind == "encoded" and same(one_epoch(opened(encoded, Noise(), 2), 1), expected)
    assert same(one_epoch(opened(encoded, None), 1), one_epoch(opened(raw, None), 1))


@pytest.mark.heavy
def test_started_processes_give_the_same_as_forked_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no fork; imports torch anew."""
    from visiontune.augmentation.policy import build_policy
    from visiontune.data.prepare import prepare

    monkeypatch.setattr(loader_workers, "START", "spawn")
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", 4 * 64 * 200)
    store = Store.open(prepare({"source": "digits"}, tmp_path))
    expected, got = (one_epoch(opened(store, build_policy(AUGMENTED, image_size=8, channels=1), num), 1, 100) for num in (0, 1))
    assert same(got, expected)
