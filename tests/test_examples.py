"""The notebooks of examples/ run from their first cell to their last; a search in a notebook shows itself and can be interrupted.

The notebooks' searches are without Ray, which the interrupted one has.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from places import PLATFORM, ROOT
from search_here import CELL

from visiontune import load_study

SMALLER = {'"num_trials": 6': '"num_trials": 3', '"max_epochs": 9': '"max_epochs": 3', '"num_seeds": 3': '"num_seeds": 2'}
"""What a notebook searches, and what it does here: each of its cells has the same to show."""
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
SEARCH = """
import visiontune
space = {
    "study": "kernel", "data": {"source": "digits", "image_size": 8}, "resources": {"max_concurrent_trials": 1},
    "budget": {"num_trials": 2, "max_epochs": 27, "min_epochs": 27}, "confirm": {"num_seeds": 0},
    "space": {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": {"float": [0.01, 0.2]}}},
}
study = visiontune.search(space)
print(study.status, len(study.trials))
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("VISIONTUNE_STUDIES", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PLATFORM), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / ".ipython"))
    return tmp_path


def test_there_are_two_notebooks_and_they_are_stored_without_outputs() -> None:
    assert len(NOTEBOOKS) == 2
    for path in NOTEBOOKS:
        assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in nbformat.read(path, 4).cells), path


@pytest.mark.heavy
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, place: Path) -> None:
    book = nbformat.read(path, 4)
    for cell in book.cells:
        cell.source = re.sub("|".join(SMALLER), lambda found: SMALLER[found[0]], cell.source)
    book.cells.insert(0, nbformat.v4.new_code_cell(CELL))
    NotebookClient(book, timeout=240, resources={"metadata": {"path": str(place)}}).execute()
    shown = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if is_complaint(output)], shown
    assert any("epochs a minute" in output.get("data", {}).get("text/plain", "") for output in shown)  # the search showed itself


def is_complaint(output: Any) -> bool:
    """An error or a warning; not that MLflow, on a machine that is busy, gets the last events later."""
    is_late = output.get("text", "").startswith("MLflow does not have") and "they are being sent" in output["text"]
    return output.output_type == "error" or (output.get("name") == "stderr" and not is_late)


@pytest.fixture
def kernel(place: Path) -> Iterator[tuple[KernelManager, Any]]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(place))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def reply_to(request: str, client: Any) -> dict[str, Any]:
    """Its content; late answers to the questions of `wait_for_ready` may come first."""
    while (message := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != request:
        continue
    content: dict[str, Any] = message["content"]
    return content


@pytest.mark.ray
def test_an_interrupted_cell_stops_cleanly_and_the_same_cell_goes_on(kernel: tuple[KernelManager, Any], place: Path) -> None:
    manager, client = kernel
    request = client.execute(SEARCH)
    events, deadline = place / "studies" / "kernel" / "outbox.jsonl", time.monotonic() + 90
    while not (events.exists() and '"event":"epoch"' in events.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    manager.interrupt_kernel()
    reply = reply_to(request, client)
    assert (reply["status"], reply.get("ename")) == ("error", "Interrupted"), reply
    assert "the same call goes on" in reply["evalue"]
    known = load_study("kernel", studies_dir=place / "studies").curves

    said: list[dict[str, Any]] = []
    client.execute_interactive(SEARCH, timeout=120, output_hook=said.append)
    assert "finished 2" in "".join(one["content"]["text"] for one in said if one["msg_type"] == "stream"), said
    shown = [one["content"] for one in said if one["msg_type"] in ("display_data", "update_display_data")]
    assert len(shown) > 1 and len({one["transient"]["display_id"] for one in shown}) == 1  # one output, replaced
    assert not [one for one in said if one["msg_type"] == "clear_output"]  # as Tune's own reporter would
    outputs = [nbformat.v4.output_from_msg(one) for one in said if one["msg_type"] in ("stream", "error")]
    assert not [one for one in outputs if is_complaint(one)], outputs
    curves = load_study("kernel", studies_dir=place / "studies").curves
    for number in known:
        kept = known[number].dropna()
        assert len(kept) and curves[number][kept.index].tolist() == kept.tolist()
