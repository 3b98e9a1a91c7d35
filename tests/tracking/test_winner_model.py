"""The winner's model in MLflow: it loads without this package and without pickle, and says what the network says."""

from __future__ import annotations

import base64
import io
import re
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from places import SOURCE
from sample_events import T0, study, trial

SERVED = SOURCE / "tracking" / "served_winner.py"
DATA = {"num_classes": 3, "channels": 1, "image_size": 8, "class_names": ["a", "b", "c"]}
RECIPE = """\
data: {source: digits}
model: MODEL
optimizer: {name: sgd, lr: 0.1}
training: {num_epochs: 1}
"""


@pytest.mark.heavy
def test_the_winners_model_answers_files_without_pickle_and_is_logged_once(
    client: Any, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import pandas as pd
    from made_classifier import made_classifier

    from visiontune.filesystem.study_folder import StudyFolder
    from visiontune.spec.yaml.yaml_writer import to_yaml
    from visiontune.tracking.mlflow_runs import Runs
    from visiontune.tracking.registry import register
    from visiontune.tracking.winner_model import log_winner
    from visiontune.training.weights_file import save_weights

    classifier, store = made_classifier(8, 1, name="wideresnet", depth=10, width=1, stochastic_depth=0.2)
    recipe, weights = tmp_path / "winner.yaml", tmp_path / "winner.safetensors"
    recipe.write_text(to_yaml({**classifier.recipe.to_dict(), "data": {"source": "digits"}}))
    save_weights(classifier.network, weights, classifier.metadata.to_strings(), classifier.preprocessing)
    files = [picture_file(store.images_NHWC[0, :, :, 0]), picture_file(np.zeros((40, 33, 3), np.uint8)), b"\x89PNG"]
    data = DATA | {"examples": [base64.b64encode(file).decode() for file in files[:2]]}
    event = {"event": "winner", "number": 0, "recipe": "/gone/winner.yaml", "weights": str(weights), "data": data}
    event |= {"metrics": {"test_top1_mean": 0.9}, "time_ms": T0 + 30_000}

    registering = partial(register, client, uri, StudyFolder(tmp_path))
    runs = Runs(client, tmp_path / "artifacts", partial(log_winner, client, uri, tmp_path), None, registering)
    for events in ([study("served")], [trial(0)], [event], [event]):
        runs.send(events)

    experiment = client.get_experiment_by_name("served")
    (logged,) = client.search_logged_models([experiment.experiment_id])
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`visiontune.kind` = 'study'")
    assert parent.data.tags["visiontune.winner_model"] == f"models:/{logged.model_id}"
    assert parent.data.metrics["test_top1_mean"] == 0.9
    assert {Path(one.path).name for one in client.list_artifacts(parent.info.run_id, "winner")} >= {"winner.yaml", "winner.safetensors"}

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    assert loaded.metadata.metadata["class_names"] == list(store.class_names)
    assert loaded.input_example["picture"].tolist() == files[:2]
    for chosen in (files[:1], files[:2] * 2):
        answers = loaded.predict(pd.DataFrame({"picture": chosen}))
        logits = np.concatenate([classifier.logits(classifier.picture_of(file)[None]) for file in chosen])
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(np.array(answers["probabilities"].tolist()), expected, atol=1e-5)
        assert answers["class"].tolist() == [store.class_names[index] for index in expected.argmax(1)]
    for suffix in (".png", ".tiff"):  # Pillow keeps the high byte of these, in a mode that looks like any other
        deep = cv2.imencode(suffix, np.full((8, 8, 3), 4095, np.uint16))[1].tobytes()
        with pytest.raises(Exception, match="pictures must have 8 bits a channel"):
            loaded.predict(pd.DataFrame({"picture": [deep]}))
    assert "visiontune" not in re.findall(r"^ *(?:from|import) (\w+)", SERVED.read_text(), re.MULTILINE)

    figures = {"mean": 0.9, "half_width": 0.01, "num_seeds": 3, "test_top1": 0.9, "metric": "val_top1", "mode": "max"}
    known = {"study": "served", "number": 0, "data_digest": "abc", "time_ms": T0 + 31_000}
    runs.send([{"event": "register", "name": "lenet", **figures, **known}])
    champion = mlflow.pyfunc.load_model("models:/lenet@champion")
    asked = pd.DataFrame({"picture": files[:2]})
    assert champion.predict(asked)["probabilities"].tolist() == loaded.predict(asked)["probabilities"].tolist()


@pytest.mark.heavy
def test_of_several_classes_those_that_reach_their_thresholds_are_said() -> None:
    import importlib.util

    import pandas as pd
    import torch

    spec = importlib.util.spec_from_file_location("served_alone", SERVED)
    assert spec is not None and spec.loader is not None
    served: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(served)
    winner = served.Winner()
    winner.graph = lambda pictures: torch.logit(pictures[:, 0, :3, 0].float() / 100)
    winner.class_names, winner.channels, winner.thresholds = ["a", "b", "c"], 1, [0.2, 0.5, 0.9]
    files = [picture_file(np.array([row], np.uint8)) for row in ([30, 60, 10], [10, 40, 80], [90, 10, 95])]
    found = winner.predict(None, pd.DataFrame({"picture": files}))
    assert found["class"].tolist() == ["a|b", "", "a|c"] and list(found.columns) == ["class", "probabilities"]
    np.testing.assert_allclose(found["probabilities"].tolist(), [[0.3, 0.6, 0.1], [0.1, 0.4, 0.8], [0.9, 0.1, 0.95]], atol=1e-6)


def picture_file(pixels: np.ndarray) -> bytes:
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


TRANSFERRED = """\
data: {source: digits}
preprocessing: {name: NAME, colour: COLOUR}
model: {name: lenet5}
transfer: {regime: multi_depth, weights: /gone/weights.safetensors, num_depths: 2}
optimizer: {name: sgd, lr: 0.1}
training: {num_epochs: 1}
"""


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("zca", "stored"),
        ("standardize", "grey"),
        pytest.param("pca_whitening", "grey", marks=pytest.mark.heavy),
        pytest.param("center", "rgb", marks=pytest.mark.heavy),
    ],
)
def test_the_exported_graph_preprocesses_as_training_did(name: str, colour: str, tmp_path: Path) -> None:
    """On pictures of a store, also for a network around a pretrained one, whose own weights are no longer there; the file of an older
    version says nothing of itself.
    """
    import torch
    from tiny import make_store

    from visiontune.exports.graph import WholePicture, program_of
    from visiontune.models.build import build_model
    from visiontune.models.transfer import adapt
    from visiontune.spec.parse import load_recipe
    from visiontune.tracking.winner_model import winner_of_files
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.input.open_pictures import open_pictures
    from visiontune.training.weights_file import save_weights

    recipe, weights = tmp_path / "winner.yaml", tmp_path / "winner.safetensors"
    recipe.write_text(TRANSFERRED.replace("NAME", name).replace("COLOUR", colour))
    made, store = load_recipe(recipe), make_store(num=600, size=8, channels=3)
    before = fit_preprocessing(made.preprocessing, store)
    shape = {"num_classes": 3, "in_channels": before.out_channels, "image_size": 8}
    network = build_model(made.model, **shape, seed=0)
    network = adapt(network, made.transfer, "lenet5", **shape, use_weights=False).eval()
    torch.nn.init.normal_(network.get_parameter("head.weight"))
    save_weights(network, weights, preprocessing=before)

    pictures = open_pictures(store, store.test_idx, torch.device("cpu"), preprocessing=before)
    ((x_nchw, _),) = pictures.batches(np.arange(len(pictures)), [0, len(pictures)])
    graph = program_of(WholePicture(winner_of_files(recipe, weights, {**DATA, "channels": 3})), 3).module()
    with torch.no_grad():
        np.testing.assert_allclose(graph(torch.from_numpy(store.images_NHWC[store.test_idx])), network(x_nchw), rtol=1e-3, atol=1e-3)


def test_what_cannot_be_exported_keeps_recipe_and_weights(client: Any, uri: str, tmp_path: Path) -> None:
    from visiontune.tracking.winner_model import log_winner

    (tmp_path / "winner.yaml").write_text(RECIPE.replace("MODEL", "{name: lenet5}"))
    (tmp_path / "winner.safetensors").write_bytes(b"not weights")
    experiment_id = client.create_experiment("broken winner", (tmp_path / "artifacts").as_uri())
    run_id = client.create_run(experiment_id).info.run_id
    event = {"number": 0, "recipe": str(tmp_path / "winner.yaml"), "weights": str(tmp_path / "winner.safetensors"), "data": DATA}
    assert log_winner(client, uri, tmp_path, experiment_id, run_id, event).startswith("recipe and weights only: ")
    assert len(client.list_artifacts(run_id, "winner")) == 2
    assert log_winner(client, uri, tmp_path, experiment_id, run_id, event | {"weights": ""}).startswith("recipe only: ")


def test_the_sheet_of_the_winner_stands_beside_its_recipe_once(client: Any, tmp_path: Path) -> None:
    from visiontune.tracking.delivery import is_transient
    from visiontune.tracking.mlflow_runs import Runs
    from visiontune.tracking.winner_model import log_artifact

    runs = Runs(client, tmp_path / "artifacts", log_artifact=partial(log_artifact, client, tmp_path))
    sheet = tmp_path / "winner_augmentation.png"
    event = {"event": "artifact", "path": f"/moved/{sheet.name}", "artifact_folder": "winner", "time_ms": T0}
    runs.send([study("sheet")])
    for content in (b"old", b"new", b"new"):
        sheet.write_bytes(content)
        runs.send([event])
    (parent,) = client.search_runs([client.get_experiment_by_name("sheet").experiment_id])
    (logged,) = client.list_artifacts(parent.info.run_id, "winner")
    assert logged.path == "winner/winner_augmentation.png"
    assert Path(client.download_artifacts(parent.info.run_id, logged.path)).read_bytes() == b"new"
    sheet.unlink()
    with pytest.raises(Exception) as error:  # it is set aside, and nothing waits for it
        runs.send([event])
    assert not is_transient(error.value)


def test_a_recipe_of_the_front_is_found_where_its_study_was_moved_to(tmp_path: Path) -> None:
    from visiontune.tracking.winner_model import log_artifact

    class Client:
        def log_artifact(self, run_id: str, path: str, folder: str) -> None:
            assert (Path(path).read_text(), folder) == ("of the front", "front")

    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "00003.yaml").write_text("of the front")
    log_artifact(Client(), tmp_path, "run", {"path": "/moved/front/00003.yaml", "artifact_folder": "front"})
