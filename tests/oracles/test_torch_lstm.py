"""minidl against PyTorch, in float64: the LSTM and all its gradients, Embedding, the losses, and a whole net."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl import LSTM, Batch, Dense, Embedding, Sequential, Softmax
from tests.oracles.shapes import SHAPES, Shape

torch = pytest.importorskip("torch")
F = torch.nn.functional

BIG = {"Wx": minidl.normal(0.8), "Wh": minidl.normal(0.8), "b": minidl.normal(0.8)}  # the gates should differ
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same names, shapes and numbers."""
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        theirs_too = np.asarray(theirs[name])
        assert np.shape(array) == theirs_too.shape, name
        np.testing.assert_allclose(array, theirs_too, rtol=1e-10, atol=1e-10, err_msg=name)


def leaf(array: Any) -> torch.Tensor:
    """A copy as a tensor that collects a gradient."""
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


# -- the LSTM -------------------------------------------------------------------------------------------------------

NAMES = {"Wx": "weight_ih", "Wh": "weight_hh", "b": "bias_ih"}


def swap(a: Any) -> Any:
    """Gates i f o g (minidl) as i f g o (PyTorch), and back again: the last two blocks change places."""
    i, f, third, fourth = np.split(np.asarray(a), 4, axis=-1)
    return np.concatenate([i, f, fourth, third], axis=-1)


class Twin:
    """A torch.nn.LSTM with the weights of one or more minidl LSTMs; go_backwards is its reverse direction."""

    def __init__(self, lstms: list[LSTM]) -> None:
        D, self.H = len(lstms[0].Wx.value), lstms[0].units
        self.reverse, self.sequences = lstms[0].go_backwards, lstms[-1].return_sequences
        sizes = {"input_size": D, "hidden_size": self.H, "num_layers": len(lstms)}
        self.module = torch.nn.LSTM(**sizes, batch_first=True, bidirectional=self.reverse, dtype=torch.float64)
        with torch.no_grad():
            for layer, lstm in enumerate(lstms):
                for name, p in lstm.params.items():
                    self.weight(name, layer).copy_(torch.tensor(swap(p.value).T))
                self.weight("bias_hh", layer).zero_()  # two biases add up; minidl's b is the first of them

    def weight(self, name: str, layer: int) -> torch.nn.Parameter:
        """A parameter by minidl's or by PyTorch's name."""
        return getattr(self.module, f"{NAMES.get(name, name)}_l{layer}{'_reverse' if self.reverse else ''}")

    def grads(self, layer: int) -> dict[str, Any]:
        """The gradients of a layer's parameters, in minidl's names and layout."""
        return {name: swap(self.weight(name, layer).grad.numpy().T) for name in NAMES}

    def __call__(self, x: Any, h0: Any, c0: Any, lengths: Any = None) -> tuple[Any, Any, Any]:
        """y, h and c of x [B, T, D], h0 and c0 [layers, B, H], rows as long as `lengths` [B] says."""
        if self.reverse:  # the directions alternate: forward, reverse
            h0, c0 = (torch.stack([torch.zeros_like(a), a], 1).flatten(0, 1) for a in (h0, c0))
        if lengths is None:
            y, (h, c) = self.module(x, (h0, c0))
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(
                x, torch.tensor(lengths), batch_first=True, enforce_sorted=False
            )
            y, (h, c) = self.module(packed, (h0, c0))
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
        if self.reverse:
            y, h, c = y[..., self.H :], h[1::2], c[1::2]
        return y if self.sequences else h[-1], h, c


def check_lstm(
    shape: Shape, lengths: Any = None, start: Any = None, seed: int = 0, layers: int = 1, **options: bool
) -> None:
    """One pass and its backward in both libraries: random weights, states and cotangents, NaN in the padding."""
    B, T, D, H = shape[:4]
    rng = np.random.default_rng(seed)
    sequences = options.pop("return_sequences", True)
    lstms = [LSTM(H, return_sequences=sequences or k < layers - 1, init=BIG, **options) for k in range(layers)]
    net = lstms[0] if layers == 1 else Sequential(lstms)
    net.build((None, D), seed=seed, dtype=np.float64)

    x = rng.standard_normal((B, T, D))
    mask = None if lengths is None else np.arange(T) < np.array(lengths)[:, None]
    if mask is not None:
        x[~mask] = np.nan
    h0, c0, dh, dc = rng.standard_normal((4, layers, B, H))
    dy = rng.standard_normal((B, T, H) if sequences else (B, H))

    def join(h: Any, c: Any) -> Any:
        pairs = list(zip(h, c, strict=True))
        return pairs[0] if layers == 1 else dict(zip(net.layers, pairs, strict=True))

    def split(state: Any) -> tuple[Any, Any]:
        pairs = [state] if layers == 1 else [state[name] for name in net.layers]
        return np.stack([h for h, _ in pairs]), np.stack([c for _, c in pairs])

    y, state, cache = net.forward_with_state(x, join(h0, c0), start=start, mask=mask)
    dx, dstate = net.backward_with_state(dy, join(dh, dc), cache)
    (h, c), (dh0, dc0) = split(state), split(dstate)
    ours = {"y": y, "h": h, "c": c, "dx": dx, "dh0": dh0, "dc0": dc0}

    twin = Twin(lstms)
    tx, th0, tc0 = leaf(x), leaf(h0), leaf(c0)
    goes_on = torch.tensor(np.ones((B, 1)) if start is None else ~np.array(start)[:, None], dtype=torch.float64)
    ty, th, tc = twin(tx, th0 * goes_on, tc0 * goes_on, lengths)
    sum((a * torch.tensor(da)).sum() for a, da in ((ty, dy), (th, dh), (tc, dc))).backward()
    theirs = {"y": ty.detach(), "h": th.detach(), "c": tc.detach(), "dx": tx.grad, "dh0": th0.grad, "dc0": tc0.grad}

    for k, lstm in enumerate(lstms):
        ours |= {f"{k}.{name}": p.grad for name, p in lstm.params.items()}
        theirs |= {f"{k}.{name}": grad for name, grad in twin.grads(k).items()}
    agree(ours, theirs)


@shapes
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_lstm(shape, go_backwards, return_sequences):
    check_lstm(shape, go_backwards=go_backwards, return_sequences=return_sequences)


@shapes
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_lstm_of_rows_of_different_length(shape, go_backwards, return_sequences):
    check_lstm(shape, shape.lengths, go_backwards=go_backwards, return_sequences=return_sequences)


@shapes
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_two_stacked_lstms(shape, masked, return_sequences):
    check_lstm(shape, shape.lengths if masked else None, layers=2, return_sequences=return_sequences)


@shapes
@pytest.mark.parametrize("layers", [1, 2])
def test_rows_that_begin_anew(shape, layers):
    check_lstm(shape, start=np.arange(shape.B) % 2 == 0, layers=layers)


sizes = st.integers(1, 6)


@given(sizes, sizes, sizes, sizes, st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1), st.data())
def test_lstm_of_any_size(B, T, D, H, go_backwards, return_sequences, masked, seed, data):
    lengths = tuple(data.draw(st.lists(st.integers(1, T), min_size=B, max_size=B))) if masked else (T,) * B
    start = np.array(data.draw(st.lists(st.booleans(), min_size=B, max_size=B)))
    check_lstm(
        Shape(B, T, D, H, lengths),
        lengths if masked else None,
        start,
        seed,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
    )


# -- Embedding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [[[2]], [[0, 0, 0]], [[1, 3, 1], [3, 3, 1]], [4, 0, 4, 2, 2, 2], [[[1, 1], [2, 0]], [[4, 1], [0, 0]]]],
    ids=str,
)
@pytest.mark.parametrize("units", [1, 3])
def test_embedding_adds_up_the_gradients_of_repeated_ids(ids, units):
    x, rng = np.array(ids), np.random.default_rng(0)
    embedding = Embedding(5, units)
    embedding.build(x.shape[1:], dtype=np.float64)
    E = leaf(embedding.E.value)
    y, cache = embedding.forward(x)
    dy = rng.standard_normal(y.shape)
    embedding.backward(dy, cache)
    ty = F.embedding(torch.tensor(x), E)
    ty.backward(torch.tensor(dy))
    agree({"y": y, "dE": embedding.E.grad}, {"y": ty.detach(), "dE": E.grad})


# -- losses ---------------------------------------------------------------------------------------------------------


def scores(rng: Any, shape: Any) -> Any:
    return 3 * rng.standard_normal(shape)


def huge_scores(rng: Any, shape: Any) -> Any:
    return 1e4 * rng.standard_normal(shape)


def fractions(rng: Any, shape: Any) -> Any:
    return rng.uniform(0.01, 0.99, shape)


def yes_or_no(rng: Any, shape: Any) -> Any:
    return rng.integers(0, 2, shape)


def probabilities(rng: Any, shape: Any) -> Any:
    return rng.dirichlet(np.ones(shape[-1]), shape[:-1])


def one_hot(rng: Any, shape: Any) -> Any:
    return np.eye(shape[-1])[ids(rng, shape)]


def ids(rng: Any, shape: Any) -> Any:
    return rng.integers(0, shape[-1], shape[:-1])


# In PyTorch's functions classes stand in axis 1, and the mean over the last axis is taken apart from that over
# the positions; so the outputs come as [N, V].


cross_entropy = F.cross_entropy


def negative_log(y: Any, t: Any, **options: Any) -> Any:
    if t.ndim == 1:
        return F.nll_loss(y.log(), t, **options)
    each = -(t * y.log()).sum(dim=-1)  # F.cross_entropy would normalise y once more
    return each if options.get("reduction") == "none" else each.mean()


def averaged(function: Any) -> Any:
    def loss(y: Any, t: Any, reduction: str = "mean") -> Any:
        value = function(y, t.to(y.dtype), reduction=reduction)
        return value.mean(dim=-1) if reduction == "none" else value

    return loss


mse, bce = averaged(F.mse_loss), averaged(F.binary_cross_entropy)
bce_of_scores = averaged(F.binary_cross_entropy_with_logits)
softmax_ce, plain_ce = minidl.SoftmaxCrossEntropy(), minidl.CrossEntropy()
binary, binary_of_scores = minidl.BinaryCrossEntropy(), minidl.BinaryCrossEntropy(from_logits=True)

LOSSES = {  # minidl's loss, PyTorch's, outputs, targets
    "softmax-cross-entropy-ids": (softmax_ce, cross_entropy, scores, ids),
    "softmax-cross-entropy-ids-huge": (softmax_ce, cross_entropy, huge_scores, ids),
    "softmax-cross-entropy-one-hot": (softmax_ce, cross_entropy, scores, one_hot),
    "softmax-cross-entropy-probabilities": (softmax_ce, cross_entropy, scores, probabilities),
    "softmax-cross-entropy-probabilities-huge": (softmax_ce, cross_entropy, huge_scores, probabilities),
    "softmax-cross-entropy-any-mass": (softmax_ce, cross_entropy, scores, fractions),
    "cross-entropy-ids": (plain_ce, negative_log, probabilities, ids),
    "cross-entropy-one-hot": (plain_ce, negative_log, probabilities, one_hot),
    "cross-entropy-probabilities": (plain_ce, negative_log, probabilities, probabilities),
    "mse": (minidl.MeanSquaredError(), mse, scores, scores),
    "bce": (binary, bce, fractions, fractions),
    "bce-yes-or-no": (binary, bce, fractions, yes_or_no),
    "bce-scores": (binary_of_scores, bce_of_scores, scores, fractions),
    "bce-scores-huge": (binary_of_scores, bce_of_scores, huge_scores, yes_or_no),
}
losses = pytest.mark.parametrize(("loss", "oracle", "outputs", "targets"), LOSSES.values(), ids=LOSSES)
positions = pytest.mark.parametrize("shape", [(1, 2), (6, 5), (3, 4, 5), (2, 1, 3, 2), (4, 3, 1)], ids=str)


def flat(y: Any, t: Any) -> tuple[Any, Any]:
    """Outputs [N, V] as a leaf, and targets [N] or [N, V]."""
    return leaf(y.reshape(-1, y.shape[-1])), torch.tensor(t.reshape(-1, *t.shape[y.ndim - 1 :]))


def agree_on_loss(value: Any, dy: Any, expected: Any, y: Any) -> None:
    expected.backward()
    agree({"value": value, "dy": dy.reshape(y.shape)}, {"value": expected.detach(), "dy": y.grad})


@losses
@positions
def test_loss_is_the_mean(loss, oracle, outputs, targets, shape):
    rng = np.random.default_rng(0)
    y, t = outputs(rng, shape), targets(rng, shape)
    value, dy, weight = loss(y, t)
    assert weight == y[..., 0].size
    ty, tt = flat(y, t)
    agree_on_loss(value, dy, oracle(ty, tt), ty)


@losses
@positions
@pytest.mark.parametrize("per", ["position", "row", "row and mask"])
def test_loss_is_the_weighted_mean(loss, oracle, outputs, targets, shape, per):
    rng = np.random.default_rng(0)
    y, t = outputs(rng, shape), targets(rng, shape)
    weight = rng.uniform(0.1, 2, shape[: 1 if per.startswith("row") else -1])
    each_weight = np.broadcast_to(weight.reshape(weight.shape + (1,) * (y.ndim - 1 - weight.ndim)), shape[:-1])
    mask, ours = None, y
    if per == "row and mask":
        mask = rng.random(shape[:-1]) < 0.7
        mask.flat[0] = True
        each_weight = each_weight * mask
        ours = np.where(mask[..., None], y, np.nan)  # the oracle cannot take NaN
    value, dy, total = loss(ours, t, weight, mask)
    np.testing.assert_allclose(total, each_weight.sum(), rtol=1e-12)
    ty, tt = flat(y, t)
    each = torch.tensor(each_weight.ravel())
    agree_on_loss(value, dy, (oracle(ty, tt, reduction="none") * each).sum() / each.sum(), ty)


@pytest.mark.parametrize("ignore_index", [-100, -1, 0, 2, 99])
@pytest.mark.parametrize(
    ("kind", "oracle", "outputs"),
    [(minidl.SoftmaxCrossEntropy, cross_entropy, scores), (minidl.CrossEntropy, negative_log, probabilities)],
)
def test_ignore_index(kind, oracle, outputs, ignore_index):
    rng = np.random.default_rng(0)
    y, t = outputs(rng, (4, 6, 3)), rng.integers(0, 3, (4, 6))
    t[rng.random(t.shape) < 0.4] = ignore_index
    value, dy, weight = kind(ignore_index=ignore_index)(y, t)
    assert 0 < weight == (t != ignore_index).sum() < t.size
    ty, tt = flat(y, t)
    agree_on_loss(value, dy, oracle(ty, tt, ignore_index=ignore_index), ty)


@pytest.mark.parametrize(
    ("loss", "oracle", "outputs"),
    [(minidl.MeanSquaredError(), mse, scores), (binary, bce, fractions), (binary_of_scores, bce_of_scores, scores)],
)
def test_one_output_takes_targets_without_its_axis(loss, oracle, outputs):
    rng = np.random.default_rng(0)
    y, t = outputs(rng, (5, 4, 1)), rng.uniform(0, 1, (5, 4))
    value, dy, _ = loss(y, t)
    ty = leaf(y)
    agree_on_loss(value, dy, oracle(ty[..., 0], torch.tensor(t)), ty)


# -- all together ---------------------------------------------------------------------------------------------------


@shapes
@pytest.mark.parametrize("masked", [False, True])
def test_a_whole_net(shape, masked):
    """Embedding, two LSTMs, Dense, Softmax and CrossEntropy; the padding is ids and targets that do not exist."""
    B, T, D, H, lengths = shape
    V, rng = 7, np.random.default_rng(0)
    lstms = [LSTM(H, return_sequences=True, init=BIG) for _ in range(2)]
    embedding, dense = Embedding(V, D, init={"E": minidl.normal(1)}), Dense(V, init={"b": minidl.normal(1)})
    net = Sequential([embedding, *lstms, dense, Softmax()])
    net.build((None,), dtype=np.float64)
    x, t = rng.integers(0, V, (2, B, T))
    mask = np.arange(T) < np.array(lengths)[:, None] if masked else np.ones((B, T), bool)
    ours_x, ours_t = np.where(mask, x, -100), np.where(mask, t, -100)
    batch = Batch(ours_x, ours_t, mask=mask if masked else None)
    loss = minidl.CrossEntropy(ignore_index=-100)
    value, weight, y, state, dx, _ = minidl.loss_and_grads(net, loss, batch)
    assert weight == mask.sum() and dx is None

    twin, E = Twin(lstms), leaf(embedding.E.value)
    W, b = leaf(dense.W.value), leaf(dense.b.value)
    start = torch.zeros(2, B, H, dtype=torch.float64)
    hidden, h, _ = twin(F.embedding(torch.tensor(x), E), start, start, lengths if masked else None)
    ty = hidden @ W + b
    expected = F.cross_entropy(ty.flatten(0, 1), torch.tensor(ours_t).flatten(), ignore_index=-100)
    expected.backward()
    last = list(state.values())[-1]
    theirs = {"value": expected.detach(), "y": ty.detach(), "h": h[-1].detach(), "embedding.E": E.grad}
    for k, name in enumerate(["lstm", "lstm_2"]):
        theirs |= {f"{name}.{p}": grad for p, grad in twin.grads(k).items()}
    theirs |= {"dense.W": W.grad, "dense.b": b.grad}
    agree({"value": value, "y": y, "h": last.h} | {name: p.grad for name, p in net.params.items()}, theirs)
