"""`Part`: one input, or the targets, of all batches, with what counts in it; the checks of the data go through them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minidl.data import Batch
from minidl.graph import Graph
from minidl.inputs import Array, as_mask
from minidl.inputs import several as is_several
from minidl.layer import Layer
from minidl.layers import Embedding, LearnedState
from minidl.losses import BinaryCrossEntropy, ClassLoss, Loss, MeanSquaredError
from minidl.quantiles import QuantileLoss
from minidl.sequential import Sequential


class Part(NamedTuple):
    """The arrays of one input or of the targets, batch by batch.

    `real` has the leading axes of an array, [B] or [B, T], and is False where nothing counts: padding, weight 0, ids
    to be ignored. `size` is how many ids there are, None where nothing tells.
    """

    name: str
    arrays: list[Array]
    real: list[Array]
    size: int | None

    @property
    def ids(self) -> list[Array] | None:
        """The ids [B, T] or [B], also of one-hot vectors; None for what is no ids."""
        if all(a.dtype.kind in "iu" and a.ndim == real.ndim for a, real in zip(self.arrays, self.real, strict=True)):
            return self.arrays
        return None if self.size is None or self.whole else [a.argmax(axis=-1) for a in self.arrays]

    @property
    def whole(self) -> bool:
        """Whether it holds integers."""
        return all(a.dtype.kind in "iu" for a in self.arrays)


def inputs_of(net: Layer, batches: list[Batch]) -> list[Part]:
    """The inputs of a net, in their order."""
    several = isinstance(batches[0].x, tuple)
    parts = []
    for k in range(len(batches[0].x) if several else 1):
        arrays = [np.asarray(b.x[k] if several else b.x) for b in batches]
        masks = [as_mask(b.mask) for b in batches]
        size = ids_read(net, k)
        whole = all(a.dtype.kind in "iu" for a in arrays)
        of_numbers = not whole or (size is None and arrays[0].ndim > 2)  # else ids, for a layer of somebody's own
        real = [
            counting(a, of_numbers, m[k] if isinstance(m, tuple) else m) for a, m in zip(arrays, masks, strict=True)
        ]
        size = one_hot_size(arrays, real) if of_numbers else size
        parts.append(Part(f"x[{k}]" if several else "x", arrays, real, size))
    return parts


def targets_of(net: Layer, loss: Loss, batches: list[Batch]) -> Part | None:
    """The targets, numbers always with an axis of features; None for several, which only an own loss understands."""
    if any(isinstance(b.t, tuple | dict) for b in batches) or is_several(net.out_shape):
        return None
    arrays, axes = [np.asarray(b.t) for b in batches], 1 + len(net.out_shape or ())
    size = classes_of(net, loss)
    of_ids = size is not None and all(t.dtype.kind in "iu" and t.ndim == axes - 1 for t in arrays)
    if not of_ids:
        arrays = [t[..., None] if t.ndim == axes - 1 else t for t in arrays]
    real = []
    for b, t in zip(batches, arrays, strict=True):
        counts = counting(t, not of_ids, mask_of_output(net, b), b.weight)
        real.append(counts & (t != loss.ignore_index) if of_ids and loss.ignore_index is not None else counts)
    return Part("t", arrays, real, size if of_ids else one_hot_size(arrays, real))


def mask_of_output(net: Layer, batch: Batch) -> Any:
    """The mask of what the net returns for a batch; None without one."""
    mask = as_mask(batch.mask)
    return None if mask is None else net.hand_on(mask)


def counting(a: Array, of_numbers: bool, mask: Any = None, weight: Any = None) -> Array:
    """Which positions of an array count, [B, T] or [B]; the last axis of numbers is no position."""
    shape = (a.shape[:-1] if of_numbers and a.ndim > 1 else a.shape)[:2]
    real = np.ones(shape, bool)
    for marks in (mask, None if weight is None else np.asarray(weight) != 0):
        if not isinstance(marks, np.ndarray):
            continue
        lead = marks.reshape(marks.shape + (1,) * (len(shape) - marks.ndim))
        if lead.ndim == len(shape) and all(n in (1, N) for n, N in zip(lead.shape, shape, strict=True)):
            real &= lead.astype(bool)
    return real


def ids_read(layer: Layer, k: int = 0) -> int | None:
    """The size of the vocabulary that input k of a layer is looked up in; None where it is not looked up."""
    if isinstance(layer, Embedding):
        return layer.vocab
    if isinstance(layer, Graph):
        name = layer.inputs[k]
        readers = [(node.layer, at) for node in layer.nodes.values() for at, s in enumerate(node.sources) if s == name]
        return next((size for reader, at in readers if (size := ids_read(reader, at)) is not None), None)
    if isinstance(layer, Sequential):
        return ids_read(layer[0], k) if len(layer) else None
    return ids_read(layer.layer, k) if isinstance(layer, LearnedState) else None


def classes_of(net: Layer, loss: Loss) -> int | None:
    """How many classes the outputs tell apart; None for other losses."""
    if not isinstance(loss, ClassLoss) or not net.out_shape or is_several(net.out_shape):
        return None
    return net.out_shape[-1]


def may_be_classes(net: Layer, loss: Loss, batches: list[Batch]) -> bool:
    """Whether the targets of a user-defined loss may be class ids: integers, each of which has an output."""
    if isinstance(loss, MeanSquaredError | BinaryCrossEntropy | QuantileLoss) or is_several(net.out_shape):
        return False
    outputs, targets = net.out_shape or (1,), [np.asarray(b.t) for b in batches]
    whole = all(t.dtype.kind in "iu" and t.ndim == len(outputs) and t.size for t in targets)
    return whole and outputs[-1] is not None and all(t.min() >= 0 and t.max() < outputs[-1] for t in targets)


def one_hot_size(arrays: list[Array], real: list[Array]) -> int | None:
    """The length of vectors, at least 3, that hold one 1 and nothing else wherever they count; None for others."""
    if arrays[0].ndim not in (2, 3) or arrays[0].shape[-1] < 3:
        return None
    for a, marks in zip(arrays, real, strict=True):
        rows = a[marks]
        if rows.ndim != 2 or not ((rows == 0) | (rows == 1)).all() or not (rows.sum(axis=-1) == 1).all():
            return None
    return int(arrays[0].shape[-1])
