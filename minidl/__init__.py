"""minidl: build, train, understand and debug recurrent networks on NumPy."""

import typing

from minidl import kernels
from minidl.baselines import ngram_bits
from minidl.bidirectional import Bidirectional
from minidl.callbacks import (
    AdaptiveClip,
    Callback,
    Checkpoint,
    ClipNorm,
    ClipValue,
    CSVLog,
    EarlyStopping,
    JSONLog,
    NanGuard,
    ReduceLROnPlateau,
    SampleText,
    SaveBest,
    SumOverTime,
    TimeBudget,
)
from minidl.container import Container
from minidl.corpus import Corpus, char_corpus, word_corpus
from minidl.data import ArrayBatches, Batch, TextStream, split
from minidl.decoding import Hypothesis, beam_search
from minidl.errors import (
    ArgumentError,
    IdError,
    MinidlError,
    ModelFormatError,
    NonFiniteError,
    NotBuiltError,
    ShapeError,
    UnknownNameError,
)
from minidl.forecasting import forecast, naive_forecast
from minidl.generation import generate, generate_text
from minidl.gradients import check_finite, clip_norm, clip_value, global_norm, norms
from minidl.graph import Graph
from minidl.history import History
from minidl.initializers import (
    constant,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    normal,
    ones,
    orthogonal,
    uniform,
    zeros,
)
from minidl.inputs import Array, Shape
from minidl.layer import Layer
from minidl.layers import (
    GRU,
    LSTM,
    Add,
    AdditiveAttention,
    Ascending,
    Attention,
    Concatenate,
    Conv1D,
    Conv1DState,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GRUState,
    HardSigmoid,
    LastStep,
    LayerNorm,
    LearnedState,
    LogSoftmax,
    LSTMState,
    Multiply,
    PoolTime,
    ReLU,
    Reshape,
    Sigmoid,
    SimpleRNN,
    SimpleRNNState,
    Softmax,
    Stateful,
    Tanh,
)
from minidl.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.metrics import Metric, accuracy, bits_per_character, exact_match, perplexity
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizer import Optimizer
from minidl.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, RMSProp
from minidl.padding import PaddedBatches, pad
from minidl.pairs import Answer, pair_batches, translate
from minidl.parameter import Parameter
from minidl.quantiles import QuantileLoss, coverage, median_error
from minidl.saving import load
from minidl.schedules import ConstantLR, CosineLR, ExponentialLR, OneCycleLR, StepLR, StretchedLR
from minidl.sequential import Sequential
from minidl.series import Scaler, SeriesWindows, split_series
from minidl.splits import split_rows
from minidl.tables import Table, read_table
from minidl.text import CharVocab, WordVocab, read_text
from minidl.tokens import tokenize
from minidl.trainer import Trainer
from minidl.transplant import transplant
from minidl.version import __version__ as __version__

if typing.TYPE_CHECKING:
    from minidl import checking
    from minidl.callbacks.console import Console
    from minidl.doctor import Diagnosis, Doctor, Rollback, diagnose

__all__ = [
    "GRU",
    "LSTM",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveClip",
    "Add",
    "AdditiveAttention",
    "Answer",
    "ArgumentError",
    "Array",
    "ArrayBatches",
    "Ascending",
    "Attention",
    "Batch",
    "Bidirectional",
    "BinaryCrossEntropy",
    "CSVLog",
    "Callback",
    "CharVocab",
    "Checkpoint",
    "ClipNorm",
    "ClipValue",
    "Concatenate",
    "Console",
    "ConstantLR",
    "Container",
    "Conv1D",
    "Conv1DState",
    "Corpus",
    "CosineLR",
    "CoupledLSTM",
    "CrossEntropy",
    "Dense",
    "Diagnosis",
    "Doctor",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "ExponentialLR",
    "Flatten",
    "GRUState",
    "Graph",
    "HardSigmoid",
    "History",
    "Hypothesis",
    "IdError",
    "JSONLog",
    "LSTMState",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LearnedState",
    "LogSoftmax",
    "Loss",
    "MeanSquaredError",
    "Metric",
    "MinidlError",
    "ModelFormatError",
    "Multiply",
    "NanGuard",
    "NonFiniteError",
    "NotBuiltError",
    "OneCycleLR",
    "Optimizer",
    "PaddedBatches",
    "Parameter",
    "PoolTime",
    "QuantileLoss",
    "RMSProp",
    "ReLU",
    "ReduceLROnPlateau",
    "Reshape",
    "Rollback",
    "SampleText",
    "SaveBest",
    "Scaler",
    "Sequential",
    "SeriesWindows",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "SimpleRNN",
    "SimpleRNNState",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Stateful",
    "StepLR",
    "StretchedLR",
    "SumOverTime",
    "Table",
    "Tanh",
    "TextStream",
    "TimeBudget",
    "Trainer",
    "UnknownNameError",
    "WordVocab",
    "accuracy",
    "beam_search",
    "bits_per_character",
    "char_corpus",
    "check_finite",
    "checking",
    "clip_norm",
    "clip_value",
    "constant",
    "coverage",
    "diagnose",
    "exact_match",
    "forecast",
    "generate",
    "generate_text",
    "global_norm",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kernels",
    "load",
    "loss_and_grads",
    "loss_value",
    "median_error",
    "naive_forecast",
    "ngram_bits",
    "normal",
    "norms",
    "ones",
    "orthogonal",
    "pad",
    "pair_batches",
    "perplexity",
    "read_table",
    "read_text",
    "split",
    "split_rows",
    "split_series",
    "tokenize",
    "translate",
    "transplant",
    "uniform",
    "word_corpus",
    "zeros",
]


_LATE = {  # what takes a while to import is fetched when it is first used
    "Console": "minidl.callbacks.console",
    "Diagnosis": "minidl.doctor",
    "Doctor": "minidl.doctor",
    "Rollback": "minidl.doctor",
    "diagnose": "minidl.doctor",
}


def __getattr__(name: str) -> typing.Any:
    import importlib

    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name]), name)
    if name in ("checking", "doctor"):
        return importlib.import_module(f"minidl.{name}")
    from minidl.equivalents import missing_name

    raise missing_name(__name__, name)
