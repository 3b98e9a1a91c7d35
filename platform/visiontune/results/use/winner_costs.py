"""What a study's winner costs to use, measured on the device at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.inference.latency import BATCHES, Latency, latency, peak_memory_bytes
from visiontune.results.use.trained_network import winner_classifier


@dataclass(frozen=True)
class WinnerCosts:
    """`latencies` are by the number of pictures at once; `peak_memory_bytes`, by the same, of a GPU only. `file_bytes` are the weights'."""

    device: str
    num_threads: int
    file_bytes: int
    latencies: Mapping[int, Latency]
    peak_memory_bytes: Mapping[int, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **vars(self),
            "latencies": {str(batch): vars(one) for batch, one in self.latencies.items()},
            "peak_memory_bytes": {str(batch): num for batch, num in self.peak_memory_bytes.items()},
        }

    def __str__(self) -> str:
        threads = f", {self.num_threads} thread{'s'[self.num_threads == 1 :]}" if self.device == "cpu" else ""
        lines = [f"the winner here ({self.device}{threads}), from pictures to logits; its file of weights has {self.file_bytes:,} bytes:"]
        for batch, one in self.latencies.items():
            memory = f", {self.peak_memory_bytes[batch]:,} bytes at most" if batch in self.peak_memory_bytes else ""
            pictures = f"{batch} picture{'s'[batch == 1 :]} at once"
            lines.append(f"  {pictures}: {one.median_ms:.3g} ms, 95 % below {one.p95_ms:.3g} ms ({one.num_calls} calls){memory}")
        return "\n".join(lines)


def winner_costs(folder: StudyFolder, cache: Path, device: str) -> WinnerCosts:
    """Measure it now; some seconds. Raises UserError as `winner_classifier`."""
    classifier = winner_classifier(folder, cache).to(device)
    latencies = {batch: latency(classifier, batch) for batch in BATCHES}
    peaks = {batch: peak for batch in BATCHES if (peak := peak_memory_bytes(classifier, batch)) is not None}
    name = torch.cuda.get_device_name(classifier.device) if classifier.device.type == "cuda" else device
    return WinnerCosts(name, torch.get_num_threads(), folder.winner_weights.stat().st_size, latencies, peaks)
