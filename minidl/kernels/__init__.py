"""Whole algorithms as pure functions: arrays in, arrays out, and beside each its plain, readable twin.

The layers call these; which implementation runs is decided once, and `backend()` tells.
"""

from minidl.kernels.lstm import lstm_backward, lstm_forward
from minidl.kernels.lstm_reference import lstm_backward_reference, lstm_forward_reference
from minidl.kernels.lstm_step import lstm_stepper

__all__ = [
    "backend",
    "lstm_backward",
    "lstm_backward_reference",
    "lstm_forward",
    "lstm_forward_reference",
    "lstm_stepper",
]


def backend() -> str:
    """The implementation that the layers run on.

    Example:
        >>> minidl.kernels.backend()
        'numpy'
    """
    return "numpy"
