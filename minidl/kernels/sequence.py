"""What the recurrent kernels share: which steps run and in which order, time first, and the weights' gradients.

The steps themselves are each kernel's own: in NumPy (`*_steps.py`) or as machine code (`compiled/`).
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import ShapeError
from minidl.inputs import Array
from minidl.kernels.backend import machine_code
from minidl.kernels.buffers import empty
from minidl.kernels.products import product


class Run(NamedTuple):
    """Which steps of a sequence run, in their order: a step that is padding in every row would change nothing."""

    T: int  # of the whole sequence
    steps: Any  # a slice where all run, else their numbers
    real: Array | None  # [steps that run, B]; None where all of them are real in all rows

    @property
    def length(self) -> int:
        """How many steps run."""
        return self.T if isinstance(self.steps, slice) else len(self.steps)


def run_of(T: int, mask: Array | None, go_backwards: bool) -> Run:
    """The run over T steps with a mask [B, T].

    Example:
        >>> from minidl.kernels.sequence import run_of
        >>> run_of(4, np.array([[True, True, False, False], [True, False, False, False]]), go_backwards=True).steps
        array([1, 0])
    """
    order = slice(None, None, -1) if go_backwards else slice(None)
    if mask is None:
        return Run(T, order, None)
    runs = mask.any(axis=0)
    steps = order if runs.all() else np.flatnonzero(runs)[order]
    real = np.ascontiguousarray(mask.T[steps], bool)
    return Run(T, steps, None if real.all() else real)


def time_major(x: Array, run: Run) -> Array:
    """[B, T, D] as contiguous [T, B, D]: the steps that run, in their order."""
    x = x.transpose(1, 0, 2)[run.steps]
    if x.flags.c_contiguous:
        return x
    y = empty(x.shape, x.dtype)
    y[...] = x
    return y


def batch_major(y: Array, run: Run) -> Array:
    """The way back, [B, T, D]: 0 at the steps that did not run."""
    if isinstance(run.steps, slice):
        return y[run.steps].transpose(1, 0, 2)
    whole = empty((run.T, *y.shape[1:]), y.dtype)
    whole[...] = 0
    whole[run.steps] = y
    return whole.transpose(1, 0, 2)


def outputs(h_all: Array, run: Run) -> Array:
    """y [B, T, H] from the states [T + 1, B, H] of the steps that ran: 0 in the padding."""
    y = h_all[1:]
    if run.real is not None:
        y = empty(y.shape, y.dtype)
        y[...] = h_all[1:]
        y[~run.real] = 0
    return batch_major(y, run)


def weight_gradients(x: Array, h: Array, dz: Array, drop: Array | None) -> tuple[Array, Array]:
    """dWx and dWh for z = x Wx + (h drop) Wh: x and h side by side, so that one GEMM reads dz once for both."""
    (T, B, D), H = x.shape, h.shape[2]
    xh = empty((T, B, D + H), dz.dtype)
    xh[:, :, :D] = x
    np.multiply(h, 1 if drop is None else drop, out=xh[:, :, D:])
    dW = product(xh.reshape(T * B, D + H).T, dz.reshape(T * B, dz.shape[2]))
    return dW[:D], dW[D:]


def steps_by(name: str, plain: ModuleType, T: int, *arrays: Array | None) -> Any:
    """Who runs the steps: machine code where it is chosen, the arrays are alike, and there are steps enough to pay."""
    fast = machine_code(name, *(a.dtype for a in arrays if a is not None)) if T > 1 else None
    return fast or plain


def expect(owner: str, **arrays: tuple[Array | None, tuple[int, ...]]) -> None:
    """Refuse arrays of another shape: compiled code would read what lies beside them."""
    for name, (a, shape) in arrays.items():
        if a is not None and a.shape != shape:
            raise ShapeError(f"{owner} expects {name} of shape {list(shape)}, got {list(a.shape)}.")
