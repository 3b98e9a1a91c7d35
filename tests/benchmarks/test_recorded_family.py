"""Tables of visiontune's own: recorded is what a training gives, an interruption loses nothing, the tables are read with branches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parts.recorded_family import DataSet, Family, changed, digits, in_turn, record_curve, write_pictures, write_tables
from parts.recorded_tables import NUM_POINTS, load_table
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.declarations.trial_recipe import TrialRecipe

TWO = (DataSet("digits", is_cifar=False), DataSet("noisy", is_cifar=False, noise=50.0))


@pytest.fixture
def family(tmp_path: Path) -> Family:
    made = Family(tmp_path, TWO, num_pictures=160, num_epochs=3)
    for data_set in TWO:
        write_pictures(made, data_set, *digits())
    return made


def fake_curve(family: Family, number: int, data_set: DataSet, num_epochs: int = 3) -> None:
    """As if it had been recorded."""
    curve = {name: [0.1 * (number + 1) + 0.01 * k for k in range(num_epochs)] for name in ("val", "test", "cost_s")}
    family.curve(number, data_set).parent.mkdir(parents=True, exist_ok=True)
    family.curve(number, data_set).write_text(json.dumps(curve))


@pytest.mark.heavy
def test_a_curve_is_that_of_a_training(family: Family) -> None:
    from visiontune.training.train_recipe import fit_recipe

    record_curve(family, 1, TWO[0])
    found = json.loads(family.curve(1, TWO[0]).read_text())
    val: list[float] = []
    result = fit_recipe(
        family.recipe(1, TWO[0]), family.folder / "stores", device="cpu", on_epoch=lambda epoch: val.append(epoch.metrics["val_top1"])
    )
    assert found["val"] == pytest.approx(val) and found["test"][-1] == pytest.approx(result.metrics["test_top1"])
    assert len(found["val"]) == 3 and found["cost_s"] == sorted(found["cost_s"]) and found["cost_s"][0] > 0


def test_recipes_are_the_same_for_each_data_set_and_differ_by_number(family: Family) -> None:
    def without_data(recipe: TrialRecipe) -> dict[str, Any]:
        return {key: value for key, value in recipe.to_dict().items() if key != "data"}

    one, other, next_one = (family.recipe(*what) for what in ((0, TWO[0]), (0, TWO[1]), (1, TWO[0])))
    assert without_data(one) == without_data(other) != without_data(next_one)
    assert one.data["train"] != other.data["train"]


def test_tables_hold_what_all_data_sets_have_and_go_on(family: Family) -> None:
    assert write_tables(family, 3) == 0 and not family.table(TWO[0]).exists()
    order = list(in_turn(family, 3))
    assert order == [(number, one) for number in range(3) for one in TWO]
    for job in order[:3]:
        fake_curve(family, *job)
    assert write_tables(family, 3) == 1
    assert list(in_turn(family, 3)) == order[3:]
    for job in order[3:]:
        fake_curve(family, *job)
    assert write_tables(family, 3) == 3 and list(in_turn(family, 3)) == [] and len(list(in_turn(family, 4))) == 2
    with np.load(family.table(TWO[1]), allow_pickle=False) as table:
        assert np.allclose(table["val"][:, 0], [0.1, 0.2, 0.3])


def test_a_table_is_read_with_its_branches(family: Family) -> None:
    for number in range(12):
        for data_set in TWO:
            fake_curve(family, number, data_set, num_epochs=1 if number == 5 else 3)
    write_tables(family, 12)
    one, other = (load_table(family.table(data_set)) for data_set in TWO)
    assert one is not None and other is not None and one.is_timed and one.has_recipes_of(other)
    for number in range(12):
        params = family.params(number)
        assert one.params[number] == pytest.approx(params) and one.nearest(params, range(12)) == number
        assert one.space.resolve(FixedParams(one.params[number])) == family.spec({"source": "digits"}).space.resolve(FixedParams(params))
    # Three epochs as 27 points; one that diverged after the first has no value from its second third on.
    assert np.allclose(one.val_NP[0, [0, 8, 9, 26]], [0.1, 0.1, 0.11, 0.12]) and one.val_NP.shape == (12, NUM_POINTS)
    assert np.isfinite(one.val_NP[5]).tolist() == [True] * 9 + [False] * 18


def pictures() -> Iterator[np.ndarray]:
    yield from np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("data_set", "shape"),
    [
        (DataSet("a"), (16, 16, 3)),
        (DataSet("b", size=12), (12, 12, 3)),
        (DataSet("c", is_grey=True), (16, 16)),
        (DataSet("d", blur=1.0), (16, 16, 3)),
    ],
)
def test_pictures_are_changed_as_the_data_set_says(data_set: DataSet, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    for picture in pictures():
        plain, made = changed(picture, DataSet("plain"), random), changed(picture, data_set, random)
        assert made.shape == shape and made.dtype == np.uint8
        if data_set.blur:
            assert made.std() < plain.std()


def test_noise_has_its_deviation() -> None:
    grey_HWC = np.full((16, 16, 3), 128, np.uint8)
    made = changed(np.tile(grey_HWC, (8, 8, 1)), DataSet("noisy", size=128, noise=20.0), np.random.default_rng(0))
    assert made.std() == pytest.approx(20, rel=0.02) and made.mean() == pytest.approx(127.5, abs=0.5)


def test_classes_are_a_subset_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    some = DataSet("some", is_cifar=False, classes=(3, 8))
    family = Family(tmp_path, (some,), num_pictures=50, num_epochs=1)
    pictures_NHW, label_N = digits()
    order = np.argsort(label_N)
    write_pictures(family, some, pictures_NHW[order], label_N[order])
    labels = pq.read_table(family.pictures(some))["label"].to_pylist()
    assert len(labels) == 50 and set(labels) == {3, 8}
