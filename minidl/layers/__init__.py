"""The layers, one concept a file."""

from minidl.layers.activations import ReLU, Sigmoid, Tanh
from minidl.layers.dense import Dense
from minidl.layers.dropout import Dropout
from minidl.layers.embedding import Embedding
from minidl.layers.flatten import Flatten
from minidl.layers.last_step import LastStep
from minidl.layers.lstm import LSTM, LSTMState
from minidl.layers.recurrent import Stateful
from minidl.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "LSTM",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "LSTMState",
    "LastStep",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Stateful",
    "Tanh",
]
