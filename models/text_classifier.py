"""The text classifier: what kind of text is it?"""

from __future__ import annotations

from typing import Literal

from minidl import LSTM, Bidirectional, Dense, Dropout, Embedding, Layer, PoolTime, Sequential, Softmax
from minidl.arguments import positive_int


def text_classifier(
    vocab_size: int,
    classes: int,
    units: int = 64,
    layers: int = 1,
    dropout: float = 0.0,
    embedding: int | None = None,
    pool: Literal["max", "mean"] = "max",
) -> Sequential:
    """A net that reads a text from both ends and gives the probabilities of its classes.

        ids [B, T] -> embedding -> LSTM both ways -> ... -> LSTM both ways -> pool over time -> scores -> softmax
        -> [B, classes]

    Good for opinions, topics, intents, languages: whatever one label says of a whole text, of words or of characters.
    Padding that a mask marks changes nothing. It is not built yet: training builds it from its first batch,
    `build((None,))` by hand.

    Args:
        vocab_size: the number of words, or characters.
        classes: the number of classes.
        units: the cells of each LSTM, of which a layer has two.
        layers: the number of bidirectional layers.
        dropout: the share of units that fall silent behind the embedding and behind each layer in training.
        embedding: the length of a word's row; by default `units`, at most 64.
        pool: what is kept of a text's steps: of each unit the highest value, or the mean.

    Source:
        Conneau et al. 2017, Supervised learning of universal sentence representations (a bidirectional LSTM with the
        maximum over time).

    Example:
        >>> from minidl.models import text_classifier
        >>> net = text_classifier(5000, 3, dropout=0.3)
        >>> net.build((None,))
        (3,)
    """
    return Sequential(
        [*both_ways(vocab_size, units, layers, dropout, embedding), PoolTime(kind=pool), Dense(classes), Softmax()],
        name="text_classifier",
    )


def both_ways(vocab_size: int, units: int, layers: int, dropout: float, embedding: int | None) -> list[Layer]:
    """Ids read from both ends: an embedding and bidirectional LSTMs, [B, T] -> [B, T, 2 units]."""
    stack: list[Layer] = [Embedding(vocab_size, min(units, 64) if embedding is None else embedding)]
    for _ in range(positive_int("the net", "layers", layers)):
        if dropout:
            stack.append(Dropout(dropout))
        stack.append(Bidirectional(LSTM(units, return_sequences=True)))
    return [*stack, Dropout(dropout)] if dropout else stack
