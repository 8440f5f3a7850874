"""The layers, one concept a file."""

from minidl.layers.activations import HardSigmoid, ReLU, Sigmoid, Tanh
from minidl.layers.coupled_lstm import CoupledLSTM
from minidl.layers.dense import Dense
from minidl.layers.dropout import Dropout
from minidl.layers.embedding import Embedding
from minidl.layers.flatten import Flatten
from minidl.layers.last_step import LastStep
from minidl.layers.learned_state import LearnedState
from minidl.layers.lstm import LSTM, LSTMState
from minidl.layers.recurrent import Stateful
from minidl.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "LSTM",
    "CoupledLSTM",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "HardSigmoid",
    "LSTMState",
    "LastStep",
    "LearnedState",
    "LogSoftmax",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Stateful",
    "Tanh",
]
