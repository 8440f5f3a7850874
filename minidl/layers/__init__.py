"""The layers, one concept a file."""

from minidl.layers.activations import HardSigmoid, ReLU, Sigmoid, Tanh
from minidl.layers.ascending import Ascending
from minidl.layers.attention import AdditiveAttention, Attention
from minidl.layers.conv1d import Conv1D, Conv1DState
from minidl.layers.coupled_lstm import CoupledLSTM
from minidl.layers.dense import Dense
from minidl.layers.dropout import Dropout
from minidl.layers.embedding import Embedding
from minidl.layers.flatten import Flatten
from minidl.layers.gru import GRU, GRUState
from minidl.layers.last_step import LastStep
from minidl.layers.layer_norm import LayerNorm
from minidl.layers.learned_state import LearnedState
from minidl.layers.lstm import LSTM, LSTMState
from minidl.layers.merging import Add, Concatenate, Multiply
from minidl.layers.pool_time import PoolTime
from minidl.layers.recurrent import Stateful
from minidl.layers.reshape import Reshape
from minidl.layers.simple_rnn import SimpleRNN, SimpleRNNState
from minidl.layers.softmax import LogSoftmax, Softmax

__all__ = [
    "GRU",
    "LSTM",
    "Add",
    "AdditiveAttention",
    "Ascending",
    "Attention",
    "Concatenate",
    "Conv1D",
    "Conv1DState",
    "CoupledLSTM",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GRUState",
    "HardSigmoid",
    "LSTMState",
    "LastStep",
    "LayerNorm",
    "LearnedState",
    "LogSoftmax",
    "Multiply",
    "PoolTime",
    "ReLU",
    "Reshape",
    "Sigmoid",
    "SimpleRNN",
    "SimpleRNNState",
    "Softmax",
    "Stateful",
    "Tanh",
]
