"""A trained network on files: what training's own evaluation says of them, from every kind of input, in every form of output."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from made_classifier import made_classifier
from onnx import helper, numpy_helper
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny import make_recipe, model_section

from visiontune import UserError, evaluate, predict
from visiontune.cli import main
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.inference.classifier import Classifier
from visiontune.inference.find_pictures import Given, find_pictures
from visiontune.inference.predict import Prediction, predictions
from visiontune.results.checks.study_check import lines
from visiontune.results.inspection.inspection_views import View
from visiontune.results.inspection.study_inspection import Inspection
from visiontune.results.use.evaluation import Confusion, Evaluation
from visiontune.results.use.find_classifier import find_classifier
from visiontune.results.use.labelled_pictures import class_notes, of_network, what_is_left_out
from visiontune.results.use.predictions import Predictions
from visiontune.training.checks.check import Check
from visiontune.training.class_figures import ClassTable
from visiontune.training.loop import train
from visiontune.training.weights_file import save_weights
from visiontune.training.weights_metadata import WeightsMetadata, read_metadata

COLOURS = {"blue": (70, 90, 150), "green": (80, 140, 90), "red": (150, 90, 80)}


@dataclass(frozen=True)
class Trained:
    pictures: Path
    weights: Path
    studies: Path
    metrics: dict[str, float]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """LeNet-5 after two epochs of noisy JPEG photographs in three colours, which lie in the store at 1.14 times the training size."""
    folder, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(0)
    for part, num in (("train", 16), ("val", 20), ("test", 4)):
        for name, colour in COLOURS.items():
            (folder / "pictures" / part / name).mkdir(parents=True)
            for number in range(num):
                noise = rng.normal(0, 40, 3) + rng.normal(0, 30, (100, 180, 3))
                picture = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / "pictures" / part / name / f"{number:02}.jpg")
    data = {"source": "folder", "path": str(folder / "pictures"), "image_size": 72}
    recipe = make_recipe(model_section("lenet5"), "adamw", optimizer_args={"lr": 0.002}, data=data, num_epochs=2)
    store = Store.open(prepare(data, folder / "studies" / ".data"))
    assert store.stored_size == store.image_size + 8
    *_, last = train(recipe, store)
    save_weights(last.model, folder / "w.safetensors", WeightsMetadata.of(recipe, store).to_strings(), last.preprocessing)
    return Trained(folder / "pictures", folder / "w.safetensors", folder / "studies", dict(last.metrics))


def said_of(trained: Trained, pictures: object, **how: object) -> list[Prediction]:
    return list(predict(trained.weights, pictures, studies_dir=trained.studies, **how))  # type: ignore[arg-type]


def test_predictions_of_the_validation_files_are_what_training_measured(trained: Trained) -> None:
    found = said_of(trained, trained.pictures / "val", classes=3)
    assert [one.path for one in found] == sorted(map(str, (trained.pictures / "val").rglob("*.jpg")))
    num_right = sum(one.class_name == Path(one.path).parent.name for one in found)
    assert 20 < num_right < 60 and num_right == trained.metrics["val_top1"] * 60
    own = evaluate(trained.weights, studies_dir=trained.studies)
    assert own.metrics["top1"] == trained.metrics["val_top1"] and own.num_pictures == 60
    assert own.metrics["loss"] == pytest.approx(trained.metrics["val_loss"], rel=1e-5)
    log_p = [np.log(dict(zip(one.classes, one.probabilities, strict=True))[Path(one.path).parent.name]) for one in found]
    assert -np.mean(log_p) == pytest.approx(trained.metrics["val_loss"], rel=1e-5)


def test_a_network_that_was_trained_on_val_says_so_of_what_is_measured_there(trained: Trained, tmp_path: Path) -> None:
    known = read_metadata(trained.weights)
    assert known is not None and not known.use_val
    tensors = load_file(trained.weights)
    save_file(tensors, tmp_path / "w.safetensors", replace(known, use_val=True).to_strings())
    found = evaluate(tmp_path / "w.safetensors", studies_dir=trained.studies)
    assert found.notes and "trained on the validation pictures too" in found.notes[0]
    with pytest.raises(UserError, match="leave out `calibrated=True`"):
        predict(tmp_path / "w.safetensors", trained.pictures / "test", studies_dir=trained.studies, calibrated=True)


def test_a_picture_is_the_same_however_it_is_given(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    file = trained.pictures / "test" / "red" / "02.jpg"
    image = Image.open(file)
    given = [file, str(file), file.as_uri(), file.read_bytes(), image, np.asarray(image), str(file.parent / "*[2].jpg")]
    found = said_of(trained, given)
    assert [one.path for one in found] == [str(file), str(file), file.as_uri(), "3", "4", "5", str(file)]
    assert not any(one.problem for one in found)
    by_file = [one.probability for one in found]
    assert by_file[:4] + by_file[6:] == [by_file[0]] * 5
    assert by_file[4:6] == pytest.approx([by_file[0]] * 2, abs=0.01)  # two builds of libjpeg
    assert said_of(trained, image)[0].probability == pytest.approx(by_file[4], abs=1e-6)
    grey, alpha = np.zeros((5, 9), np.uint8), np.zeros((80, 80, 4), np.uint8)
    black, white = said_of(trained, [grey, alpha])
    assert black.probability == pytest.approx(said_of(trained, np.zeros((80, 80, 3), np.uint8))[0].probability, abs=1e-6)
    assert white.probability == pytest.approx(said_of(trained, np.full((80, 80, 3), 255, np.uint8))[0].probability, abs=1e-6)
    monkeypatch.chdir(trained.pictures)
    assert [one.path for one in said_of(trained, "test/**/0[01].jpg")] == [f"test/{name}/0{k}.jpg" for name in COLOURS for k in (0, 1)]


def test_what_can_not_be_used_is_told_and_nothing_else_suffers(trained: Trained, tmp_path: Path) -> None:
    shutil.copytree(trained.pictures / "test" / "red", tmp_path / "new")
    (tmp_path / "new" / "03.jpg").rename(tmp_path / "new" / "03\n.jpg")
    (tmp_path / "new" / "01.jpg").write_bytes((tmp_path / "new" / "01.jpg").read_bytes()[:700])
    (tmp_path / "new" / "notes.txt").write_text("no picture by its name")
    (tmp_path / "new" / ".hidden.jpg").write_text("hidden")
    found = said_of(trained, iter([tmp_path / "new", tmp_path / "gone.jpg", b"", np.zeros((3, 3)), "s4://x/y.jpg", ""]))
    assert [Path(one.path).name for one in found] == ["00.jpg", "01.jpg", "02.jpg", "03\n.jpg", "gone.jpg", "2", "3", "y.jpg", "''"]
    assert [bool(one.classes) for one in found] == [True, False, True, True, *[False] * 5]
    reasons = ("trunc", "there is no gone.jpg", "has no bytes", r"must be uint8 .* but is float64 \(3, 3\)", "s4", "empty string")
    for reason, one in zip(reasons, (one for one in found if one.problem), strict=True):
        assert re.search(reason, one.problem), one
    with pytest.raises(UserError, match=r"there is no .*pictures/tset; nearest is '/.*/pictures/test'"):
        predict(trained.weights, [trained.pictures / "tset"], studies_dir=trained.studies)
    for nothing in ("", ["", trained.pictures]):  # an unset variable is not the folder where one is
        with pytest.raises(UserError, match=r"^PICTURES.* an empty string"):
            predict(trained.weights, nothing, studies_dir=trained.studies)
    assert ["empty string" in one.problem for one in said_of(trained, iter([""]))] == [True]
    with pytest.raises(UserError, match="but got int"):
        predict(trained.weights, 3, studies_dir=trained.studies)


def test_an_instrument_is_no_photograph(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The test pictures with 12 bits in files of 16: refused, and with their range said the same as those of 8 to a level of grey."""
    for number, file in enumerate(files := sorted((trained.pictures / "test").rglob("*.jpg"))):
        values = cv2.imread(str(file)).astype(np.uint16) * 16
        cv2.imwrite(str(tmp_path / f"{number:02}.tiff"), values)
    words = ["predict", str(trained.weights), str(tmp_path), "--csv", "--studies-dir", str(trained.studies)]
    assert main(words) == 2
    said = capsys.readouterr()
    assert not said.out and re.search(
        r"12 of the 12 pictures have more than 8 bits, with values from 0 to 4,080, .* --depth 0 4095", said.err
    )
    assert main([*words, "--depth", "0", "4080"]) == 0
    found = [row["class"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert found == [one.class_name for one in said_of(trained, files)]


def test_pictures_without_end_are_taken_as_they_are_needed(trained: Trained) -> None:
    taken = itertools.count()

    def endless() -> Iterator[bytes]:
        content = (trained.pictures / "test" / "red" / "00.jpg").read_bytes()
        while next(taken) < 1_000_000:
            yield content

    found = predict(trained.weights, endless(), studies_dir=trained.studies)
    assert [one.class_name for one in itertools.islice(found, 300)] == [next(iter(found)).class_name] * 300
    assert next(taken) < 2_000


def test_views_and_temperature_are_those_of_their_definition(trained: Trained) -> None:
    classifier = find_classifier(trained.weights, StudiesFolder.of(trained.studies), device="cpu").classifier
    assert isinstance(classifier, Classifier)
    content = (trained.pictures / "test" / "red" / "00.jpg").read_bytes()
    picture = classifier.picture_of(content)
    both = classifier.logits(np.stack([picture, picture[:, ::-1]])).softmax(1)
    (one,) = said_of(trained, content, test_time="flip", classes=3)
    expected = dict(zip(classifier.class_names, both.mean(0).tolist(), strict=True))
    assert dict(zip(one.classes, one.probabilities, strict=True)) == pytest.approx(expected, abs=1e-6)
    calibrated = evaluate(trained.weights, calibrated=True, studies_dir=trained.studies)
    assert calibrated.metrics["loss"] < trained.metrics["val_loss"] and calibrated.metrics["top1"] == trained.metrics["val_top1"]
    (hot,) = predictions(classifier, iter([Given("x", lambda: content)]), top=3, temperature=1e9)
    assert hot.probabilities == pytest.approx([1 / 3] * 3)
    with pytest.raises(
        UserError, match="test_time must be one of these views, but got 'flp'; nearest is 'flip'; choices: none, flip, ten_crops"
    ):
        said_of(trained, content, test_time="flp")


def test_another_set_is_matched_by_name_and_told_from_what_was_trained_on(trained: Trained, tmp_path: Path) -> None:
    test = evaluate(trained.weights, trained.pictures, studies_dir=trained.studies)
    assert (test.what, test.num_pictures) == ("the test part of folder", 12)
    assert test.notes == ("12 of the 12 pictures are test pictures of the search",)
    shutil.copytree(trained.pictures / "train" / "red", tmp_path / "red")
    shutil.copytree(trained.pictures / "train" / "green", tmp_path / "Green")
    with pytest.raises(UserError, match=r"does not know 'Green' \(nearest is green\); rename"):
        evaluate(trained.weights, tmp_path, studies_dir=trained.studies)
    left = evaluate(trained.weights, tmp_path, skip_unknown=True, studies_dir=trained.studies)
    assert left.num_pictures == 16 and left.classes.support == (0, 0, 16) and left.classes.classes == ("blue", "green", "red")
    assert "16 of the 16 pictures are training pictures: then the figure is no test" in left.notes
    assert "left out are 16 pictures of classes that the network does not know: 'Green' (nearest is green)" in left.notes
    assert any("no picture of 2 of the network's 3 classes: blue, green" in note for note in left.notes)
    assert left.metrics["top1"] == left.classes.recall[2] == left.metrics["balanced_accuracy"]
    assert "top5" in left.metrics and "top5" not in str(left), "of three classes it is the share whose class is not the last"
    some = evaluate(trained.weights, trained.pictures / "train", max_pictures=12, studies_dir=trained.studies)
    assert some.classes.support == (4, 4, 4)
    with pytest.raises(UserError, match="makes them as the network's training did, but got image_size, seed"):
        evaluate(trained.weights, trained.pictures, seed=1, image_size=8, studies_dir=trained.studies)
    assert list(class_notes(["a", "b"], ["a", "b"], "", is_skipping=False)) == []


def test_labels_are_read_as_those_of_the_training_pictures_unless_it_is_said_otherwise(trained: Trained, tmp_path: Path) -> None:
    known = read_metadata(trained.weights)
    assert known is not None
    in_texts = replace(known, recipe=replace(known.recipe, data={**known.recipe.data, "label_from": "text"}))
    save_file(load_file(trained.weights), tmp_path / "w.safetensors", in_texts.to_strings())
    (tmp_path / "new").mkdir()
    for file in (trained.pictures / "test").rglob("*.jpg"):
        shutil.copy(file, tmp_path / "new" / f"{file.parent.name}{file.name}")
        (tmp_path / "new" / f"{file.parent.name}{file.stem}.txt").write_text(file.parent.name)
    found = evaluate(tmp_path / "w.safetensors", tmp_path / "new", studies_dir=trained.studies)
    assert found.metrics == evaluate(trained.weights, trained.pictures / "test", studies_dir=trained.studies).metrics
    assert found.notes[0] == "labels are read as those of the training pictures: label_from=text"
    for how in ({"label_from": "folder"}, {"data": {"source": "folder", "path": str(tmp_path / "new"), "label_from": "folder"}}):
        given = {"data": tmp_path / "new"} | how
        with pytest.raises(UserError, match="there are no folders of classes"):
            evaluate(tmp_path / "w.safetensors", studies_dir=trained.studies, **given)


def test_of_several_labels_those_that_are_unknown_are_left_out_and_a_picture_that_had_no_other() -> None:
    """Classes a, b and new; the network knows b and a, in that order."""
    sets, number_C, given_N = ((), (0,), (0, 1), (0, 2), (1, 2), (2,)), np.array([1, 0, -1]), np.array([0, 1, 2, 3, 4, 5, 5])
    label_N, known = of_network(given_N, sets, number_C)
    assert label_N.tolist() == [0, 1, 2, 3, 4, -1, -1] and known == ((), (1,), (0, 1), (1,), (0,), ())
    said = "left out are 4 labels that the network does not know, and 2 pictures that had no other"
    assert what_is_left_out(given_N, label_N, sets, number_C) == said


def test_a_source_that_moved_is_told_where_it_is_needed(trained: Trained, tmp_path: Path) -> None:
    metadata = read_metadata(trained.weights)
    assert metadata is not None
    gone = replace(metadata, recipe=replace(metadata.recipe, data={**metadata.recipe.data, "path": str(tmp_path / "gone")}))
    with safe_open(trained.weights, "pt") as file:
        save_file({key: file.get_tensor(key) for key in file.keys()}, tmp_path / "w.safetensors", gone.to_strings())  # noqa: SIM118
    moved = replace(trained, weights=tmp_path / "w.safetensors")
    assert len(said_of(moved, trained.pictures / "test")) == 12
    assert "whether they were trained on is not known" in str(evaluate(moved.weights, trained.pictures, studies_dir=trained.studies).notes)
    for call in (lambda: said_of(moved, trained.pictures, calibrated=True), lambda: evaluate(moved.weights, studies_dir=trained.studies)):
        with pytest.raises(UserError, match=r"the network was trained with can't be had: .* there is no .*gone"):
            call()


def test_what_a_spreadsheet_would_run_is_a_text_in_csv_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def found() -> Predictions:
        return Predictions(iter([Prediction("=a.png", ("-1+1|x", "cat"), (0.75, 0.25)), Prediction("b.png", ("@me", "x"), (0.5, 0.5))]), 2)

    found().print("csv")
    assert capsys.readouterr().out.splitlines()[1:] == ["'=a.png,'-1+1|x,0.75,cat,0.25,", "b.png,'@me,0.5,x,0.5,"]
    found().print("json")
    assert [json.loads(line)["path"] for line in capsys.readouterr().out.splitlines()] == ["=a.png", "b.png"]


def test_names_that_would_move_a_terminals_cursor_are_shown_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b[2Jred\n"
    found = Predictions(iter([Prediction(evil, (evil,), (0.75,)), Prediction(evil, (), (), problem=f"is no {evil}")]), 1, notes=(evil,))
    found.print("table")
    said = "".join(capsys.readouterr())
    figures = ClassTable((evil, "b"), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5), (2, 2), ((1, 1), (1, 1)))
    metrics = {"top1": 0.5, "calibration_error": 0.1}
    said += str(Evaluation(evil, 4, metrics, (0.1, 0.9), figures, (Confusion(evil, "b", 1),), {}, notes=(evil,)))
    said += str(Inspection("s", Path("x"), (View("mistakes", "wrong", (evil,)),)))
    said += "\n".join(lines(Check("labels", "look", f"takes b for {evil}", f"leave {evil} out")))
    assert said.count(r"\x1b[2Jred\n") == 15 and "\x1b" not in said and "red\n" not in said


@pytest.mark.parametrize("kind", ["csv", "json", "table"])
def test_of_no_picture_there_is_no_head(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="there is no picture among what was given"):
        Predictions(iter(()), 1).print(kind)
    assert capsys.readouterr().out == ""


def test_of_several_classes_all_are_given_and_those_above_their_thresholds_told(capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: sigmoids of the very logits against a threshold for each class."""
    classifier, store = made_classifier()
    p_NK = 1 / (1 + np.exp(-classifier.logits(store.images_NHWC[:6].copy()).double().numpy()))
    at_K = np.quantile(p_NK, 0.5, axis=0)
    several = classifier.knowing(replace(classifier.metadata, thresholds=tuple(at_K.tolist())))
    names = np.array(several.class_names)

    def found(top: int, shown: int | None = None) -> Predictions:
        given = (Given(f"{row}", partial(np.copy, image)) for row, image in enumerate(store.images_NHWC[:6]))
        return Predictions(predictions(several, given, top=top), top, num_shown=shown, has_many=True)

    for p_K, one in zip(p_NK, found(3), strict=True):
        order = np.argsort(-p_K)
        assert one.classes == tuple(names[order]) and one.probabilities == pytest.approx(p_K[order])
        assert one.predicted == tuple(name for name, k in zip(names[order], order, strict=True) if p_K[k] >= at_K[k])
    found(2).print("csv")
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert list(rows[0]) == ["path", "predicted", "class", "probability", "class_2", "probability_2", "problem"]
    found(3).print("json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert ["|".join(line["predicted"]) for line in lines] == [row["predicted"] for row in rows]
    assert {len(line["classes"]) for line in lines} == {3} and {len(line["predicted"]) for line in lines} != {0}
    found(3, shown=1).print("table")
    assert capsys.readouterr().out.splitlines()[0].split() == ["path", "predicted", "class", "probability"]


def test_the_command_line_writes_csv_json_and_a_table(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.png").write_bytes(b"none")
    words = [str(trained.weights), str(trained.pictures / "test" / "red"), str(tmp_path / "bad.png"), "--studies-dir", str(trained.studies)]
    assert main(["predict", *words, "--classes", "2"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["path", "class", "probability", "class_2", "probability_2", "problem"] and len(rows) == 5
    assert rows[4]["class"] == "" and "is truncated" in rows[4]["problem"] and "1 of 5 pictures could not be used" in err
    assert main(["predict", *words, "--out", str(tmp_path / "p.json")]) == 0
    lines = [json.loads(line) for line in (tmp_path / "p.json").read_text().splitlines()]
    assert [line["classes"][0]["class"] for line in lines[:4]] == [row["class"] for row in rows[:4]] and "problem" in lines[4]
    assert float(rows[0]["probability"]) == lines[0]["classes"][0]["probability"]
    assert main(["predict", str(trained.weights), str(tmp_path / "bad.png"), "--out", str(tmp_path / "none.csv")]) == 2
    assert not (tmp_path / "none.csv").exists() and "1 of 1 picture could not be used" in capsys.readouterr().err
    assert main(["evaluate", *words[:1], "--json", "--diagram", str(tmp_path / "r.png"), *words[3:]]) == 0
    assert json.loads(capsys.readouterr().out)["num_pictures"] == 60 and (tmp_path / "r.png").stat().st_size > 5_000
    predict(trained.weights, [trained.pictures / "test" / "red", b"x"], studies_dir=trained.studies).print()
    assert [len(line.split()) for line in capsys.readouterr().out.splitlines()[:5]] == [3] * 5


def test_an_onnx_model_that_says_how_its_pictures_are_made_is_asked_like_weights(trained: Trained, tmp_path: Path) -> None:
    """A graph by hand: the logit of a class is the mean of its colour, of which the classes have their names."""
    picture, logits = (helper.make_tensor_value_info(*one) for one in (("x", 2, ["n", "h", "w", 3]), ("y", 1, ["n", 3])))
    nodes = [
        helper.make_node("Cast", ["x"], ["float"], to=1),
        helper.make_node("ReduceMean", ["float", "axes"], ["mean"], keepdims=0),
        helper.make_node("Gather", ["mean", "order"], ["y"], axis=1),
    ]
    constants = [numpy_helper.from_array(np.array(value), name) for name, value in (("axes", [1, 2]), ("order", [2, 1, 0]))]
    model = helper.make_model(helper.make_graph(nodes, "g", [picture], [logits], constants), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(UserError, match="doesn't say its classes"):
        predict(tmp_path / "m.onnx", trained.pictures)
    metadata = read_metadata(trained.weights)
    assert metadata is not None
    helper.set_model_props(model, metadata.to_strings())
    onnx.save(model, tmp_path / "m.onnx")
    found = evaluate(tmp_path / "m.onnx", studies_dir=trained.studies)
    own = list(predict(tmp_path / "m.onnx", trained.pictures / "val", test_time="flip"))
    num_right = sum(one.class_name == Path(one.path).parent.name for one in own)
    assert num_right == round(found.metrics["top1"] * 60) > 30
    (one,) = predict(tmp_path / "m.onnx", np.full((90, 120, 3), (7, 5, 6), np.uint8), classes=3)
    assert one.classes == ("red", "blue", "green") and one.probabilities == pytest.approx(np.exp([0, -1, -2]) / np.exp([0, -1, -2]).sum())
    with pytest.raises(UserError, match="can't be read by onnxruntime"):
        (tmp_path / "bad.onnx").write_bytes(b"none")
        predict(tmp_path / "bad.onnx", trained.pictures)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "w.safetensors", "x.png"], "there is no x.png"),
        (["predict", "w.safetensors", ""], "PICTURES must be pictures, folders or patterns of them, but one is an empty string"),
        (["predict", "nowhere", "."], "no study 'nowhere'"),
        (["predict", "a/w.safetensors", "."], "there is no file a/w.safetensors"),
        (["predict", "nowhere", ".", "--device", "gpu"], "no study 'nowhere'"),
        (["predict", "w.safetensors", "x.zip/a"], "there is no x.zip/a"),
        (["evaluate", "nowhere", "--diagram", "x.jpg"], "--diagram draws a picture, such as reliability.png"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VISIONTUNE_STUDIES", raising=False)
    assert main(words) == 2
    assert said in (err := capsys.readouterr().err) and len(err.splitlines()) == 1


def test_names_of_a_folder_or_archive_come_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.PNG", "a.png", "c.jpg", "b/.x/3.png", "b/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["a.png", "c.jpg", "b/1.PNG", "b/2.png"]
    assert [Path(one.name).relative_to(tmp_path).as_posix() for one in find_pictures(tmp_path)] == expected
    archive = shutil.make_archive(str(tmp_path.parent / f"{tmp_path.name}s"), "zip", tmp_path)
    assert [one.name for one in find_pictures(archive)] == [f"{archive}/{name}" for name in expected]
    assert [one.name for one in find_pictures(f"{archive}/b/2.png")] == [f"{archive}/b/2.png"]
