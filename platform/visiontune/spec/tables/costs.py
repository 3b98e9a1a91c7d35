"""What a trial costs to use, by the names under which it may be bounded, shown and drawn."""

from __future__ import annotations

KNOWN_COSTS = {
    "num_parameters": "parameters, auxiliary classifiers too",
    "multiply_adds": "of convolutions and matrix products for one picture, auxiliary classifiers too",
    "weight_bytes": "of parameters and buffers; a file of weights has a few kilobytes more",
}
"""Known of a recipe before anything is trained."""

MEASURED_COSTS = {
    "latency_ms": "milliseconds from one uint8 picture to its logits: the median, measured where the trial runs",
    "latency_p95_ms": "the same, which 95 % of the calls stay below",
    "latency_64_ms": "the same of 64 pictures at once: the median",
    "latency_64_p95_ms": "the same, which 95 % of the calls stay below",
}
"""Measured on the untrained network, since weights make no difference."""

COSTS = {**KNOWN_COSTS, **MEASURED_COSTS}
"""What constraints may bound."""

SPENT_COSTS = {
    "train_s": "seconds of all epochs of a trial, validation included",
    "gpu_hours": "the same in hours, times the GPUs of the trial",
    "price": "the same in hours of workers, times resources.price_per_hour",
}
"""What training took, known afterwards."""

FORMER_COSTS = {
    **dict.fromkeys(("params", "parameters", "num_params"), "which is num_parameters here"),
    **dict.fromkeys(("macs", "flops", "gflops"), "which is multiply_adds here, half of the flops"),
    **dict.fromkeys(("latency", "inference_ms", "latency_s"), "which is latency_ms here"),
    **dict.fromkeys(("weights_mb", "size_mb", "num_bytes"), "which is weight_bytes here"),
}
"""Names that people know from elsewhere."""
