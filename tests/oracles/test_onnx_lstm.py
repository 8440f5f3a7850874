"""minidl.LSTM against the LSTM operator of ONNX, run by onnxruntime, in float32: the peer that has peepholes."""

from typing import Any

import numpy as np
import pytest

import minidl
from minidl import LSTM
from tests.oracles.shapes import SHAPES, Shape

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

OPSET, IR_VERSION = 14, 8  # old enough for every runtime that setup.cfg admits
INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
OUTPUTS = {"Y": 4, "Y_h": 3, "Y_c": 3}  # how many axes each has
BIG = {name: minidl.normal(0.8) for name in ("Wx", "Wh", "b", "p")}  # the gates should differ


def gates(a: Any) -> Any:
    """Blocks i f o g (minidl) as rows i o f g (ONNX), with its axis of directions in front."""
    i, f, o, g = np.split(a, 4, axis=-1)
    return np.ascontiguousarray(np.concatenate([i, o, f, g], axis=-1).T)[None]


def run_onnx(lstm: LSTM, x: Any, lengths: Any = None, state: Any = None) -> tuple[Any, Any, Any]:
    """y [B, T, H], h and c [B, H] of a model that is one LSTM node with the weights of `lstm`."""
    b = gates(lstm.b.value)
    feeds = {
        "X": np.ascontiguousarray(x.transpose(1, 0, 2)),
        "W": gates(lstm.Wx.value),
        "R": gates(lstm.Wh.value),
        "B": np.concatenate([b, np.zeros_like(b)], axis=1),  # two biases add up; minidl's b is the first of them
    }
    if lengths is not None:
        feeds["sequence_lens"] = np.array(lengths, np.int32)
    if state is not None:
        feeds["initial_h"], feeds["initial_c"] = (a[None] for a in state)
    if lstm.peephole:
        i, f, o = lstm.p.value
        feeds["P"] = np.concatenate([i, o, f])[None]

    node = onnx.helper.make_node(
        "LSTM",
        [name if name in feeds else "" for name in INPUTS],
        list(OUTPUTS),
        hidden_size=lstm.units,
        direction="reverse" if lstm.go_backwards else "forward",
    )
    kind = onnx.helper.np_dtype_to_tensor_dtype
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [node],
            "lstm",
            [onnx.helper.make_tensor_value_info(name, kind(a.dtype), a.shape) for name, a in feeds.items()],
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * rank)
                for name, rank in OUTPUTS.items()
            ],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    y, h, c = session.run(None, feeds)
    return y[:, 0].transpose(1, 0, 2), h[0], c[0]


def run_minidl(lstm: LSTM, x: Any, lengths: Any = None, state: Any = None) -> tuple[Any, Any, Any]:
    """The same of `lstm` itself, with NaN in the padding."""
    mask = None
    if lengths is not None:
        mask = np.arange(x.shape[1]) < np.array(lengths)[:, None]
        x = np.where(mask[..., None], x, np.float32(np.nan))
    y, (h, c), _ = lstm.forward_with_state(x, state, mask=mask)
    return y, h, c


def example(shape: Shape, seed: int = 0, **options: Any) -> tuple[LSTM, Any, Any]:
    """An LSTM with random weights, an input x for it, and a state (h, c)."""
    rng = np.random.default_rng(seed)
    lstm = LSTM(shape.H, init=BIG, return_sequences=True, **options)
    lstm.build((None, shape.D), seed=seed)
    x = rng.standard_normal((shape.B, shape.T, shape.D), dtype=np.float32)
    return lstm, x, tuple(rng.standard_normal((2, shape.B, shape.H), dtype=np.float32))


def agree(ours: Any, theirs: Any) -> None:
    for name, a, b in zip(["y", "h", "c"], ours, theirs, strict=True):
        assert a.dtype == b.dtype == np.float32, name
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5, err_msg=name)


peepholes = pytest.mark.parametrize("peephole", [False, "diagonal"], ids=["plain", "peephole"])
directions = pytest.mark.parametrize("go_backwards", [False, True], ids=["forward", "reverse"])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@peepholes
@directions
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("given_state", [False, True], ids=["zero-state", "given-state"])
def test_lstm(shape, peephole, go_backwards, masked, given_state):
    lstm, x, state = example(shape, peephole=peephole, go_backwards=go_backwards)
    lengths, state = shape.lengths if masked else None, state if given_state else None
    ours, theirs = run_minidl(lstm, x, lengths, state), run_onnx(lstm, x, lengths, state)
    agree(ours, theirs)
    if masked:
        padding = np.arange(shape.T) >= np.array(lengths)[:, None]
        assert not ours[0][padding].any() and not theirs[0][padding].any()  # exactly 0


@peepholes
@directions
@pytest.mark.parametrize("lengths", [(0, 3, 5, 1), (3, 0, 0, 1), (3, 5, 1, 0)], ids=str)
def test_empty_rows_among_others(peephole, go_backwards, lengths):
    """From the zero state; a given one is kept by minidl, and turned into 0 by onnxruntime."""
    shape = Shape(B=4, T=5, D=2, H=3, lengths=lengths)
    lstm, x, state = example(shape, peephole=peephole, go_backwards=go_backwards)
    agree(run_minidl(lstm, x, lengths), run_onnx(lstm, x, lengths))
    _, h, c = run_minidl(lstm, x, lengths, state)
    empty = np.array(lengths) == 0
    np.testing.assert_array_equal((h[empty], c[empty]), (state[0][empty], state[1][empty]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@peepholes
def test_reverse_is_forward_on_rows_turned_round_within_their_lengths(shape, peephole):
    def turned(a):
        return np.stack([np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(a, shape.lengths, strict=True)])

    backwards, x, state = example(shape, peephole=peephole, go_backwards=True)
    forwards, _, _ = example(shape, peephole=peephole)
    y, h, c = run_minidl(backwards, x, shape.lengths, state)
    agree((turned(y), h, c), run_onnx(forwards, turned(x), shape.lengths, state))


@pytest.mark.parametrize("seed", range(1, 21))
def test_random_weights(seed):
    """Every option at once, other numbers each time."""
    shape = Shape(B=4, T=9, D=3, H=6, lengths=(9, 1, 4, 6))
    lstm, x, state = example(shape, seed, peephole="diagonal", go_backwards=bool(seed % 2))
    agree(run_minidl(lstm, x, shape.lengths, state), run_onnx(lstm, x, shape.lengths, state))
