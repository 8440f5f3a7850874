"""minidl itself; MINIDL_KERNELS chooses the kernel."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from minidl.models import char_lm
from tasks import LEARNING_RATE, MAX_NORM, PROMPT, TEMPERATURE, Size, repeated, window

import minidl

if os.environ.get("MINIDL_KERNELS") == "numba":
    importlib.import_module(
        "numba"
    )  # minidl imports it late; beside peers that import all they have, it counts as that


def about() -> dict[str, str]:
    """Versions, and the kernel that runs."""
    return {"minidl": minidl.__version__, "kernel": minidl.kernels.backend(), "numpy": np.__version__}


def built(size: Size, peephole: Any = False) -> minidl.Sequential:
    """The net."""
    if size.layer == "LSTM":
        net = char_lm(size.symbols, size.units, size.layers, peephole=peephole, embedding=size.embedding)
    else:
        kind = getattr(minidl, size.layer)
        stack = [kind(size.units, return_sequences=True) for _ in range(size.layers)]
        ends = minidl.Embedding(size.symbols, size.embedding), minidl.Dense(size.symbols), minidl.Softmax()
        net = minidl.Sequential([ends[0], *stack, *ends[1:]])
    net.build((None,), seed=0)
    return net


def training(size: Size, peephole: Any = False) -> Callable[[int], float]:
    """Updates with carried state."""
    net, state = built(size, peephole), None
    loss, optimizer = minidl.CrossEntropy(), minidl.Adam(LEARNING_RATE)
    batch = minidl.Batch(*window(size), start=False)

    def step() -> Any:
        nonlocal state
        net.zero_grads()
        result = minidl.loss_and_grads(net, loss, batch, state)
        minidl.clip_norm(net.params, MAX_NORM)
        optimizer.step(net.params)
        state = result.state
        return result.value

    return repeated(step)


def generation(size: Size) -> Callable[[int], None]:
    """One symbol after the other."""
    net = built(size)

    def write(count: int) -> None:
        for _ in minidl.generate(net, PROMPT, count, temperature=TEMPERATURE, seed=0):
            pass

    return write


def inference(size: Size) -> Callable[[int], float]:
    """The probabilities of a whole window."""
    net, (x, _) = built(size), window(size)
    return repeated(lambda: net.predict(x)[0, 0, 0])


TASKS = {"training": training, "generation": generation, "inference": inference}
