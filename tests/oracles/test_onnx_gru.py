"""minidl.GRU and minidl.SimpleRNN against ONNX's GRU and RNN, run by onnxruntime, in float32."""

from functools import partial
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import GRU, ReLU, SimpleRNN, Tanh
from tests.oracles.shapes import SHAPES, Shape

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

OPSET, IR_VERSION = 14, 8  # old enough for every runtime that setup.cfg admits
INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h"]
OUTPUTS = {"Y": 4, "Y_h": 3}  # how many axes each has
BIG = {name: minidl.normal(0.8) for name in ("Wx", "Wh", "b")}  # the gates should differ
GRU_BIG = BIG | {"bh": minidl.normal(0.8)}
RNN_BIG = BIG | {"Wh": minidl.normal(0.2)}  # 33 units without gates and with more are chaotic: rounding grows
LAYERS = {
    "gru": partial(GRU, reset_after=True, init=GRU_BIG),
    "gru, reset before": partial(GRU, reset_after=False, init=GRU_BIG),
    "tanh": lambda units, **options: SimpleRNN(units, activation=Tanh(), init=RNN_BIG, **options),
    "relu": lambda units, **options: SimpleRNN(units, activation=ReLU(), init=RNN_BIG, **options),
}
layers = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
directions = pytest.mark.parametrize("go_backwards", [False, True], ids=["forward", "reverse"])


def rows(layer: Any, a: Any) -> Any:
    """Blocks r z n (minidl) as rows z r n (ONNX), with its axis of directions in front."""
    if isinstance(layer, GRU):
        r, z, n = np.split(a, 3, axis=-1)
        a = np.concatenate([z, r, n], axis=-1)
    return np.ascontiguousarray(a.T)[None]


def run_onnx(layer: Any, x: Any, lengths: Any = None, h0: Any = None) -> tuple[Any, Any]:
    """y [B, T, H] and h [B, H] of a model that is one node with the weights of `layer`."""
    b, H = layer.b.value, layer.units
    bh = np.zeros_like(b)
    if isinstance(layer, GRU):
        if layer.reset_after:
            bh[2 * H :] = layer.bh.value
        kind, own = "GRU", {"linear_before_reset": int(layer.reset_after)}
    else:
        kind, own = "RNN", {"activations": [type(layer.activation).__name__.replace("ReLU", "Relu")]}
    feeds = {
        "X": np.ascontiguousarray(x.transpose(1, 0, 2)),
        "W": rows(layer, layer.Wx.value),
        "R": rows(layer, layer.Wh.value),
        "B": np.concatenate([rows(layer, b), rows(layer, bh)], axis=1),
    }
    if lengths is not None:
        feeds["sequence_lens"] = np.array(lengths, np.int32)
    if h0 is not None:
        feeds["initial_h"] = h0[None]
    direction = "reverse" if layer.go_backwards else "forward"
    names = [name if name in feeds else "" for name in INPUTS]
    node = onnx.helper.make_node(kind, names, list(OUTPUTS), hidden_size=H, direction=direction, **own)
    dtype = onnx.helper.np_dtype_to_tensor_dtype
    inputs = [onnx.helper.make_tensor_value_info(name, dtype(a.dtype), a.shape) for name, a in feeds.items()]
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)
        for name, rank in OUTPUTS.items()
    ]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "layer", inputs, outputs),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    y, h = session.run(None, feeds)
    return y[:, 0].transpose(1, 0, 2), h[0]


def run_minidl(layer: Any, x: Any, lengths: Any = None, h0: Any = None) -> tuple[Any, Any]:
    """The same of `layer` itself, with NaN in the padding."""
    mask = None
    if lengths is not None:
        mask = np.arange(x.shape[1]) < np.array(lengths)[:, None]
        x = np.where(mask[..., None], x, np.float32(np.nan))
    y, (h,), _ = layer.forward_with_state(x, None if h0 is None else (h0,), mask=mask)
    return y, h


def example(make: Any, shape: Shape, seed: int = 0, **options: Any) -> tuple[Any, Any, Any]:
    """A layer with random weights, an input x for it, and a state h0."""
    rng = np.random.default_rng(seed)
    layer = make(shape.H, return_sequences=True, **options)
    layer.build((None, shape.D), seed=seed)
    x = rng.standard_normal((shape.B, shape.T, shape.D), dtype=np.float32)
    return layer, x, rng.standard_normal((shape.B, shape.H), dtype=np.float32)


def agree(ours: Any, theirs: Any) -> None:
    for name, a, b in zip(["y", "h"], ours, theirs, strict=True):
        assert a.dtype == b.dtype == np.float32, name
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5, err_msg=name)  # h of a ReLU may be large


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@layers
@directions
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("given_state", [False, True], ids=["zero-state", "given-state"])
def test_layer(shape, make, go_backwards, masked, given_state):
    layer, x, h0 = example(make, shape, go_backwards=go_backwards)
    lengths, h0 = shape.lengths if masked else None, h0 if given_state else None
    ours, theirs = run_minidl(layer, x, lengths, h0), run_onnx(layer, x, lengths, h0)
    agree(ours, theirs)
    if masked:
        padding = np.arange(shape.T) >= np.array(lengths)[:, None]
        assert not ours[0][padding].any() and not theirs[0][padding].any()  # exactly 0


@layers
@directions
@pytest.mark.parametrize("lengths", [(0, 3, 5, 1), (3, 0, 0, 1), (3, 5, 1, 0)], ids=str)
def test_empty_rows_among_others(make, go_backwards, lengths):
    """From the zero state; a given one is kept by minidl."""
    shape = Shape(B=4, T=5, D=2, H=3, lengths=lengths)
    layer, x, h0 = example(make, shape, go_backwards=go_backwards)
    agree(run_minidl(layer, x, lengths), run_onnx(layer, x, lengths))
    _, h = run_minidl(layer, x, lengths, h0)
    empty = np.array(lengths) == 0
    np.testing.assert_array_equal(h[empty], h0[empty])
