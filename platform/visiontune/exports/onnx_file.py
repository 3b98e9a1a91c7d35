"""A graph as ONNX: in onnxruntime it gives what the network gives; in int8 about that.

Resizing and preprocessing stay in fp32: there is little to gain, and their sums need 24 bits.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from visiontune.errors import UserError, first_line
from visiontune.exports.graph import AXES, INPUT, OUTPUT

Pictures = NDArray[np.uint8]
_SCOPES = "pkg.torch.onnx.name_scopes"
_QUANTISED = ["Conv", "Gemm", "MatMul"]
_AT_ONCE = 64


def onnx_of(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> tuple[Any, frozenset[str]]:
    """An onnx.ModelProto with the metadata, and the names of its nodes before the network. Raises UserError for what ONNX has not."""
    try:
        with _quiet():
            made = torch.onnx.export(program, input_names=[INPUT], output_names=[OUTPUT], dynamo=True, verbose=False)
    except Exception as error:  # torch has several
        raise UserError(f"torch can't write this network as ONNX: {first_line(error)}; nearest is `to='torch'`") from error
    model: Any = made.model_proto  # type: ignore[union-attr]
    outside = frozenset(node.name for node in model.graph.node if not _is_network(node))
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]  # of each the lines of source that it comes from, with folders of this machine
    _name_axes(model.graph)
    del model.metadata_props[:]
    for name, text in metadata.items():
        model.metadata_props.add(key=name, value=text)
    return model, outside


def in_int8(model: Any, outside: frozenset[str], pictures: Pictures) -> Any:
    """Convolutions and products in int8, weights by channel; ranges of what goes into them are those of these pictures, of training."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, folded, to = (Path(folder) / name for name in ("given.onnx", "folded.onnx", "int8.onnx"))
        onnx.save(model, source)
        quant_pre_process(source, folded, skip_symbolic_shape=True)  # batch normalisation goes into the convolution before it
        kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
        names = {"nodes_to_exclude": sorted(outside), "op_types_to_quantize": _QUANTISED}
        quantize_static(folded, to, _reader(pictures), **kinds, **names)
        made = onnx.load(to)
    for entry in model.metadata_props:
        if entry.key not in {one.key for one in made.metadata_props}:
            made.metadata_props.add(key=entry.key, value=entry.value)
    return made


def run_onnx(content: bytes, pictures: Pictures) -> NDArray[np.float32]:
    """(N, K) what onnxruntime gives on the CPU for uint8 pictures_NHWC."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {INPUT: pictures[at : at + _AT_ONCE]})[0] for at in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts)


def _name_axes(graph: Any) -> None:
    """torch calls them s96 and the like."""
    for axis, dim in zip(AXES, graph.input[0].type.tensor_type.shape.dim, strict=False):
        dim.dim_param = axis
    graph.output[0].type.tensor_type.shape.dim[0].dim_param = AXES[0]
    del graph.value_info[:]


def _is_network(node: Any) -> bool:
    scopes = next((one.value for one in node.metadata_props if one.key == _SCOPES), "")
    return "'network'" in scopes


def _reader(pictures: Pictures) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[dict[str, Pictures]] = ({INPUT: pictures[at : at + 16]} for at in range(0, len(pictures), 16))

        def get_next(self) -> dict[str, Pictures] | None:
            return next(self._batches, None)

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter and onnxruntime's quantiser warn of what is theirs alone."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
