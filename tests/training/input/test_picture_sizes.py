"""Sizes of pictures by epoch against the published schedule's corner points, pixels against Pillow's, and what can't change its size."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import make_recipe, make_store, model_section, section

from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import ImageSize, sides
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.evaluate import evaluate
from visiontune.training.input.picture_sizes import progressive
from visiontune.training.input.preprocessing import Preprocessing, resized
from visiontune.training.loop import Epoch, train
from visiontune.training.setup import set_up
from visiontune.training.weights_file import save_weights, split_weights

CPU = torch.device("cpu")
SMALL_CNN = model_section("cnn", width=4, depth=1)


def growing(model: dict[str, Any] = SMALL_CNN, eval_size_share: float = 1.0, **training: Any) -> TrialRecipe:
    recipe = make_recipe(model, **{"resize": "progressive", "num_epochs": 3, **training})
    return replace(recipe, preprocessing={**recipe.preprocessing, "eval_size_share": eval_size_share})


def test_sides_grow_by_ffcvs_formula() -> None:
    """`get_resolution` of its ImageNet recipe, whose ramp lies between two epochs: here the first and the last that grows."""
    size_of = progressive(image_size=192, num_epochs=16, resize_from=160 / 192, resize_to=1.0, resize_share=13 / 16, resize_multiple=32)
    theirs = [int(np.round(np.interp(epoch, [1, 13], [160, 192]) / 32)) * 32 for epoch in range(1, 17)]
    assert [size_of(epoch) for epoch in range(1, 17)] == theirs and {*theirs} == {160, 192}
    steps = progressive(image_size=28, num_epochs=5, resize_from=0.5, resize_to=1.0, resize_share=1.0, resize_multiple=8)
    assert [steps(epoch) for epoch in range(1, 6)] == [16, 16, 24, 24, 28]  # 14, 17.5, 21, 24.5
    fixed = progressive(image_size=30, num_epochs=5, resize_from=0.5, resize_to=0.8, resize_share=0.0, resize_multiple=8)
    assert {fixed(epoch) for epoch in range(1, 6)} == {24}
    wide = progressive(image_size=(24, 32), num_epochs=3, resize_from=0.5, resize_to=1.0, resize_share=1.0, resize_multiple=4)
    assert [wide(epoch) for epoch in (1, 2, 3)] == [(12, 16), (16, 24), (24, 32)]  # 12, 18 and 24 high


@pytest.mark.parametrize("size", [8, 13, 24, (24, 13)])
def test_pixels_are_pillows(size: ImageSize) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(3)]
    theirs = np.stack([np.asarray(plane.resize(sides(size)[::-1], Image.Resampling.BILINEAR)) for plane in planes])
    ours = resized(torch.from_numpy(image).float().permute(2, 0, 1)[None], size)[0]
    assert np.abs(ours.numpy() - theirs).max() < 0.01  # of 255


def test_each_split_has_its_own_size_and_a_pause_changes_no_bit() -> None:
    store = make_store(num=60)
    recipe = growing(eval_size_share=0.75, resize_to=0.75, resize_share=1.0, resize_multiple=2)
    setup = set_up(recipe, store, CPU)
    order = setup.order(0, 1)
    sides = [next(iter(setup.train_set.batches(order, setup.bounds, epoch)))[0].shape[-1] for epoch in (1, 2, 3)]
    others = [next(iter(one.batches(np.arange(4), [0, 4], 1)))[0].shape[-1] for one in (setup.statistics_set, setup.val_set)]
    assert (sides, others) == ([8, 10, 12], [12, 12])

    states = []
    for epoch in train(recipe, store):
        buffer = io.BytesIO()
        torch.save(epoch.state(), buffer)
        states.append(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    *_, again = train(recipe, store, resume=states[0])
    assert all(torch.equal(tensor, states[-1]["model"][key]) for key, tensor in again.model.state_dict().items())


def test_what_was_measured_is_what_a_weights_file_measures(tmp_path: Any) -> None:
    """The size is part of what a file says of its pictures, so that whoever uses the model sees them as val did."""
    from safetensors.torch import load_file

    store = make_store(num=60)
    last: Epoch
    *_, last = train(growing(eval_size_share=0.75), store)
    save_weights(last.model, tmp_path / "weights.safetensors", preprocessing=last.preprocessing)
    before = Preprocessing.of(split_weights(load_file(tmp_path / "weights.safetensors"))[1])
    found = evaluate(last.model, store, "val", preprocessing=before, arithmetic=last.arithmetic, use_full_metrics=False)  # type: ignore[arg-type]
    assert found["loss"] == pytest.approx(last.metrics["val_loss"], abs=1e-6)
    assert before(torch.zeros(1, 16, 16, 1, dtype=torch.uint8)).shape == (1, 12, 12, 1)
    graph = torch.export.export(before, (torch.zeros(2, 16, 16, 1),), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    x_NHWC = torch.rand(5, 16, 16, 1) * 255
    torch.testing.assert_close(graph(x_NHWC), before(x_NHWC))


REFUSED: dict[str, dict[str, Any]] = {
    "for pictures of 16 px can't take any of 8 px": {"model": model_section("lenet5")},
    "computed once, at one size": {"transfer": "linear"},
    "components have no neighbours": {"preprocessing": "pca_whitening"},
    "keeps 8 graphs of a network, but 8 other sizes of pictures need 11": {
        "training": {"use_compile": True, "resize_multiple": 1, "num_epochs": 27}
    },
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_can_not_follow_is_refused(words: str, tmp_path: Any) -> None:
    given, store = REFUSED[words], make_store(num=60)
    recipe = growing(given.get("model", SMALL_CNN), **given.get("training", {}))
    if "transfer" in given:
        start = set_up(make_recipe(SMALL_CNN), store, CPU)
        save_weights(start.network, tmp_path / "w.safetensors", preprocessing=start.preprocessing)
        transfer = section("transfer", {"regime": given["transfer"], "weights": str(tmp_path / "w.safetensors")})
        recipe = replace(recipe, transfer=transfer)
    if "preprocessing" in given:
        recipe = replace(recipe, preprocessing=section("preprocessing", {"name": given["preprocessing"]}))
    with pytest.raises(UserError, match=words):
        set_up(recipe, store, CPU)
