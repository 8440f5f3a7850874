"""minidl: build, train, understand and debug recurrent networks on NumPy."""

from minidl import checking, kernels
from minidl.data import Batch
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
from minidl.gradients import check_finite, clip_norm, clip_value, global_norm, norms
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
from minidl.layer import Layer, Parameter
from minidl.layers import (
    LSTM,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LastStep,
    LogSoftmax,
    LSTMState,
    ReLU,
    Sigmoid,
    Softmax,
    Stateful,
    Tanh,
)
from minidl.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from minidl.metrics import accuracy, bits_per_character, perplexity
from minidl.objective import loss_and_grads, loss_value
from minidl.optimizers import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSProp
from minidl.saving import load
from minidl.schedules import ConstantLR, CosineLR, ExponentialLR, OneCycleLR, StepLR
from minidl.sequential import Sequential

__all__ = [
    "LSTM",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "ArgumentError",
    "Array",
    "Batch",
    "BinaryCrossEntropy",
    "ConstantLR",
    "CosineLR",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "Embedding",
    "ExponentialLR",
    "Flatten",
    "IdError",
    "LSTMState",
    "LastStep",
    "Layer",
    "LogSoftmax",
    "Loss",
    "MeanSquaredError",
    "MinidlError",
    "ModelFormatError",
    "NonFiniteError",
    "NotBuiltError",
    "OneCycleLR",
    "Optimizer",
    "Parameter",
    "RMSProp",
    "ReLU",
    "Sequential",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "SoftmaxCrossEntropy",
    "Stateful",
    "StepLR",
    "Tanh",
    "UnknownNameError",
    "accuracy",
    "bits_per_character",
    "check_finite",
    "checking",
    "clip_norm",
    "clip_value",
    "constant",
    "global_norm",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kernels",
    "load",
    "loss_and_grads",
    "loss_value",
    "normal",
    "norms",
    "ones",
    "orthogonal",
    "perplexity",
    "uniform",
    "zeros",
]
__version__ = "0.1.0"
