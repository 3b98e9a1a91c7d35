"""What a folder holds and what is trained on: a check, a search and a training say the difference before the first step."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from picture_files import png
from PIL import Image
from places import DIGITS

from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.parse import load_study
from visiontune.spec.yaml.yaml_writer import to_yaml
from visiontune.tracking.event_content import picture_tags
from visiontune.training.checks import all_checks
from visiontune.tuning import search_on_cluster
from visiontune.tuning.launch import run_search

SMALL = ("space.model.name=lenet5", "space.optimizer.name=sgd", "budget.min_epochs=1", "budget.max_epochs=1", "budget.reduction_factor=2")


@pytest.fixture(autouse=True)
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """40 pictures each of cat and dog, a damaged one, a text, one cat among the dogs, and ten dogs with a spot of noise as cats."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(40):
            picture = np.asarray(Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((16, 16)))
            (tmp_path / "pets" / label / f"{number:02}.png").write_bytes(png(picture))
            if label == "dog" and number < 10:
                noisy = picture.astype(int) + rng.integers(-2, 3, picture.shape)
                (tmp_path / "pets" / "cat" / f"noisy{number:02}.png").write_bytes(png(noisy.clip(0, 255).astype(np.uint8)))
    (tmp_path / "pets" / "dog" / "stray.png").write_bytes((tmp_path / "pets" / "cat" / "07.png").read_bytes())
    (tmp_path / "pets" / "cat" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "pets" / "notes.txt").write_text("x")
    data = "data: {source: folder, path: pets, allow_bad: 0.05}"
    lines = [data if line.startswith("data:") else line for line in DIGITS.read_text().splitlines()]
    (tmp_path / "space.yaml").write_text("\n".join(lines))
    return tmp_path / "space.yaml"


def holds_all(out: str) -> bool:
    """Whether each is told: numbers, the damaged picture, the other file, the cat among dogs, that near ones stay and of which class."""
    return all(
        words in out
        for words in (
            "91 pictures of 2 classes: train ",
            "classes (train/val/test): cat ",
            "set aside: 1 bad of 92 pictures: pets/cat/broken.png",
            "1 other file: pets/notes.txt",
            "equal pictures of two classes, 1: ",
            "pets/dog/stray.png",
            "nearly a picture of an earlier split, ",
        )
    )


def test_a_check_tells_names_before_an_ingest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "space.yaml", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "92 pictures of 2 classes: train 92, from which val and test are split off" in out and "pets/notes.txt" in out


@pytest.mark.heavy
def test_a_check_that_runs_has_it_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_checks, "choices", lambda spec, name: [])  # networks are not what this is about
    main(["check", "space.yaml", *SMALL, "--run", "--json"])
    [found] = json.loads(capsys.readouterr().out)["files"]
    assert holds_all("\n".join(found["said"]))
    assert {one["name"] for one in found["data"]["report"]["set_aside"]} == {"pets/cat/broken.png", "pets/notes.txt"}
    [look] = [check for check in found["checks"] if check["name"] == "contradictions"]
    assert look["verdict"] == "look" and "pets/cat/07.png" in look["said"] and "pets/dog/stray.png" in look["said"]


@pytest.mark.heavy
def test_a_search_tells_it_before_its_first_trial_and_mlflow_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said, events = list[str](), list[Any]()

    def enough(*_: object, **__: object) -> None:
        raise UserError("enough")

    monkeypatch.setattr(search_on_cluster, "cluster", lambda *_: nullcontext())
    monkeypatch.setattr(search_on_cluster, "trial_resources", lambda resources, address: {"cpu": 1.0, "gpu": 0.0})
    monkeypatch.setattr(search_on_cluster, "NodeWatch", MagicMock())
    monkeypatch.setattr("visiontune.tuning.cluster.ray_adapter.run_tune", enough)
    with pytest.raises(UserError, match="enough"):
        run_search(
            load_study("space.yaml", [*SMALL, "space.training.precision=tf32"]),
            StudiesFolder.of("studies"),
            tracker=lambda: nullcontext(events.append),
            screen=lambda snapshot: None,
            say=said.append,
        )
    assert "training.precision tf32 is for GPUs: trials on CPUs compute in fp32 in its place" in said
    assert holds_all("\n".join(said)) and holds_all(picture_tags(events[0])["visiontune.pictures"])


@pytest.mark.heavy
def test_a_training_tells_it_before_its_first_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {"data": {"source": "folder", "path": "pets", "allow_bad": 0.05}, "model": {"name": "lenet5"}, "training": {"num_epochs": 1}}
    Path("recipe.yaml").write_text(to_yaml({**recipe, "optimizer": {"name": "sgd", "lr": 0.01}}))
    assert main(["train", "recipe.yaml", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert holds_all(out.partition("epoch=1")[0])


def test_pairs_are_drawn_side_by_side_contradictions_first(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ingest", "pets", "--name", "pets", "allow_bad=0.05"])
    assert main(["data", "pets", "--pairs", "pairs.png"]) == 0
    assert "pairs in pairs.png" in capsys.readouterr().out
    sheet = np.asarray(Image.open("pairs.png")).astype(int)
    stray = np.asarray(Image.open("pets/cat/07.png")).astype(int).repeat(4, 0).repeat(4, 1)
    places = [(top, left) for top in range(40, 100) for left in range(sheet.shape[1] - 64) if (sheet[top, left] == stray[0, 0]).all()]
    found = [left for top, left in places if np.array_equal(sheet[top : top + 64, left : left + 64], stray)]
    assert len(found) == 2 and found[1] >= found[0] + 64
    main(["ingest", "digits", "--name", "digits"])
    assert main(["data", "digits", "--pairs", "none.png"]) == 2 and not Path("none.png").exists()
