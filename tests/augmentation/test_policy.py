"""Policies: keyed by (seed, epoch, index) and nothing else; honest probabilities; refusals."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import albumentations as alb
import numpy as np
import pytest
from scipy import stats

from visiontune.augmentation.keyed_random import Stream
from visiontune.augmentation.policy import Policy, build_policy, problem_of
from visiontune.errors import UserError
from visiontune.spec.tables.ops import OPS

PICTURES = np.random.default_rng(1).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
INDEX = np.random.default_rng(2).permutation(1000)[:40]


def everything(probability: float = 0.5) -> dict[str, Any]:
    """Some of every kind: batched and not, with numbers from numpy's and from Python's generator, with and without magnitude."""
    names = ("HorizontalFlip", "Affine", "RandomResizedCrop", "HueSaturationValue", "CoarseDropout", "Equalize", "Sharpen", "GaussNoise")
    magnitude = {name: {"magnitude": 0.7} if "magnitude" in OPS.entries[name].args else {} for name in names}
    return {"policy": "fixed", **{name: {"probability": probability, **magnitude[name]} for name in names}}


def policy_of(augmentation: dict[str, Any]) -> Policy:
    policy = build_policy(augmentation, image_size=16, channels=3)
    assert policy is not None
    return policy


def test_same_for_any_batch_order_and_instance() -> None:
    whole = policy_of(everything())(PICTURES, seed=5, epoch=2, index_N=INDEX)
    other = policy_of(everything())
    other(PICTURES[:7], seed=1, epoch=9, index_N=INDEX[:7])
    order = np.random.default_rng(3).permutation(len(INDEX))
    for rows in np.array_split(order, 5):
        np.testing.assert_array_equal(other(PICTURES[rows], seed=5, epoch=2, index_N=INDEX[rows]), whole[rows])


def test_streams_are_the_same_in_another_process() -> None:
    """What a picture gets follows from its stream (test_ops.py); albumentations' import is spared here."""
    code = (
        "import sys\n"
        f"sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
        "import numpy as np\n"
        "from visiontune.augmentation.keyed_random import Stream\n"
        "stream = Stream()\n"
        "stream.rekey(5, 2, 'Affine')\n"
        "index = np.arange(50)\n"
        "sys.stdout.buffer.write(stream.hashed_uniforms(index).tobytes() + stream.uniforms(index, 3).tobytes())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": "77"})
    stream = Stream()
    stream.rekey(5, 2, "Affine")
    assert done.stdout == stream.hashed_uniforms(np.arange(50)).tobytes() + stream.uniforms(np.arange(50), 3).tobytes()


def test_seed_epoch_and_index_each_change_what_a_picture_gets() -> None:
    policy = policy_of({"policy": "fixed", "GaussNoise": {"probability": 1.0, "magnitude": 1.0}})
    same = np.repeat(PICTURES[:1], 40, axis=0)
    base = policy(same, seed=0, epoch=0, index_N=INDEX)
    assert len({picture.tobytes() for picture in base}) == 40
    for seed, epoch in ((1, 0), (0, 1)):
        changed = policy(same, seed=seed, epoch=epoch, index_N=INDEX)
        assert not any(np.array_equal(a, b) for a, b in zip(base, changed, strict=True))


def test_input_is_left_alone_and_may_be_read_only() -> None:
    pictures = PICTURES.copy()
    pictures.flags.writeable = False
    out = policy_of(everything(1.0))(pictures, seed=0, epoch=0, index_N=INDEX)
    np.testing.assert_array_equal(pictures, PICTURES)
    assert out.shape == pictures.shape and out.dtype == np.uint8 and out.flags.writeable


def test_ops_run_in_the_order_of_the_file() -> None:
    flip, hole = {"probability": 1.0}, {"probability": 1.0, "magnitude": 1.0}
    first = policy_of({"policy": "fixed", "CoarseDropout": hole, "HorizontalFlip": flip})
    second = policy_of({"policy": "fixed", "HorizontalFlip": flip, "CoarseDropout": hole})
    white = np.full_like(PICTURES, 255)
    a = first(white, seed=0, epoch=0, index_N=INDEX)
    b = second(white, seed=0, epoch=0, index_N=INDEX)
    # The hole is drawn alike; only the flip after it moves it.
    np.testing.assert_array_equal(a, b[:, :, ::-1])
    assert not np.array_equal(a, b)


def test_equals_compose_seeded_for_each_picture() -> None:
    """One op that always applies, in Compose with the same generators, as anyone would write it with albumentations."""
    policy = policy_of({"policy": "fixed", "RandomResizedCrop": {"probability": 1.0, "magnitude": 1.0}})
    ours = policy(PICTURES, seed=4, epoch=7, index_N=INDEX)
    compose = alb.Compose([alb.RandomResizedCrop(size=(16, 16), scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), p=1.0)])
    stream = Stream()
    stream.rekey(4, 7, "RandomResizedCrop")
    compose.set_random_state(stream.generator, stream.py_random)
    for row, index in enumerate(INDEX):
        stream.seek(int(index))
        # force_apply: else Compose throws a coin of its own first.
        np.testing.assert_array_equal(ours[row], compose(force_apply=True, image=PICTURES[row])["image"])


def test_hashed_numbers_are_uniform_and_independent_over_indices_and_keys() -> None:
    stream = Stream()
    stream.rekey(0, 0, "Affine")
    u = stream.hashed_uniforms(np.arange(20_000))
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.03
    stream.rekey(0, 1, "Affine")
    assert abs(np.corrcoef(u, stream.hashed_uniforms(np.arange(20_000)))[0, 1]) < 0.03
    assert u.min() >= 0 and u.max() < 1


def test_streams_of_neighbouring_indices_are_uniform_and_uncorrelated() -> None:
    stream = Stream()
    stream.rekey(0, 0, "Affine")
    u = stream.uniforms(np.arange(5000), 4)
    assert stats.kstest(u.ravel(), "uniform").pvalue > 1e-3
    assert np.abs(np.corrcoef(np.hstack([u[:-1], u[1:]]).T) - np.eye(8)).max() < 0.06


def test_python_random_draws_from_the_same_stream_and_is_uniform() -> None:
    stream = Stream()
    stream.rekey(0, 0, "x")
    stream.seek(3)
    expected = stream.generator.random(2).tolist()
    stream.seek(3)
    assert [stream.py_random.random(), stream.py_random.random()] == expected
    counts = np.bincount([stream.py_random.randint(0, 5) for _ in range(6000)], minlength=6)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_probability_is_the_share_of_pictures_that_change(probability: float) -> None:
    policy = policy_of({"policy": "fixed", "HorizontalFlip": {"probability": probability}})
    ramp = np.broadcast_to(np.arange(8, dtype=np.uint8)[:, np.newaxis], (4000, 8, 8, 1))
    out = policy(ramp, seed=0, epoch=0, index_N=np.arange(4000))
    flipped = (out != ramp).any(axis=(1, 2, 3)).sum()
    low, high = stats.binom.interval(0.9999, 4000, probability)
    assert low <= flipped <= high


def test_what_changes_nothing_is_no_policy() -> None:
    assert build_policy({"policy": "none"}, image_size=8, channels=1) is None
    for args in ({"probability": 0.0, "magnitude": 1.0}, {"probability": 1.0, "magnitude": 0.0}):
        assert build_policy({"policy": "fixed", "Affine": args}, image_size=8, channels=1) is None


def test_colour_ops_are_refused_on_grey_pictures() -> None:
    colour = {"policy": "fixed", "HueSaturationValue": {"probability": 0.5, "magnitude": 0.5}}
    assert problem_of(colour, 3) is None
    assert problem_of({"policy": "none"}, 1) is None
    sentence = problem_of(colour, 1)
    assert sentence is not None and "HueSaturationValue" in sentence and "3 channels" in sentence
    with pytest.raises(UserError, match="HueSaturationValue"):
        build_policy(colour, image_size=8, channels=1)


def test_fixed_without_ops_is_refused() -> None:
    assert "at least one op" in str(problem_of({"policy": "fixed"}, 3))


def test_no_albumentations_without_ops() -> None:
    code = (
        "import sys\n"
        f"sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
        "from visiontune.augmentation.policy import build_policy, problem_of\n"
        "assert build_policy({'policy': 'none'}, image_size=8, channels=1) is None\n"
        "problem_of({'policy': 'fixed', 'Affine': {'probability': 1.0, 'magnitude': 1.0}}, 1)\n"
        "assert not {'albumentations', 'torch', 'cv2', 'scipy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
