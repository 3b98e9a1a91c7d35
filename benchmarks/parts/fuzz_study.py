"""The files of a study, made without a search: what the fuzzer damages, and what reads each of them."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution

from parts.fuzz_examples import RECIPE
from parts.mutations import changed, mutate
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.classifier import load_weights_file
from visiontune.models.build import build_model
from visiontune.spec.declarations.domains import FixedParams
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.tracking.outbox import Outbox
from visiontune.training import checkpoint
from visiontune.training.checks.made_store import make_store
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.weights_file import read_tensors, save_weights
from visiontune.training.weights_metadata import WeightsMetadata
from visiontune.tuning.study.event_log import EventLog, read_events
from visiontune.tuning.study.open_storage import create_or_resume, mend_journal
from visiontune.tuning.study.read_study import read_study

SPACE = {
    "study": "made",
    "data": {"source": "digits"},
    "budget": {"num_trials": 4, "min_epochs": 1, "max_epochs": 9},
    "space": {"model": {"name": {"choice": ["lenet5", "cnn"]}}, "optimizer": {"name": "sgd", "lr": {"float": [1e-3, 1.0], "log": True}}},
}
Read = Callable[[bytes, Path], bool]
Make = Callable[[random.Random], bytes]
_MAGIC, _SHA_BYTES = b"visiontune 3\n", 32


@dataclass(frozen=True)
class StudyFiles:
    """Their contents."""

    journal: bytes
    outbox: bytes
    events: bytes
    winner: bytes
    checkpoint: bytes
    weights: bytes

    @staticmethod
    def made(path: Path) -> StudyFiles:
        """A study of four trials, a checkpoint and a file of weights, in that folder."""
        folder = StudyFolder(path)
        if not folder.winner_weights.exists():
            _make(folder)
        files = (folder.journal, folder.outbox, folder.events, folder.winner, next(folder.checkpoint(0).iterdir()), folder.winner_weights)
        return StudyFiles(*(one.read_bytes() for one in files))

    def makers(self) -> Mapping[str, tuple[Make, Read]]:
        """What makes wrong files and what reads them, by what they are."""
        return {
            "winner.yaml": (_mutated("yaml", self.winner), _winner),
            "journal": (lambda pick: _journals(pick, self.journal), self._journal),
            "checkpoint": (lambda pick: _checkpoints(pick, self.checkpoint), _checkpoint),
            "weights": (lambda pick: _files_of_weights(pick, self.weights), _weights),
            "outbox": (_mutated("jsonl", self.outbox), _outbox),
            "event log": (_mutated("jsonl", self.events), _events),
        }

    def _journal(self, content: bytes, folder: Path) -> bool:
        """Beside its copy, or without one."""
        study = StudyFolder(folder / "made")
        study.path.mkdir(exist_ok=True)
        study.journal.write_bytes(content)
        if zlib.crc32(content) % 2:
            study.journal_copy.write_bytes(self.journal)
        else:
            study.journal_copy.unlink(missing_ok=True)
        mend_journal(study)
        return bool(read_study(study).trials)


def _make(folder: StudyFolder) -> None:
    spec = load_study(SPACE)
    folder.path.mkdir(parents=True)
    outbox, log, storage = Outbox(folder), EventLog(folder.events), create_or_resume(folder, spec)
    key = storage.attributes()["key"]
    outbox.put({"event": "study", "study": "made", "key": key, "params": {"a.b": 1}, "identity": spec.identity(), "time_ms": 1_000})
    for number in range(4):
        params = {"model.name": "lenet5", "optimizer.lr": 0.1 / (number + 1)}
        recipe = make_recipe(spec, spec.space.resolve(FixedParams(params)), number)
        attributes = {"recipe": recipe.to_dict(), "fingerprint": recipe.fingerprint, "proposed_by": "random"}
        distributions = {"model.name": CategoricalDistribution(["lenet5", "cnn"]), "optimizer.lr": FloatDistribution(1e-3, 1.0, log=True)}
        storage.add(params, distributions, attributes, {})
        outbox.put({"event": "trial", "number": number, "params": {"optimizer.lr": 0.1}, "recipe": recipe.to_dict(), "time_ms": 2_000})
        log.write("starts", number, "proposed at random")
        for epoch in (1, 2, 3):
            storage.report(number, epoch, 0.1 * epoch + 0.01 * number)
            outbox.put(
                {"event": "epoch", "number": number, "epoch": epoch, "metrics": {"val_top1": 0.5}, "objective": 0.5, "time_ms": 3_000}
            )
    outbox.put({"event": "end", "number": 0, "status": "FINISHED", "reason": "full", "time_ms": 4_000})
    outbox.put({"event": "study_end", "status": "FINISHED", "metrics": {"best": 0.5}, "time_ms": 5_000})
    _make_weights(folder)


def _make_weights(folder: StudyFolder) -> None:
    given = {"model": {"name": "lenet5", "width": 1}, "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"num_epochs": 1}}
    recipe = load_recipe({"data": {"source": "digits"}, **given})
    store = make_store(num=60, size=16, channels=1)
    network = build_model(recipe.model, num_classes=3, in_channels=1, image_size=16, seed=0)
    preprocessing = fit_preprocessing(recipe.preprocessing, store)
    save_weights(network, folder.winner_weights, WeightsMetadata.of(recipe, store).to_strings(), preprocessing)
    checkpoint.save(folder.checkpoint(0), 1, {"epoch": 1, "model": network.state_dict(), "optimizer": {"lr": [0.1], "step": 3}})
    folder.winner.write_bytes(RECIPE.replace(b"plugins: [NAME.py]\n", b""))


def _mutated(kind: str, example: bytes) -> Make:
    return lambda pick: mutate(pick, example, [example], kind)


def summed(content: bytes) -> bytes:
    """A journal with sums that are right for what its lines say, where they are JSON."""
    lines = []
    for line in content.split(b"\n"):
        try:
            log = json.loads(line)
            log.pop("crc", None)
            text = (json.dumps(log, separators=(",", ":")) + "\n").encode()
            line = json.dumps({**log, "crc": zlib.crc32(text)}, separators=(",", ":")).encode()
        except (ValueError, AttributeError, RecursionError, TypeError):
            pass
        lines.append(line)
    return b"\n".join(lines)


def sealed(body: bytes) -> bytes:
    """A checkpoint with a digest that is right."""
    return _MAGIC + hashlib.sha256(body).digest() + body


def reheaded(content: bytes, change: Callable[[Any], Any]) -> bytes:
    """A file of weights with another header, its length right."""
    size = int.from_bytes(content[:8], "little")
    text = json.dumps(change(json.loads(content[8 : 8 + size]))).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def _journals(pick: random.Random, content: bytes) -> bytes:
    found = mutate(pick, content, [content], "jsonl")
    return summed(found) if pick.random() < 0.5 else found


def _checkpoints(pick: random.Random, content: bytes) -> bytes:
    """Most with a digest that is right, and some a pickle that would run a program."""
    found = mutate(pick, content, [content], "bytes")
    if pick.random() < 0.1:
        return sealed(pick.choice((b"cos\nsystem\n(S'touch ../ran'\ntR.", b"\x80\x04cbuiltins\neval\n(S'1'\ntR.")))
    return found if pick.random() < 0.2 else sealed(found[len(_MAGIC) + _SHA_BYTES :])


def _files_of_weights(pick: random.Random, content: bytes) -> bytes:
    """Most with another header: names, types, shapes, offsets, the recipe in the metadata."""

    def change(header: Any) -> Any:
        strings = header["__metadata__"]
        name = pick.choice([*strings])
        if pick.random() >= 0.6:
            return changed(pick, header)
        strings[name] = json.dumps(changed(pick, json.loads(strings[name]) if strings[name][0] in "[{" else strings[name]))
        return header

    return mutate(pick, content, [content], "bytes") if pick.random() < 0.3 else reheaded(content, change)


def _winner(content: bytes, folder: Path) -> bool:
    path = folder / "winner.yaml"
    path.write_bytes(content)
    return bool(load_recipe(path).fingerprint)


def _checkpoint(content: bytes, folder: Path) -> bool:
    (folder / "epoch-000001.ckpt").write_bytes(content)
    return checkpoint.load_newest(folder) is not None


def _weights(content: bytes, folder: Path) -> bool:
    path = folder / "winner.safetensors"
    path.write_bytes(content)
    read_tensors(path)
    classifier = load_weights_file(path, "fuzzed")
    with torch.inference_mode():
        assert classifier.network is not None
    return True


def _events(content: bytes, folder: Path) -> bool:
    study = StudyFolder(folder)
    study.events.write_bytes(content)
    return bool([str(event) for event in read_events(study.events)])


def _outbox(content: bytes, folder: Path) -> bool:
    """To a server that takes everything; what is no event is left out, what it can't take is set aside."""
    from visiontune.tracking.delivery import Delivery  # MLflow takes seconds to import
    from visiontune.tracking.mlflow_runs import Runs

    study = StudyFolder(folder)
    study.outbox.write_bytes(content)
    study.outbox_sent.unlink(missing_ok=True)
    study.outbox_refused.unlink(missing_ok=True)
    delivery = Delivery(study, "http://nowhere", lambda: Runs(_Server(), None))
    while delivery.step():
        pass
    return not study.outbox_refused.exists()


class _Server:
    """An MlflowClient's answers where there was nothing before."""

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str, location: str | None) -> str:
        return "1"

    def get_experiment(self, number: str) -> Any:
        return SimpleNamespace(tags={}, lifecycle_stage="active")

    def get_run(self, number: str) -> Any:
        return SimpleNamespace(
            info=SimpleNamespace(run_id=number, lifecycle_stage="active", status="RUNNING"), data=SimpleNamespace(tags={})
        )

    def search_runs(self, *_: Any) -> Any:
        return _Page()

    def create_run(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(info=SimpleNamespace(run_id="r"))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class _Page(list[Any]):
    token = ""
