"""The layers, one concept a file."""

from minidl.layers.activations import ReLU, Sigmoid, Tanh
from minidl.layers.dense import Dense
from minidl.layers.dropout import Dropout
from minidl.layers.embedding import Embedding
from minidl.layers.flatten import Flatten
from minidl.layers.gru import GRU, GRUState
from minidl.layers.last_step import LastStep
from minidl.layers.lstm import LSTM, LSTMState
from minidl.layers.recurrent import Stateful
from minidl.layers.simple_rnn import SimpleRNN, SimpleRNNState
from minidl.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "GRU",
    "LSTM",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUState",
    "LSTMState",
    "LastStep",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "SimpleRNN",
    "SimpleRNNState",
    "Softmax",
    "Stateful",
    "Tanh",
]
