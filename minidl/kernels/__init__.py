"""Whole algorithms as pure functions: arrays in, arrays out, and beside each its plain, readable twin.

The layers call these; which implementation runs is decided once, and `backend()` tells.
"""

from minidl.kernels.add_rows import add_rows
from minidl.kernels.backend import backend, machine_code
from minidl.kernels.lstm import lstm_backward, lstm_forward
from minidl.kernels.lstm_reference import Gate, lstm_backward_reference, lstm_forward_reference
from minidl.kernels.lstm_step import lstm_stepper
from minidl.kernels.products import add_product, product
from minidl.kernels.softmax import softmax_cross_entropy
from minidl.kernels.threads import in_words, one_blas_thread, share, team

__all__ = [
    "Gate",
    "add_product",
    "add_rows",
    "backend",
    "in_words",
    "lstm_backward",
    "lstm_backward_reference",
    "lstm_forward",
    "lstm_forward_reference",
    "lstm_stepper",
    "machine_code",
    "one_blas_thread",
    "product",
    "share",
    "softmax_cross_entropy",
    "team",
]
