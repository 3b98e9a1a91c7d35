"""What is exported gives elsewhere what the network gives here: in onnxruntime, torch alone, torchvision and timm."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_classifier import made_classifier
from PIL import Image

from visiontune.data.picture.stored_form import Form
from visiontune.errors import UserError
from visiontune.exports.graph import WholePicture, program_of
from visiontune.exports.model_card import Confirmed, Origin, Written, model_card
from visiontune.exports.write_export import Asked, refuse_wrong, write_export
from visiontune.inference.classifier import Classifier, load_weights_file
from visiontune.spec.parse import load_recipe


def pictures_of(num: int, height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(num).integers(0, 256, (num, height, width, channels), dtype=np.uint8)


def expected(classifier: Classifier, pictures: np.ndarray) -> np.ndarray:
    """By the way that a picture's file takes when it is predicted."""
    logits = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture.squeeze()).save(file, "PNG")
        logits.append(classifier.logits(classifier.picture_of(file.getvalue())[None]))
    return torch.cat(logits).numpy()


@pytest.mark.heavy
def test_both_graphs_give_the_networks_logits_for_pictures_of_any_number_and_size(tmp_path: Path) -> None:
    import onnxruntime

    classifier, store = made_classifier(16, 1, name="wideresnet", depth=10, width=1, stochastic_depth=0.2, dropout=0.3)
    form = Form("raw", (16, 16), (24, 24), 1, is_resized=True, frame="crop")  # with a margin, as stores of large pictures have it
    classifier = replace(classifier, metadata=replace(classifier.metadata, form=form))
    onnx = write_export(classifier, Asked("onnx", tmp_path / "made.onnx"), Origin())
    pt2 = write_export(classifier, Asked("torch", tmp_path / "made.pt2", is_calibrated=True), Origin(), store)
    assert [one.card.name for one in (onnx, pt2)] == ["made.onnx.md", "made.pt2.md"] and "(onnx, fp32)" in onnx.card.read_text()
    session = onnxruntime.InferenceSession(str(onnx.path))
    extra = {"class_names": ""}
    graph = torch.export.load(str(pt2.path), extra_files=extra).module()
    for num, height, width in ((1, 16, 16), (2, 8, 8), (7, 40, 33), (100, 25, 60)):
        pictures = pictures_of(num, height, width, 1)
        logits = expected(classifier, pictures)
        np.testing.assert_allclose(session.run(None, {"pictures": pictures})[0], logits, atol=1e-4)
        with torch.no_grad():
            np.testing.assert_allclose(pt2.temperature * graph(torch.from_numpy(pictures)).numpy(), logits, atol=1e-4)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["class_names"]) == json.loads(extra["class_names"]) == ["class0", "class1", "class2"]
    assert json.loads(metadata["recipe"])["model"] == dict(classifier.recipe.model)
    assert str(tmp_path).encode() not in onnx.path.read_bytes() and b"site-packages" not in onnx.path.read_bytes()


@pytest.mark.heavy
def test_less_precision_says_what_it_costs_and_keeps_resizing_exact(tmp_path: Path) -> None:
    import onnx

    classifier, store = made_classifier(16, 1, name="lenet5")
    for precision, kind in (("int8", onnx.TensorProto.INT8), ("fp16", onnx.TensorProto.FLOAT16)):
        made = write_export(classifier, Asked("onnx", tmp_path / "made.onnx", precision), Origin(), store)
        assert made.val_top1 is not None and abs(made.val_top1[0] - made.val_top1[1]) < 0.1
        assert f"In {precision} val_top1 is {made.val_top1[1]:.4f}" in made.card.read_text()
        assert kind in {one.data_type for one in onnx.load(made.path).graph.initializer if len(one.dims) > 1}


@pytest.mark.heavy
def test_the_printed_lines_load_a_librarys_network_without_this_package(tmp_path: Path) -> None:
    classifier, _ = made_classifier(32, 3, name="resnet18", activation="published", width_factor=1.0)
    forms = {"safetensors": "torchvision", "timm": "timm"}
    snippets = [write_export(classifier, Asked(form, tmp_path / f"{form}.safetensors"), Origin()).snippet for form in forms]
    assert all(f"import json, numpy as np, torch, {library}" in snippet for library, snippet in zip(forms.values(), snippets, strict=True))
    picture = pictures_of(1, 32, 32, 3)
    Image.fromarray(picture[0]).save(tmp_path / "picture.png")
    program = ["import sys", "sys.modules['visiontune'] = None", *(f"{one}\nprint(model(x)[0].tolist())" for one in snippets)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    logits = expected(classifier, picture)[0]
    lines = done.stdout.splitlines()
    assert lines[0] == lines[2] == classifier.class_names[int(logits.argmax())]
    for line in (lines[1], lines[3]):
        np.testing.assert_allclose(json.loads(line), logits, atol=1e-4)


def test_a_network_for_one_number_of_pictures_is_refused() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
            return x_NCHW.reshape(2, -1)[:, :3]

    classifier, _ = made_classifier(16, 1)
    with pytest.raises(UserError, match="for pictures of any number and size"):
        program_of(WholePicture(replace(classifier, network=Fixed())), 1)


def test_a_network_that_is_no_librarys_keeps_its_own_names(tmp_path: Path) -> None:
    classifier, _ = made_classifier(32, 3, name="resnet18", stem="small", width_factor=0.1)
    with pytest.raises(UserError, match=r"timm's resnet18 is another .*fc\.weight.*nearest is `to='safetensors'`"):
        write_export(classifier, Asked("timm", tmp_path / "made.safetensors"), Origin())
    assert not list(tmp_path.iterdir())
    made = write_export(classifier, Asked("safetensors", tmp_path / "made.safetensors"), Origin())
    assert "Pillow" not in made.card.read_text(), "the printed lines don't resize"
    again, pictures = load_weights_file(made.path, "again"), pictures_of(3, 32, 32, 3)
    assert again.metadata == classifier.metadata
    assert torch.equal(again.logits(pictures), classifier.logits(pictures))


def test_names_of_strangers_are_no_markup_in_a_card() -> None:
    classifier, _ = made_classifier(32)
    names = ("<script>alert(1)</script>", "[x](javascript:a)", "a|b`c`")
    evil = replace(classifier, metadata=replace(classifier.metadata, class_names=names))
    card = model_card(evil, Origin(), Written("onnx", "made.onnx"))
    assert r"0 &lt;script&gt;alert(1)&lt;/script&gt;, 1 \[x\](javascript:a), 2 a\|b\`c\`." in card and "<script" not in card


def test_the_recipe_of_a_card_saved_as_a_file_is_the_networks(tmp_path: Path) -> None:
    classifier, _ = made_classifier(16, 1)
    told, _, block = model_card(classifier, Origin(), Written("onnx", "made.onnx")).partition("```yaml\n")
    (tmp_path / "card.yaml").write_text(
        block.partition("```")[0].replace("source: made", "source: digits")
    )  # no source that a file may name
    assert told.rstrip().endswith("Saved as a file, `visiontune train FILE.yaml` trains it again.")
    saved, own = load_recipe(tmp_path / "card.yaml"), classifier.recipe
    assert (saved.model, saved.preprocessing, saved.optimizer, saved.training) == (
        own.model,
        own.preprocessing,
        own.optimizer,
        own.training,
    )


def test_the_card_of_a_network_that_was_trained_on_val_says_whose_figures_it_has(tmp_path: Path) -> None:
    """Its own on the test alone; a temperature can't be fitted to what it was trained on."""
    classifier, store = made_classifier(16, 1)
    classifier = replace(classifier, metadata=replace(classifier.metadata, use_val=True))
    confirmed = tuple(Confirmed(seed, 0.9, math.nan) for seed in range(3))
    origin = Origin("digits", 4, confirmed=confirmed, notes=("trained once more on train and val together: test top1 0.87",))
    card = model_card(classifier, origin, Written("onnx", "made.onnx"))
    assert "Trained once more on train and val together: test top1 0.87." in card and "trained on the validation pictures too" in card
    with pytest.raises(UserError, match="leave out `calibrated=True`"):
        write_export(classifier, Asked("torch", tmp_path / "made.pt2", is_calibrated=True), origin, store)


@pytest.mark.parametrize(
    ("form", "out", "precision", "calibrated", "rule"),
    [
        ("onx", None, "fp32", False, "nearest is 'onnx'"),
        ("onnx", None, "int4", False, "nearest is 'int8'"),
        ("torch", None, "int8", False, "an export to torch has none; nearest is `to='onnx'`"),
        ("timm", None, "fp32", True, "nearest is `to='torch'`"),
        ("torch", Path("a.onnx"), "fp32", False, r"must end in \.pt2, .* nearest is a\.pt2"),
    ],
)
def test_what_no_form_has_is_refused(form: str, out: Path | None, precision: str, calibrated: bool, rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        refuse_wrong(form, out, precision, is_calibrated=calibrated)


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    classifier, _ = made_classifier(16, 1)
    with pytest.raises(UserError, match=r"can't be written .*`out=FILE` names another place"):
        write_export(classifier, Asked("onnx", tmp_path / "folder" / "made.onnx"), Origin())
