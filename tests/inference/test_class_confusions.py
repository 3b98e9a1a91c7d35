"""Which classes an op confuses: counted by hand, and on real digits where the answer is known."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import make_recipe, make_store, model_section
from torch import Tensor, nn

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.inference.class_confusions import LEAST_SHARE, Pair, effects, pairs_of
from visiontune.inference.classifier import Classifier, load_checkpoint, load_weights_file
from visiontune.training.checkpoint import save
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.loop import train
from visiontune.training.weights_file import save_weights
from visiontune.training.weights_metadata import WeightsMetadata

NAMES = ("a", "b", "c")


def counted(*moves: tuple[int, int, int, int]) -> tuple[Pair, ...]:
    """(class, said before, said after, how many pictures) each."""
    rows = np.concatenate([np.tile([true, before, after], (num, 1)) for true, before, after, num in moves])
    return pairs_of(rows[:, 0], rows[:, 1], rows[:, 2], NAMES)


def test_pairs_are_counted_above_what_the_network_confuses_anyway() -> None:
    assert counted((0, 0, 1, 30), (0, 0, 0, 70), (1, 1, 1, 50)) == (Pair("a", "b", 30, 100),)
    assert counted((0, 1, 1, 40), (0, 0, 0, 60)) == ()  # taken for b before as after
    assert counted((0, 0, 1, 20), (0, 1, 0, 20), (0, 0, 0, 60)) == ()  # as many went the other way
    assert counted((0, 2, 1, 50), (0, 0, 0, 50)) == ()  # wrong before: nothing is known of them
    assert counted((0, 0, 1, 4), (0, 0, 0, 6)) == ()  # two standard errors of four are four
    assert counted((0, 0, 1, 5), (0, 0, 0, 5)) == (Pair("a", "b", 5, 10),)
    assert counted((0, 0, 1, 90), (0, 0, 0, 910)) == () and LEAST_SHARE == 0.1
    assert counted((0, 0, 1, 20), (0, 0, 2, 60), (1, 1, 0, 30), (1, 1, 1, 20)) == (
        Pair("a", "c", 60, 80),
        Pair("b", "a", 30, 50),
        Pair("a", "b", 20, 80),
    )


class ByRows(nn.Module):
    """Tells tiny's classes apart by the third of the rows that is brightest."""

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return torch.stack([part.mean((1, 2, 3)) for part in x_NCHW.tensor_split(3, 2)], 1)


def made(store: Store) -> Classifier:
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    recipe = make_recipe(model_section("lenet5"), data={"image_size": None})
    return Classifier(ByRows(), preprocessing, WeightsMetadata.of(recipe, store), "made")


def test_a_flip_of_rows_confuses_the_outer_classes_and_one_of_columns_none() -> None:
    store = make_store(num=600, size=15)
    trained = made(store)
    found = {one.op: one for one in effects(trained, store, {"VerticalFlip": None, "HorizontalFlip": None, "TranslateY": 0.1})}
    pairs = {(pair.true, pair.taken): pair.share for pair in found["VerticalFlip"].pairs}
    assert pairs == {("class0", "class2"): 1.0, ("class2", "class0"): 1.0}
    assert found["VerticalFlip"].top1_before == 1.0 and found["VerticalFlip"].top1_after == pytest.approx(1 / 3, abs=0.1)
    assert found["HorizontalFlip"].pairs == () and found["HorizontalFlip"].top1_after == 1.0
    assert found["VerticalFlip"].num_pictures == len(store.val_idx) == 120 and found["TranslateY"].magnitude == 0.1


def test_many_val_pictures_are_asked_evenly() -> None:
    store = make_store(num=300, size=15)
    many = replace(store, val_idx=np.resize(store.val_idx, 4_500))
    trained = made(store)
    (one,) = effects(trained, many, {"InvertImg": None})
    assert one.num_pictures == 1_500


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Store, Any]:
    """LeNet-5 after three epochs of scikit-learn's digits."""
    store = Store.open(prepare({"source": "digits"}, tmp_path_factory.mktemp("data")))
    recipe = make_recipe(model_section("lenet5"), "adamw", optimizer_args={"lr": 0.005}, data={"source": "digits"}, batch_size=32)
    *_, last = train(recipe, store)
    return recipe, store, last


def test_turned_sixes_and_mirrored_threes_are_other_digits(learned: tuple[Any, Store, Any], tmp_path: Path) -> None:
    recipe, store, last = learned
    save_weights(last.model, tmp_path / "w.safetensors", WeightsMetadata.of(recipe, store).to_strings(), last.preprocessing)
    trained = load_weights_file(tmp_path / "w.safetensors", "the winner")
    flip, noise = effects(trained, store, {"VerticalFlip": None, "GaussNoise": 0.1})
    assert flip.top1_before > 0.85 and flip.top1_after < flip.top1_before - 0.2
    confused = {pair.true for pair in flip.pairs}
    assert confused & {"6", "9", "2", "5", "4", "7"} and "0" not in confused
    assert noise.pairs == () and abs(noise.top1_after - noise.top1_before) < 0.05


def test_winner_and_checkpoint_say_what_the_network_said(learned: tuple[Any, Store, Any], tmp_path: Path) -> None:
    recipe, store, last = learned
    images = np.asarray(store.images_NHWC[store.val_idx])
    with torch.no_grad():
        expected = last.model.eval()(last.preprocessing(torch.from_numpy(images)).permute(0, 3, 1, 2)).argmax(1).numpy()
    save_weights(last.model, tmp_path / "w.safetensors", WeightsMetadata.of(recipe, store).to_strings(), last.preprocessing)
    save(tmp_path / "00007", last.epoch, last.state())
    winner, trial = load_weights_file(tmp_path / "w.safetensors", "the winner"), load_checkpoint(recipe, tmp_path / "00007", store)
    assert trial is not None and trial.name == "trial 7 after 3 epochs" and winner.name == "the winner"
    for trained in (winner, trial):
        assert np.array_equal(trained.predict(images), expected)
    assert load_checkpoint(recipe, tmp_path / "00008", store) is None


def test_weights_of_another_network_or_none_are_refused(learned: tuple[Any, Store, Any], tmp_path: Path) -> None:
    recipe, store, last = learned
    file, wider = tmp_path / "w.safetensors", replace(recipe, model=model_section("lenet5", width=2))
    save_weights(last.model, file, WeightsMetadata.of(wider, store).to_strings(), last.preprocessing)
    with pytest.raises(UserError, match="don't fit this network"):
        load_weights_file(file, "made")
    save_weights(last.model, file, preprocessing=last.preprocessing)
    with pytest.raises(UserError, match="don't say which network they are of"):
        load_weights_file(file, "made")
    assert np.array_equal(
        load_weights_file(file, "told", WeightsMetadata.of(recipe, store)).network.state_dict().keys(), last.model.state_dict().keys()
    )
    file.write_bytes(b"no weights")
    with pytest.raises(UserError, match="can't be read"):
        load_weights_file(file, "made")


def test_a_file_becomes_the_picture_that_the_store_has(tmp_path: Path) -> None:
    """Large pictures lie in a store at 1.14 times the size, small ones at the size itself; a grey network sees colour as Pillow's L."""
    rng, encoded = np.random.default_rng(0), io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(encoded, "PNG")
    for size in (32, 80):
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            for number in range(5):
                (tmp_path / name / f"{number}.png").write_bytes(encoded.getvalue() if (name, number) == ("a", 0) else png(rng))
        data = {"source": "folder", "path": str(tmp_path), "image_size": size, "duplicates": "keep"}
        store = Store.open(prepare(data, tmp_path.parent / f"{tmp_path.name}.cache"))
        recipe = make_recipe(model_section("lenet5"), data=data)
        metadata = WeightsMetadata.of(recipe, store)
        classifier = Classifier(ByRows(), fit_preprocessing({"name": "standardize", "colour": "stored"}, store), metadata, "made")
        seen = classifier.picture_of(encoded.getvalue())
        assert any(np.array_equal(seen, picture) for picture in np.asarray(store.images_NHWC[:]))
    grey = replace(
        classifier, metadata=replace(metadata, form=replace(metadata.form, image_size=(90, 90), stored_size=(90, 90), channels=1))
    )
    flat = np.asarray(Image.open(encoded).crop((0, 0, 90, 90)).convert("L"))
    encoded_flat = io.BytesIO()
    Image.open(encoded).crop((0, 0, 90, 90)).save(encoded_flat, "PNG")
    assert np.array_equal(grey.picture_of(encoded_flat.getvalue())[..., 0], flat)


def png(rng: np.random.Generator) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (90, 120, 3), np.uint8)).save(encoded, "PNG")
    return encoded.getvalue()
