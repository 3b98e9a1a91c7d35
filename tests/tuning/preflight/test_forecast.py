"""What a search is expected to take, and what it then took."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
from sample_study import RECORD
from simulated_search import drive, make_spec
from tiny import make_store

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.models.build import build_model
from visiontune.results.tables.used import bytes_of, used_line
from visiontune.spec.parse import load_study
from visiontune.tuning.preflight.forecast import FORECAST, Forecast, forecast, keep_forecast, keep_measured, weight_bytes
from visiontune.tuning.study.open_storage import create_or_resume


def test_weights_are_those_of_the_smallest_and_largest_networks(tmp_path: Path) -> None:
    spec, info = make_spec(tmp_path / "sizes"), make_store().info
    sizes = []
    for name, key, ends in (("lenet5", "width", (1, 4)), ("cnn", "depth", (2, 3))):
        corners = [one for one in spec.space.corners("model") if one["name"] == name]
        for end in ends:
            model = next(one for one in corners if one[key] == end)
            network = build_model(model, num_classes=3, in_channels=1, image_size=16, seed=0)
            sizes.append(sum(one.numel() * one.element_size() for one in network.state_dict().values()))
    assert weight_bytes(spec, info) == sizes
    found = forecast(spec, info)
    assert found.checkpoint_bytes == 30 * 3 * int(sum(sizes) / 4)
    limited = make_spec(tmp_path / "sizes", overrides=["storage.max_checkpoint_mb=1"])
    assert forecast(limited, info).checkpoint_bytes == min(found.checkpoint_bytes, 1_000_000)


def test_a_population_holds_states_of_its_points_beside_those_of_its_trials(tmp_path: Path) -> None:
    space = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": {"float": [0.01, 0.1]}}}
    about = {"study": "pop", "data": {"source": "digits"}, "budget": {"num_trials": 8, "max_epochs": 9}, "space": space}
    kept = [forecast(load_study({**about, "trial_scheduler": {"name": name}}), make_store().info) for name in ("pbt", "asha", "none")]
    assert kept[0].checkpoint_bytes == 2 * kept[1].checkpoint_bytes > 0 == kept[2].checkpoint_bytes


@pytest.mark.heavy
def test_the_records_of_a_search_take_no_more_than_was_forecast_and_not_a_small_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "records"
    _, _, events = drive(make_spec(path, 30), path, num_slots=3)
    found = forecast(make_spec(path, 30), make_store().info)
    outbox = sum(len(str(event)) for event in events)
    assert 0.25 * found.record_bytes < bytes_of(path) + outbox < found.record_bytes


def test_it_is_kept_with_the_study_and_its_end_is_held_against_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "kept")
    spec, info = make_spec(folder.path), make_store().info
    keep_measured(folder, hours=0.5, gpu_hours=0.25)
    storage = create_or_resume(folder, spec)
    keep_forecast(storage, folder, spec, info)
    kept = storage.attributes()[FORECAST]
    assert Forecast(**kept) == replace(forecast(spec, info), hours=0.5, gpu_hours=0.25)
    longer = make_spec(folder.path, 60)
    keep_forecast(storage, folder, longer, info)
    assert storage.attributes()[FORECAST]["epochs"] == forecast(longer, info).epochs > kept["epochs"]
    known = asdict(Forecast(85, 3_000_000, 200_000, 0, 0, hours=0.5))
    study = replace(RECORD, forecast=known, spent={"epochs": 80.0, "hours": 0.25, "gpu_hours": 0.0})
    (tmp_path / "size").mkdir()
    (tmp_path / "size" / "file").write_bytes(bytes(1_500_000))
    line = used_line(study, StudyFolder(tmp_path / "size"))
    assert (
        line
        == "used: 80 epochs (forecast 85 epochs), 15:00 min (forecast 30:00 min), 1.5 MB in the study's folder (forecast at most 3.2 MB)"
    )
    one = replace(study, forecast={**known, "epochs": 1}, spent={"epochs": 1.0, "hours": 0.25})
    assert used_line(one, StudyFolder(tmp_path / "size")).startswith("used: 1 epoch (forecast 1 epoch), ")
    assert used_line(RECORD, folder) == ""
