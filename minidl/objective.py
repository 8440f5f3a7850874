"""A net and a loss together: `loss_and_grads` and `loss_value`, which training and every check call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import with_argument_help
from minidl.data import Batch
from minidl.errors import ArgumentError, ShapeError
from minidl.inputs import as_mask, cast_input
from minidl.kernels import one_blas_thread
from minidl.layer import Layer
from minidl.losses import Loss


class LossAndGrads(NamedTuple):
    """What `loss_and_grads` returns; the parameters' gradients are added to `net.params[name].grad`."""

    value: Any  # the weighted mean of the loss
    weight: float  # how much it counts
    y: Any  # the outputs that the loss saw: scores, where it is fused with the last layer
    state: Any  # after the last step
    dx: Any  # gradient of the inputs, None for ids
    dstate: Any  # gradient of the state that came in


@with_argument_help
def loss_value(
    net: Layer,
    loss: Loss,
    batch: Batch,
    state: Any = None,
    rng: np.random.Generator | None = None,
) -> tuple[Any, float, Any, Any]:
    """The loss of a net on a batch, forward only; returns (value, weight, y, state).

    Example:
        >>> net = minidl.Sequential([minidl.Dense(2), minidl.Softmax()])
        >>> _ = net.build((3,))
        >>> batch = minidl.Batch(np.zeros((4, 3)), [0, 1, 0, 1])
        >>> value, weight, y, state = minidl.loss_value(net, minidl.CrossEntropy(), batch)
        >>> round(float(value), 4)  # an untrained net on zeros: ln 2
        0.6931
    """
    check_given(net, loss, batch)
    body, loss = loss.on(net)
    x = cast_input(batch.x, net.dtype)
    mask = as_mask(batch.mask)
    with one_blas_thread():
        y, state, _ = body.forward_with_state(x, state, start=batch.start, mask=mask, rng=rng, keep_cache=False)
    value, _, weight = loss(y, batch.t, batch.weight, None if mask is None else body.hand_on(mask))
    return value, weight, y, state


@with_argument_help
def loss_and_grads(
    net: Layer,
    loss: Loss,
    batch: Batch,
    state: Any = None,
    rng: np.random.Generator | None = None,
    weigh: bool = False,
) -> LossAndGrads:
    """The loss of a net on a batch; adds the gradients of the parameters.

    Args:
        net: a built layer or net.
        loss: it may be fused with the net's last layer (`loss.on`).
        batch: inputs, targets, and the facts about them.
        state: the state before the first step; None for the initial one. Rows where `batch.start` begin anew.
        rng: a Generator for a training pass with dropout; None for none.
        weigh: multiply the gradients by the weight, so that those of several batches may be added up and divided
            by the sum of the weights.

    Example:
        >>> net = minidl.Sequential([minidl.Dense(2), minidl.Softmax()])
        >>> _ = net.build((3,))
        >>> result = minidl.loss_and_grads(net, minidl.CrossEntropy(), minidl.Batch(np.ones((4, 3)), [0, 1, 0, 1]))
        >>> net.params["dense.b"].grad.shape, result.dx.shape
        ((2,), (4, 3))
    """
    check_given(net, loss, batch)
    body, loss = loss.on(net)
    x = cast_input(batch.x, net.dtype)
    mask = as_mask(batch.mask)
    with one_blas_thread():
        y, after, cache = body.forward_with_state(x, state, start=batch.start, mask=mask, rng=rng)
        value, dy, weight = loss(y, batch.t, batch.weight, None if mask is None else body.hand_on(mask))
        check_loss_result(loss, value, dy, y)
        dx, dstate = body.backward_with_state(dy * weight if weigh else dy, None, cache)
    return LossAndGrads(value, weight, y, after, dx, dstate)


def check_loss_result(loss: Loss, value: Any, dy: Any, y: Any) -> None:
    """Refuse a loss whose value is not one number, or whose gradient does not have the shapes of the outputs."""
    several = isinstance(y, tuple)
    got = [None if a is None else np.shape(a) for a in (dy if several else (dy,))]  # None: an output that is not used
    expected = [None if a is None else np.shape(b) for a, b in zip(dy, y, strict=False)] if several else [np.shape(y)]
    expected += [np.shape(b) for b in y[len(got) :]] if several else []
    if np.ndim(value) or got != expected:
        raise ShapeError(
            f"{loss.title} must return one number and a gradient {shapes_text(expected)}, the shape of y, "
            f"got {np.shape(value)} and {shapes_text(got)}."
        )


def shapes_text(shapes: list[Any]) -> str:
    """Return the shapes of one array or of several as text."""
    return " and ".join(map(str, shapes))


def check_given(net: Any, loss: Any, batch: Any) -> None:
    """Refuse a class for an instance, a word for a loss, a plain tuple for a Batch."""
    for what, value, kind, example in (
        ("net", net, Layer, "Sequential([...])"),
        ("loss", loss, Loss, "CrossEntropy()"),
        ("batch", batch, Batch, "Batch(x, t)"),
    ):
        if not isinstance(value, kind):
            raise ArgumentError(f"Expected as {what} is a {kind.__name__} such as {example}, got {value!r}.")
