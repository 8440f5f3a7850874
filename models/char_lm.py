"""The character language model: which symbol comes next?"""

from __future__ import annotations

from typing import Literal

from minidl import LSTM, Dense, Dropout, Embedding, Layer, Sequential, Softmax
from minidl.arguments import positive_int


def char_lm(
    vocab_size: int,
    units: int,
    layers: int = 1,
    peephole: bool | Literal["diagonal", "full"] = False,
    dropout: float = 0.0,
    embedding: int | None = None,
) -> Sequential:
    """A net that reads symbols and gives the probabilities of the next one, at every step.

        ids [B, T] -> embedding -> LSTM -> ... -> LSTM -> scores -> softmax -> [B, T, vocab_size]

    Good for text of any script, for music in symbols, for any stream of ids. It is not built yet: training
    builds it from its first batch, `build((None,))` by hand.

    Args:
        vocab_size: the number of symbols.
        units: the cells of each LSTM layer.
        layers: the number of LSTM layers.
        peephole: as for `LSTM`.
        dropout: the share of units that fall silent behind each LSTM layer in training.
        embedding: the length of a symbol's row; by default `units`, at most 64.

    Source:
        Graves 2013, Generating sequences with recurrent neural networks.

    Example:
        >>> from minidl.models import char_lm
        >>> net = char_lm(96, 128, layers=2, peephole=True)
        >>> net.build((None,))
        (None, 96)
    """
    stack: list[Layer] = [Embedding(vocab_size, min(units, 64) if embedding is None else embedding)]
    for _ in range(positive_int("char_lm", "layers", layers)):
        stack.append(LSTM(units, peephole=peephole, return_sequences=True))
        if dropout:
            stack.append(Dropout(dropout))
    return Sequential([*stack, Dense(vocab_size), Softmax()], name="char_lm")
