"""One recipe from Python: epoch by epoch, to its end, in a thread, and as the command line trains it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from safetensors import safe_open

import visiontune
from visiontune.cli import main

RECIPE = {
    "data": {"source": "digits", "image_size": 8},
    "model": {"name": "lenet5"},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "training": {"num_epochs": 2, "seed": 3},
}


def test_an_item_for_each_epoch_and_the_same_in_any_thread(tmp_path: Path) -> None:
    def losses(_: int = 0) -> list[float]:
        return [epoch.metrics["val_loss"] for epoch in visiontune.train(RECIPE, device="cpu", studies_dir=tmp_path)]

    here = losses()
    with ThreadPoolExecutor(1) as pool:
        assert [*pool.map(losses, range(1))] == [here] and len(here) == 2
    assert here[1] < here[0]


def test_fit_gives_weights_and_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, seen = tmp_path / "w.safetensors", []
    result = visiontune.fit(RECIPE, out=out, device="cpu", on_epoch=lambda epoch: seen.append(epoch.epoch), studies_dir=tmp_path)
    assert seen == [1, 2] and result.weights == out and 0 < result.metrics["test_top1"] <= 1
    with safe_open(out, "pt") as file:
        assert file.metadata()["recipe.fingerprint"] == visiontune.load_recipe(RECIPE).fingerprint
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(json.dumps(RECIPE))  # JSON is YAML
    assert main(["train", str(recipe), "--device", "cpu", "--studies-dir", str(tmp_path)]) == 0
    assert f"test_top1={result.metrics['test_top1']:.4g}" in capsys.readouterr().out


def test_a_loss_that_runs_away_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(visiontune.Diverged) as caught:
        visiontune.fit(RECIPE, optimizer__lr=100.0, regularization__l2=1.0, device="cpu", studies_dir=tmp_path)
    assert caught.value.epoch == 1


def test_a_network_costs_what_its_paper_says() -> None:
    """He et al. 2016 count 1.8e9 multiply-adds for ResNet-18; torchvision 11,689,512 parameters."""
    found = visiontune.profile("resnet18", image_size=224, num_classes=1000)
    assert found.parameters == 11_689_512 and found.multiply_adds == pytest.approx(1.8e9, rel=0.02)
