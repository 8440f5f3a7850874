"""ONNX Runtime: the same net as a graph of ONNX's own LSTM nodes, forward over a whole window."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tasks import Size, repeated, window

OPSET, IR = 17, 8  # what every ONNX Runtime of the last years reads


def about() -> dict[str, str]:
    """The version."""
    return {"onnxruntime": onnxruntime.__version__}


def graph(size: Size) -> onnx.ModelProto:
    """ids [B, T] -> embedding -> LSTM -> ... -> dense -> softmax [B, T, V]; inside time comes first."""
    rng = np.random.default_rng(0)
    H, V = size.units, size.symbols
    weights, nodes = [], []

    def weight(name: str, *shape: int) -> str:
        bound = shape[-1] ** -0.5
        weights.append(numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    weights.append(numpy_helper.from_array(np.array([1]), "direction"))
    ids = node("Transpose", ["x"], "ids", perm=[1, 0])
    y = node("Gather", [weight("E", V, size.embedding), ids], "embedded")
    for k in range(size.layers):
        D = H if k else size.embedding
        packed = [weight(f"Wx{k}", 1, 4 * H, D), weight(f"Wh{k}", 1, 4 * H, H), weight(f"b{k}", 1, 8 * H)]
        y = node("LSTM", [y, *packed], f"lstm{k}", hidden_size=H)
        y = node("Squeeze", [y, "direction"], f"h{k}")
    y = node("Transpose", [y], "h", perm=[1, 0, 2])
    y = node("MatMul", [y, weight("W", H, V)], "product")
    y = node("Add", [y, weight("b", V)], "scores")
    node("Softmax", [y], "p", axis=-1)
    x = helper.make_tensor_value_info("x", TensorProto.INT64, [size.batch, size.window])
    p = helper.make_tensor_value_info("p", TensorProto.FLOAT, [size.batch, size.window, V])
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(helper.make_graph(nodes, "lm", [x], [p], weights), opset_imports=opset, ir_version=IR)


def inference(size: Size) -> Callable[[int], float]:
    """The probabilities of a whole window; BENCH_THREADS says on how many threads, all cores by default."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("BENCH_THREADS", "0"))
    session = onnxruntime.InferenceSession(graph(size).SerializeToString(), options, ["CPUExecutionProvider"])
    x = np.ascontiguousarray(window(size)[0], np.int64)
    return repeated(lambda: session.run(None, {"x": x})[0][0, 0, 0])


TASKS = {"inference": inference}
