"""Mixing against torchvision's own transforms, and the labels' mass against the pictures'."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tiny import make_recipe, make_store, model_section, section
from torch import Tensor
from torch.nn import functional as F

from visiontune.augmentation.mixing import (
    Mixed,
    blanked,
    blended,
    build_mixing,
    cut_box,
    erased_boxes,
    pasted,
    problem_of_mixing,
    split_targets,
)
from visiontune.errors import UserError
from visiontune.training.loop import train
from visiontune.training.loss import build_loss
from visiontune.training.setup import set_up
from visiontune.training.weights_file import save_weights

NUM, SIDE, CLASSES = 12, 16, 4
KINDS: dict[str, dict[str, Any]] = {
    "mixup": {"mixup_alpha": 1.0},
    "cutmix": {"cutmix_alpha": 1.0},
    "alternate": {},
    "random_erasing": {"erasing_probability": 0.7},
}


def augmentation(mixing: str, **args: Any) -> dict[str, Any]:
    return section("augmentation", {"mixing": mixing, **args})


def batch(num: int = NUM, channels: int = 3, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """In channels_last memory, as pictures come."""
    generator = torch.Generator().manual_seed(0)
    x_NHWC = torch.randn(num, side, side, channels, generator=generator)
    return x_NHWC.permute(0, 3, 1, 2), torch.randint(CLASSES, (num,), generator=generator)


def rolled(num: int = NUM) -> Tensor:
    """Partners as torchvision takes them."""
    return torch.arange(num).roll(1)


def test_mixup_is_torchvisions() -> None:
    from torchvision.transforms import v2

    x_NCHW, y_N = batch()
    for share in (0.0, 0.25, 0.9, 1.0):
        theirs = v2.MixUp(num_classes=CLASSES)
        theirs.make_params = lambda _, share=share: {"lam": share}  # type: ignore[method-assign, misc]
        x, y_NK = theirs(x_NCHW, y_N)
        torch.testing.assert_close(blended(x_NCHW, rolled(), share), x)
        torch.testing.assert_close(share_NK(Mixed(y_N, y_N[rolled()], share)), y_NK)


def test_cutmix_is_torchvisions() -> None:
    """Boxes of torchvision's own drawing, and its labels."""
    from torchvision.transforms import v2

    x_NCHW, y_N = batch()
    torch.manual_seed(3)
    for _ in range(20):
        theirs, drawn = v2.CutMix(num_classes=CLASSES), {}
        drawn.update(theirs.make_params([x_NCHW]))
        theirs.make_params = lambda _, drawn=drawn: drawn  # type: ignore[method-assign, misc]
        x, y_NK = theirs(x_NCHW, y_N)
        left, top, right, bottom = drawn["box"]
        assert torch.equal(pasted(x_NCHW, rolled(), (top, left, bottom, right)), x)
        torch.testing.assert_close(share_NK(Mixed(y_N, y_N[rolled()], drawn["lam_adjusted"])), y_NK)


def share_NK(targets: Mixed) -> Tensor:
    """As one vector of class shares for each picture."""
    return targets.share * F.one_hot(targets.y_N, CLASSES) + (1 - targets.share) * F.one_hot(targets.other_N, CLASSES)


def test_boxes_are_drawn_as_torchvision_draws_them() -> None:
    """Areas of both over 2,000 draws, by the test of Kolmogorov and Smirnov."""
    from torchvision.transforms import v2

    torch.manual_seed(0)
    theirs, picture = v2.CutMix(num_classes=CLASSES), torch.zeros(2, 1, 20, 28)
    expected = [1 - theirs.make_params([picture])["lam_adjusted"] for _ in range(2000)]
    generator = np.random.default_rng(1)
    boxes = [cut_box(generator.beta(1, 1), 20, 28, generator) for _ in range(2000)]
    areas = [(bottom - top) * (right - left) / 560 for top, left, bottom, right in boxes]
    assert stats.ks_2samp(expected, areas).pvalue > 1e-3
    assert all(0 <= top <= bottom <= 20 and 0 <= left <= right <= 28 for top, left, bottom, right in boxes)


def test_erased_boxes_are_drawn_as_torchvision_draws_them_and_blank_the_same_pixels() -> None:
    from torchvision.transforms import v2
    from torchvision.transforms.v2 import functional

    torch.manual_seed(0)
    theirs, picture = v2.RandomErasing(), torch.zeros(1, 20, 28)
    drawn = [theirs.make_params([picture]) for _ in range(2000)]
    box_N4 = erased_boxes(2000, 20, 28, np.random.default_rng(1))
    heights, widths = box_N4[:, 2] - box_N4[:, 0], box_N4[:, 3] - box_N4[:, 1]
    for ours, key in ((heights, "h"), (widths, "w"), (box_N4[:, 0], "i"), (box_N4[:, 1], "j")):
        assert stats.ks_2samp(ours, [one[key] for one in drawn]).pvalue > 1e-3, key

    x_NCHW, _ = batch(200, side=20)
    box = torch.from_numpy(erased_boxes(200, 20, 20, np.random.default_rng(2)))
    blank = blanked(x_NCHW, box)
    for x, out, (top, left, bottom, right) in zip(x_NCHW, blank, box.tolist(), strict=True):
        assert torch.equal(out, functional.erase(x, top, left, bottom - top, right - left, torch.zeros(1, 1, 1)))


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "alternate"])
def test_boxes_are_erased_before_pictures_are_mixed_and_none_by_default(kind: str) -> None:
    """Of pictures of ones, each batch has lost its boxes' area whatever is mixed; without erasing nothing else is drawn."""
    x_NCHW, y_N = torch.ones(64, 1, 20, 20), torch.zeros(64, dtype=torch.int64)
    erasing = build_mixing(augmentation("random_erasing", erasing_probability=0.5), seed=0)
    both = build_mixing(augmentation(kind, erasing_probability=0.5), seed=0)
    lost = [[(1 - one(x_NCHW, y_N, step)[0]).mean().item() for step in range(60)] for one in (erasing, both)]
    assert np.mean(lost[1]) == pytest.approx(np.mean(lost[0]), rel=0.05) and np.mean(lost[0]) > 0.05
    assert torch.equal(build_mixing(augmentation(kind), seed=0)(x_NCHW, y_N, 3)[0], x_NCHW)
    assert "erasing_probability 0.5" in str(
        problem_of_mixing(augmentation("mixup", erasing_probability=0.5), batch_size=8, use_features=True)
    )


@pytest.mark.parametrize("kind", ["mixup", "cutmix", "alternate"])
def test_labels_hold_the_same_share_of_each_picture_as_the_pixels(kind: str) -> None:
    """Each picture is of one colour of its own: its mean says how much of whom is in it."""
    y_N = torch.arange(NUM)
    x_NCHW = y_N.float()[:, None, None, None].expand(-1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    mix, shares = build_mixing(augmentation(kind, **KINDS[kind]), seed=0), []
    for step in range(30):
        x, targets = mix(x_NCHW, y_N, step)
        assert isinstance(targets, Mixed) and torch.equal(targets.y_N, y_N)
        assert torch.equal(targets.other_N.sort().values, y_N) and not (targets.other_N == y_N).any()
        expected = targets.share * y_N + (1 - targets.share) * targets.other_N
        torch.testing.assert_close(x.mean((1, 2, 3)), expected.float(), rtol=1e-4, atol=1e-4)
        assert x.is_contiguous(memory_format=torch.channels_last)
        shares.append(targets.share)
    assert len(set(shares)) > 20


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixups_share_is_betas(alpha: float) -> None:
    mix = build_mixing(augmentation("mixup", mixup_alpha=alpha), seed=0)
    x_NC, y_N = torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64)
    shares = [mix(x_NC, y_N, step)[1].share for step in range(1500)]  # type: ignore[union-attr]
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("kind", "args", "expected"), [("mixup", {}, 0.3), ("cutmix", {}, 0.3), ("alternate", {"cutmix_share": 0.0}, 0.3)])
def test_mixing_probability_is_the_share_of_mixed_batches(kind: str, args: dict[str, Any], expected: float) -> None:
    mix = build_mixing(augmentation(kind, mixing_probability=expected, **args), seed=0)
    x_NCHW, y_N = batch(4, 1, 4)
    num = sum(isinstance(mix(x_NCHW, y_N, step)[1], Mixed) for step in range(1000))
    low, high = stats.binom.interval(0.9999, 1000, expected)
    assert low <= num <= high


def test_alternate_is_cutmix_in_its_share_of_batches() -> None:
    mix = build_mixing(augmentation("alternate", mixup_alpha=10.0, cutmix_share=0.25), seed=0)
    x_NCHW, y_N = batch(4, 1, 16)
    num = sum((mix(x_NCHW, y_N, step)[0] == x_NCHW).any().item() for step in range(1000))  # pixels outside a box are whole
    low, high = stats.binom.interval(0.9999, 1000, 0.25)
    assert low <= num <= high


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_batch_gets_is_keyed_by_seed_and_step_and_leaves_the_input_alone(kind: str) -> None:
    (x_NCHW, y_N), (before, _) = batch(), batch()
    made = augmentation(kind, **KINDS[kind])
    base = build_mixing(made, seed=5)(x_NCHW, y_N, 7)[0]
    assert torch.equal(x_NCHW, before) and base.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(build_mixing(made, seed=5)(x_NCHW, y_N, 7)[0], base)
    for seed, step in ((5, 8), (6, 7)):
        assert not torch.equal(build_mixing(made, seed=seed)(x_NCHW, y_N, step)[0], base)


def test_parts_hold_what_the_whole_holds() -> None:
    y_N, other_N = torch.arange(7), torch.arange(7).flip(0)
    parts = split_targets(Mixed(y_N, other_N, 0.3), 3)
    assert [len(part.y_N) for part in parts] == [3, 2, 2]  # type: ignore[union-attr]
    assert torch.equal(torch.cat([part.other_N for part in parts]), other_N)  # type: ignore[union-attr]
    assert torch.equal(torch.cat(split_targets(y_N, 3)), y_N)  # type: ignore[arg-type]


LABELS = np.array([0] * 60 + [1] * 30 + [2] * 10)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "inverse_frequency"])
def test_loss_on_mixed_labels_is_torchs_on_shares_of_classes(smoothing: float, weights: str) -> None:
    """torch's cross-entropy takes shares; it weighs them by class and divides by the number of pictures, as ours does."""
    generator = torch.Generator().manual_seed(0)
    logits_NK, aux_NK = torch.randn(2, 20, 3, generator=generator)
    y_N, other_N = torch.randint(3, (2, 20), generator=generator)
    loss = {"name": "cross_entropy", "label_smoothing": smoothing}
    made = build_loss(loss, {"name": "none", "class_weights": weights}, LABELS, 3, 0.3)
    minimised, plain = made((logits_NK, aux_NK), Mixed(y_N, other_N, 0.7))
    share = 0.7 * F.one_hot(y_N, 3).float() + 0.3 * F.one_hot(other_N, 3).float()
    weight_K = torch.tensor([100 / (3 * n) for n in (60, 30, 10)]) if weights != "none" else None
    if weight_K is None:
        theirs = [F.cross_entropy(one, share, label_smoothing=smoothing) for one in (logits_NK, aux_NK)]
        torch.testing.assert_close(minimised, theirs[0] + 0.3 * theirs[1])
    elif not smoothing:  # torch spreads a class's weight over the smoothed classes, we weigh by the picture's own
        theirs = [F.cross_entropy(one, share, weight=weight_K) for one in (logits_NK, aux_NK)]
        torch.testing.assert_close(minimised, theirs[0] + 0.3 * theirs[1])
    torch.testing.assert_close(plain, F.cross_entropy(logits_NK, share))
    ends = [made((logits_NK, aux_NK), Mixed(y_N, other_N, end))[0] for end in (1.0, 0.0)]
    torch.testing.assert_close(minimised, 0.7 * ends[0] + 0.3 * ends[1])


def test_focal_loss_of_mixed_labels_is_the_mean_of_both() -> None:
    logits_NK = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    y_N, other_N = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([1, 2, 0, 2, 0, 1])
    made = build_loss({"name": "focal", "label_smoothing": 0.1, "focal_gamma": 2.0}, {"name": "none", "class_weights": "none"}, LABELS, 3)
    log_p = logits_NK.double().log_softmax(1)
    focal = -((1 - log_p.exp()) ** 2) * log_p
    share = 0.25 * F.one_hot(y_N, 3) + 0.75 * F.one_hot(other_N, 3)
    expected = ((0.9 * share + 0.1 / 3) * focal).sum(1).mean()
    assert made(logits_NK, Mixed(y_N, other_N, 0.25))[0].item() == pytest.approx(expected.item(), rel=1e-5)


def figures(**given: Any) -> list[float]:
    recipe = make_recipe(num_epochs=2, **given)
    return [epoch.metrics[key] for epoch in train(recipe, make_store()) for key in ("train_loss", "val_loss")]


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_are_made_before_the_batch_is_split(kind: str) -> None:
    made = augmentation(kind, **KINDS[kind])
    whole = figures(augmentation=made)
    assert figures(augmentation=made, micro_batch=5) == pytest.approx(whole, rel=1e-5)
    assert figures() != pytest.approx(whole, rel=1e-3)


def test_a_batch_of_one_has_no_partner() -> None:
    for kind in ("mixup", "cutmix", "alternate"):
        assert "two pictures" in str(problem_of_mixing(augmentation(kind), batch_size=1, use_features=False))
    assert problem_of_mixing(augmentation("random_erasing"), batch_size=1, use_features=False) is None
    with pytest.raises(UserError, match="two pictures"):
        set_up(make_recipe(augmentation=augmentation("mixup"), batch_size=1), make_store(), torch.device("cpu"))


def test_on_features_of_frozen_stages_mixup_works_and_boxes_are_refused(tmp_path: Any) -> None:
    from visiontune.models.build import build_model

    path = tmp_path / "weights.safetensors"
    save_weights(build_model(model_section(), num_classes=3, in_channels=1, image_size=16, seed=3), path)
    sections = {"transfer": {"regime": "linear", "weights": str(path)}}
    mixed, plain = figures(augmentation=augmentation("mixup"), sections=sections), figures(sections=sections)
    assert all(map(math.isfinite, mixed)) and mixed != plain
    for kind in ("cutmix", "alternate", "random_erasing"):
        with pytest.raises(UserError, match="mixup works on features"):
            set_up(make_recipe(augmentation=augmentation(kind), sections=sections), make_store(), torch.device("cpu"))


STUDY = """
study: a
data: {source: digits}
budget: {num_trials: 4, max_epochs: 9}
space:
  model: {name: lenet5}
  optimizer: {name: adam, lr: 0.001}
  schedule: {name: constant}
"""


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("augmentation: {mixing: {choice: [none, cutmix]}}\n  training: {batch_size: {choice: [1, 8]}}", "cutmix needs two pictures"),
        (
            "augmentation: {mixing: random_erasing}\n  preprocessing: {name: standardize}\n  transfer: {regime: linear, weights: FILE}",
            "random_erasing cuts boxes",
        ),
    ],
)
def test_before_any_trial_a_space_is_told_what_can_not_be_mixed(lines: str, words: str, tmp_path: Any) -> None:
    from visiontune.models.build import build_model
    from visiontune.spec.parse import load_study
    from visiontune.tuning.preflight.preflight import preflight

    weights, file = tmp_path / "weights.safetensors", tmp_path / "study.yaml"
    save_weights(build_model(model_section(), num_classes=10, in_channels=1, image_size=8, seed=3), weights)
    file.write_text(f"{STUDY}  {lines.replace('FILE', str(weights))}\n")
    with pytest.raises(UserError, match=words) as caught:
        preflight(load_study(file))
    assert [problem.where for problem in caught.value.problems] == ["space.augmentation.mixing"]


def test_a_policy_on_a_ramp_and_mixing_resume_to_the_same_bit() -> None:
    import copy

    policy = {"policy": "randaugment", "magnitude": 0.1, "final_magnitude": 0.9, "mixing": "alternate"}
    recipe, store, states = make_recipe(augmentation=policy, num_epochs=3), make_store(), []
    for epoch in train(recipe, store):
        states.append(copy.deepcopy(epoch.state()))
    *_, last = train(recipe, store, resume=states[0])
    for name, tensor in last.model.state_dict().items():
        assert torch.equal(tensor, states[-1]["model"][name]), name
