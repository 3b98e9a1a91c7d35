"""Views against torchvision's TenCrop, their mean against probabilities reckoned one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torchvision.transforms import v2

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.models.build import build_model
from visiontune.results.search_summary import confirmation_lines
from visiontune.spec.parse import load_recipe, load_study
from visiontune.training.test_time import VIEWS, over_views
from visiontune.training.train_recipe import fit_recipe
from visiontune.tuning.legs.run_leg import run_leg
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.records.records import Confirmation


@pytest.mark.parametrize(("size", "padding"), [((32, 32), [4, 4]), ((24, 40), [5, 3])])
def test_ten_crops_are_torchvisions_of_the_padded_picture(size: tuple[int, int], padding: list[int]) -> None:
    x_NCHW = torch.rand(2, 3, *size)
    theirs = v2.TenCrop(size)(v2.Pad(padding, padding_mode="reflect")(x_NCHW))
    ours = list(VIEWS["ten_crops"](x_NCHW))
    assert len(ours) == 10 and all(any(torch.equal(one, other) for other in ours) for one in theirs)
    assert torch.equal(ours[0], x_NCHW)
    assert [torch.equal(one, v2.functional.horizontal_flip(other)) for one, other in zip(ours[::2], ours[1::2], strict=True)] == [True] * 5


@pytest.mark.parametrize("views", VIEWS)
def test_scores_are_those_of_the_mean_probability(views: str) -> None:
    network = build_model(model_section("lenet5"), num_classes=3, in_channels=1, image_size=16, seed=0).eval()
    x_NCHW = torch.randn(5, 1, 16, 16)
    with torch.inference_mode():
        found = over_views(network, VIEWS[views])(x_NCHW).softmax(1)
        one_by_one = [network(view).softmax(1) for view in VIEWS[views](x_NCHW)]
    torch.testing.assert_close(found, sum(one_by_one) / len(one_by_one))  # type: ignore[arg-type]


def test_a_confirmation_is_tested_both_ways(tmp_path: Path) -> None:
    """The plain figure stays what it is without; rows tell these classes apart, which a mirror leaves as they are."""
    store, named = make_store(num=60), {"weights": "c0", "is_test": True}
    leg = Leg("c0", 1, make_recipe(num_epochs=1), known_epochs=0, is_confirmation=True, **named)
    (plain,) = run_leg(leg, store, StudyFolder(tmp_path), "cpu")
    (both,) = run_leg(replace(leg, test_time="flip"), store, StudyFolder(tmp_path), "cpu")
    assert "test_top1_flip" in both.metrics.keys() - plain.metrics.keys()
    assert both.metrics["test_top1"] == plain.metrics["test_top1"]
    images_NHWC = np.concatenate([store.images_NHWC, store.images_NHWC[:, :, ::-1]])
    twice = replace(store, images_NHWC=images_NHWC, labels_N=np.tile(store.labels_N, 2), test_idx=store.test_idx + len(store.labels_N))
    (mirrored,) = run_leg(replace(leg, test_time="flip"), twice, StudyFolder(tmp_path), "cpu")
    assert mirrored.metrics["test_top1_flip"] == both.metrics["test_top1_flip"]


def test_it_is_told_beside_the_plain_figure() -> None:
    given = [Confirmation(seed, 0.9, 0.8, 0.5, test_time="ten_crops", test_time_top1=top1) for seed, top1 in ((1, 0.82), (2, 0.84))]
    (line,) = confirmation_lines(given, "val_top1")
    assert "test top1 0.8 ± 0, test loss 0.5 ± 0, with ten_crops 0.83 ± 0.01414, val_top1" in line


def test_what_has_no_views_is_refused_in_a_study_and_in_a_recipe(tmp_path: Path) -> None:
    sections = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}, "preprocessing": {"name": "pca_whitening"}}
    study = {"study": "s", "data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}, "space": sections}
    with pytest.raises(UserError, match=r"confirm.test_time: flip needs pictures"):
        load_study({**study, "confirm": {"test_time": "flip"}})
    recipe = load_recipe({"data": study["data"], **sections, "training": {"num_epochs": 1}})
    with pytest.raises(UserError, match="flip needs pictures"):
        fit_recipe(recipe, tmp_path, device="cpu", test_time="flip")
    with pytest.raises(
        UserError, match="test_time must be one of these views, but got 'flop'; nearest is 'flip'; choices: none, flip, ten_crops"
    ):
        fit_recipe(recipe, tmp_path, device="cpu", test_time="flop")
