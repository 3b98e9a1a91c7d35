"""Sheets: what stands in them is what training does; which ops a section can span."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from places import DIGITS
from tiny import make_store, section

from visiontune.augmentation.op_ranges import OpRange, ops_of
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.preview_sheet import op_block, policy_block, recipe_sheet, save_sheet
from visiontune.augmentation.sheet_drawing import Block, Row, draw_sheet, drawable, tile_size
from visiontune.augmentation.sheet_pictures import Draw, apply_op, draws_of, pick
from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.spec.tables.ops import OPS

STORE = make_store(num=90, size=8, channels=3)


def augmentation(policy: str, **args: Any) -> dict[str, Any]:
    return section("augmentation", {"policy": policy, **args})


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (8, 3), (32, 3), (200, 1)])
def test_a_drawn_picture_can_be_read_back_from_the_sheet(size: int, channels: int) -> None:
    """Small ones pixel by pixel; a large one's mean survives scaling down."""
    picture = np.random.default_rng(0).integers(0, 256, (size, size, channels), np.uint8)
    plain = np.full((size, size, channels), 7, np.uint8)
    sheet = np.asarray(draw_sheet("title", [Block("block", [Row("op", [[plain, picture]])])]))
    tile = tile_size(size, 2)
    rows, columns = np.nonzero((sheet == 7).all(2))
    top, left = rows.min(), columns.min()
    assert (sheet[top : top + tile, left : left + tile] == 7).all()
    drawn = sheet[top : top + tile, left + tile + 2 : left + 2 * tile + 2]
    if tile >= size:
        factor = tile // size
        expected = np.broadcast_to(picture, (size, size, 3)).repeat(factor, 0).repeat(factor, 1)
        assert tile % size == 0 and np.array_equal(drawn, expected)
    else:
        assert abs(drawn.mean() - picture.mean()) < 1.5


def test_labels_fit_and_strange_names_are_told_apart() -> None:
    plain = np.zeros((8, 8, 1), np.uint8)
    long = Row("RandomBrightnessContrast", [[plain]], note="here 0 to 1; may change the label", is_warned=True)
    sheet = np.asarray(draw_sheet("t", [Block("a block's title", [long], ["original"], ["a class with a very long name"])]))
    ink = np.argwhere((sheet != 255).any(2))
    assert ink[:, 1].max() < sheet.shape[1] - 10 and ink[:, 0].max() < sheet.shape[0] - 10
    assert drawable("Ärger, ёж, ψ") and not drawable("猫")


def test_pictures_are_the_first_of_classes_spread_evenly() -> None:
    four = pick(make_store(num=90, num_classes=9), 4)
    assert four.labels_N.tolist() == [0, 3, 5, 8] and set(four.index_N) <= set(make_store(num=90, num_classes=9).train_idx)
    seven = pick(STORE, 7)
    assert seven.labels_N.tolist() == [0, 1, 2, 0, 1, 2, 0] and len(set(seven.index_N)) == 7


def test_an_ops_row_is_the_op_as_training_applies_it() -> None:
    sample = pick(STORE, 3)
    block = op_block(sample, {"Affine": OpRange(0.2, 0.4), "HorizontalFlip": OpRange(), "D4": OpRange()}, {"D4": "a warning"})
    affine, flip, d4 = block.rows
    policy = build_policy(augmentation("fixed", Affine={"probability": 1.0, "magnitude": 0.5}), image_size=8, channels=3)
    assert policy is not None
    expected = policy(sample.images_NHWC, seed=0, epoch=1, index_N=sample.index_N)
    assert np.array_equal(np.stack(affine.groups[2]), expected) and np.array_equal(np.stack(affine.groups[0]), sample.images_NHWC)
    assert len(affine.groups) == 4 and affine.note == "here 0.2 to 0.4"
    assert len(flip.groups) == 2 and np.array_equal(np.stack(flip.groups[1]), sample.images_NHWC[:, :, ::-1])
    assert len(d4.groups) == 4 and d4.note == "a warning" and d4.is_warned  # three draws: it draws


def test_the_whole_policy_stands_eight_times_as_the_epochs_have_it() -> None:
    sample = pick(STORE, 2)
    recipe = augmentation("randaugment", magnitude=0.0, final_magnitude=1.0)
    draws = draws_of(recipe, 50)
    assert [draw.epoch for draw in draws] == [1, 8, 15, 22, 29, 36, 43, 50]
    rows = policy_block(sample, {"randaugment": draws}).rows
    pictures = [np.stack(group) for row in rows for group in row.groups]
    policy = build_policy(recipe, image_size=8, channels=3, num_epochs=50)
    assert policy is not None and len(pictures) == 8
    for draw, shown in zip(draws, pictures, strict=True):
        assert np.array_equal(shown, policy(sample.images_NHWC, seed=0, epoch=draw.epoch, index_N=sample.index_N))
    assert [draw.epoch for draw in draws_of(augmentation("randaugment"), 50)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_sheet_is_written_whole_and_nothing_leaves_none(tmp_path: Path) -> None:
    sheet = recipe_sheet("t", pick(STORE, 3), augmentation("trivialaugment", mixing="mixup"), 9)
    save_sheet(sheet, tmp_path / "new" / "sheet.png")
    with Image.open(tmp_path / "new" / "sheet.png") as image:
        assert image.format == "PNG" and image.size == sheet.size
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]
    assert recipe_sheet("t", pick(STORE, 3), augmentation("none"), 9) is None
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="can't be written"):
        save_sheet(sheet, tmp_path / "file" / "sheet.png")


@pytest.mark.parametrize("mixing", ["mixup", "cutmix", "alternate", "random_erasing"])
def test_mixed_batches_say_their_shares(mixing: str) -> None:
    """A mixture's caption names two classes, and its pixels lie where the shares say."""
    from visiontune.augmentation.preview_sheet import mixing_block

    sample = pick(STORE, 3)
    rows = mixing_block(sample, [augmentation("none", mixing=mixing)]).rows
    assert len(rows) == 2 and all(len(row.groups) == 4 for row in rows)
    for row in rows:
        for head, pictures, captions in zip(row.heads, row.groups, row.captions, strict=True):
            if " and " not in head:
                continue
            share = float(head.partition(": ")[2].partition(" and ")[0])
            for picture, caption, own in zip(pictures, captions, sample.images_NHWC, strict=True):
                other = sample.images_NHWC[[f"class{k}" for k in sample.labels_N].index(caption.partition(", ")[2])]
                both = [own.astype(float), other.astype(float)]
                if mixing == "mixup":
                    assert np.abs(share * both[0] + (1 - share) * both[1] - picture).max() < 3
                else:
                    assert ((picture == own) | (picture == other) | (np.abs(share * both[0] + (1 - share) * both[1] - picture) < 3)).all()


def test_an_op_that_grey_pictures_cannot_get_is_refused() -> None:
    grey = make_store(num=90, size=8, channels=1)
    with pytest.raises(UserError, match="3 channels"):
        apply_op("HueSaturationValue", 0.5, np.asarray(grey.images_NHWC[:2]), np.arange(2))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment", "augmix", "autoaugment"])
def test_the_ops_of_a_policy_are_those_of_its_steps(policy: str, channels: int) -> None:
    made = build_policy(augmentation(policy, flip_probability=0.5), image_size=8, channels=channels)
    assert made is not None
    names: set[str] = set()
    for step in made.steps:
        names |= {step.name} if hasattr(step, "name") else set(getattr(step, "names", ()))
        names |= {op.name for sub in getattr(step, "subs", ()) for op in sub}
    assert set(ops_of(augmentation(policy, flip_probability=0.5), channels)) == names


def test_the_reach_of_a_recipe() -> None:
    found = ops_of(
        augmentation(
            "fixed",
            VerticalFlip={"probability": 1.0},
            Affine={"magnitude": 0.3, "final_magnitude": 0.9},
            Rotate={"magnitude": 0.0},
            Solarize={"probability": 0.0},
        ),
        3,
    )
    assert found == {"VerticalFlip": OpRange(), "Affine": OpRange(0.3, 0.9)}
    augmix = ops_of(augmentation("augmix", severity=4), 3)
    assert augmix["Rotate"].low == pytest.approx(1 / 30) and augmix["Rotate"].high == pytest.approx(0.4)
    assert ops_of(augmentation("none"), 3) == {} == ops_of(augmentation("autoaugment_published"), 3)


SPACES = {
    "policy: {choice: {none: {}, fixed: {Affine: {magnitude: {float: [0.2, 0.7]}}}}}": {"Affine": OpRange(0.2, 0.7)},
    "policy: {choice: {randaugment: {magnitude: {float: [0.1, 0.4]}}, fixed: {Rotate: {magnitude: 0.9}}}}": {"Rotate": OpRange(0.1, 0.9)},
    "{policy: randaugment, magnitude: {choice: [0.2, 0.6]}, final_magnitude: 1.0}": {"Rotate": OpRange(0.2, 1.0)},
    "{policy: autoaugment, sub1_op1: {choice: [D4, Erasing]}, sub1_magnitude1: 0.8}": {
        "D4": OpRange(),
        "Erasing": OpRange(0.8, 0.8),
    },
    "mixing: {choice: {none: {policy: {choice: {fixed: {Affine: {magnitude: 0.3}}}}}, mixup: {policy: randaugment, magnitude: 0.5}}}": {
        "Affine": OpRange(0.3, 0.3),
        "Rotate": OpRange(0.5, 0.5),
    },
}


@pytest.mark.parametrize("text", SPACES)
def test_the_reach_of_a_space_is_that_of_all_its_recipes(text: str, tmp_path: Path) -> None:
    from visiontune.spec.declarations.domains import RandomParams

    digits = DIGITS.read_text()
    head, _, rest = digits.partition("  augmentation:\n")
    body = text if text.startswith("{") else f"{{{text}}}"
    (tmp_path / "space.yaml").write_text(f"{head}  augmentation: {body}\n  training:{rest.partition('  training:')[2]}")
    spec = load_study(tmp_path / "space.yaml")
    span = ops_of(spec.space.tree["augmentation"], 3)
    assert SPACES[text].items() <= span.items()
    for seed in range(40):
        for name, one in ops_of(spec.space.resolve(RandomParams(seed))["augmentation"], 3).items():
            assert name in span
            whole = span[name]
            if one.low is not None and one.high is not None and whole.low is not None and whole.high is not None:
                assert whole.low <= one.low and one.high <= whole.high


def test_every_op_of_the_table_can_be_drawn_on_a_sheet() -> None:
    names = {name: OpRange(0.0, 1.0) if "magnitude" in op.args else OpRange() for name, op in OPS.entries.items()}
    sample = pick(STORE, 1)
    block = op_block(sample, names, {})
    assert [row.label for row in block.rows] == list(OPS.entries)
    assert Draw("epoch 1", {}, 1, 1).epoch == 1
