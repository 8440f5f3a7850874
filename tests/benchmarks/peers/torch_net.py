"""PyTorch: torch.nn.LSTM, which runs on oneDNN, or torch.nn.GRU and RNN, and the fused Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tasks import LEARNING_RATE, MAX_NORM, PROMPT, TEMPERATURE, Size, repeated, window

LAYERS = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}


def about() -> dict[str, str]:
    """The version."""
    return {"torch": torch.__version__}


def built(size: Size) -> Any:
    """The net of torch's modules."""
    torch.manual_seed(0)
    return torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(size.symbols, size.embedding),
            "recurrent": LAYERS[size.layer](size.embedding, size.units, size.layers, batch_first=True),
            "dense": torch.nn.Linear(size.units, size.symbols),
        }
    )


def tensors(size: Size) -> list[Any]:
    """x, t [B, T]."""
    return [torch.tensor(ids, dtype=torch.int64) for ids in window(size)]


def training(size: Size) -> Callable[[int], Any]:
    """Updates with carried state."""
    net, (x, t), state = built(size), tensors(size), None
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE, fused=True)

    def step() -> Any:
        nonlocal state
        optimizer.zero_grad()
        h, end = net["recurrent"](net["embedding"](x), state)
        loss = torch.nn.functional.cross_entropy(net["dense"](h).flatten(0, 1), t.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
        optimizer.step()
        state = tuple(a.detach() for a in end) if isinstance(end, tuple) else end.detach()
        return loss.detach()

    return repeated(step)


def generation(size: Size) -> Callable[[int], None]:
    """One symbol after the other, in the loop that people write."""
    net = built(size).eval()

    def write(count: int) -> None:
        with torch.inference_mode():
            x, state = torch.tensor([PROMPT]), None
            for _ in range(count):
                h, state = net["recurrent"](net["embedding"](x), state)
                p = torch.softmax(net["dense"](h[:, -1]) / TEMPERATURE, dim=-1)
                x = torch.multinomial(p, 1)
                int(x)

    return write


def inference(size: Size) -> Callable[[int], Any]:
    """The probabilities of a whole window."""
    net, (x, _) = built(size).eval(), tensors(size)

    def step() -> Any:
        with torch.inference_mode():
            h, _ = net["recurrent"](net["embedding"](x))
            return torch.softmax(net["dense"](h), dim=-1)[0, 0, 0]

    return repeated(step)


TASKS = {"training": training, "generation": generation, "inference": inference}
