"""Whole algorithms as pure functions: arrays in, arrays out, and beside each its plain, readable twin.

The layers call these; which implementation runs is decided once, and `backend()` tells.
"""

from minidl.kernels.add_rows import add_rows
from minidl.kernels.backend import backend, machine_code
from minidl.kernels.gru import gru_backward, gru_forward
from minidl.kernels.gru_reference import gru_backward_reference, gru_forward_reference
from minidl.kernels.gru_step import gru_stepper
from minidl.kernels.lstm import lstm_backward, lstm_forward
from minidl.kernels.lstm_reference import Gate, lstm_backward_reference, lstm_forward_reference
from minidl.kernels.lstm_step import lstm_stepper
from minidl.kernels.products import add_product, product
from minidl.kernels.simple_rnn import simple_rnn_backward, simple_rnn_forward
from minidl.kernels.simple_rnn_reference import simple_rnn_backward_reference, simple_rnn_forward_reference
from minidl.kernels.simple_rnn_step import simple_rnn_stepper
from minidl.kernels.softmax import softmax_cross_entropy
from minidl.kernels.threads import in_words, one_blas_thread, share, team

__all__ = [
    "Gate",
    "add_product",
    "add_rows",
    "backend",
    "gru_backward",
    "gru_backward_reference",
    "gru_forward",
    "gru_forward_reference",
    "gru_stepper",
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
    "simple_rnn_backward",
    "simple_rnn_backward_reference",
    "simple_rnn_forward",
    "simple_rnn_forward_reference",
    "simple_rnn_stepper",
    "softmax_cross_entropy",
    "team",
]
