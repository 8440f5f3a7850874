"""The word language model, and the settings of Zaremba, Sutskever & Vinyals for it: which word comes next?"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from minidl import LSTM, Dense, Dropout, Embedding, Layer, Sequential, Softmax, uniform
from minidl.arguments import positive_int
from minidl.initializers import Initializer


def word_lm(
    vocab_size: int,
    units: int = 200,
    layers: int = 2,
    peephole: bool | Literal["diagonal", "full"] = False,
    dropout: float = 0.0,
    tie: bool = False,
    init: Initializer | None = None,
    forget_bias: float = 1.0,
) -> Sequential:
    """A net that reads words and gives the probabilities of the next one, at every step.

        ids [B, T] -> embedding -> LSTM -> ... -> LSTM -> scores -> softmax -> [B, T, vocab_size]

    Good for text in words, with a vocabulary of thousands. A word's row is as long as the LSTM is wide, and dropout
    stands wherever one layer hands on to another: before each LSTM and behind the last, never between two steps. It
    is not built yet: training builds it from its first batch, `build((None,))` by hand.

    Args:
        vocab_size: the number of words.
        units: the cells of each LSTM layer, and the length of a word's row.
        layers: the number of LSTM layers.
        peephole: as for `LSTM`.
        dropout: the share of units that fall silent in training, behind the embedding and behind each LSTM layer.
        tie: whether the embedding's rows are the output weights as well: fewer parameters, and on small texts a
            lower perplexity.
        init: what the weights are drawn from, and the bias of the scores: `minidl.uniform(0.1)`; None for what each
            layer draws from by itself. The LSTM's bias begins at 0, that of its forget gate at `forget_bias`.
        forget_bias: as for `LSTM`.

    Source:
        Zaremba, Sutskever & Vinyals 2014, Recurrent neural network regularization; Press & Wolf 2017 (tying).

    Example:
        >>> from minidl.models import word_lm
        >>> net = word_lm(10_000, 200)
        >>> net.build((None,))
        (None, 10000)
        >>> sum(p.value.size for p in net.params.values())
        4651600
    """

    def drawn(*names: str) -> dict[str, Initializer] | None:
        return None if init is None else dict.fromkeys(names, init)

    # rows that are output weights too begin smaller: the first scores would be far from even
    rows = drawn("E") or ({"E": uniform(0.1)} if tie else None)
    embedding = Embedding(vocab_size, units, init=rows)
    stack: list[Layer] = [embedding]
    weights = ("Wx", "Wh", "p") if peephole else ("Wx", "Wh")
    for _ in range(positive_int("word_lm", "layers", layers)):
        if dropout:
            stack.append(Dropout(dropout))
        own = drawn(*weights)
        stack.append(LSTM(units, peephole=peephole, return_sequences=True, forget_bias=forget_bias, init=own))
    if dropout:
        stack.append(Dropout(dropout))
    scores = Dense(vocab_size, tie=embedding if tie else None, init=drawn(*(("b",) if tie else ("W", "b"))))
    return Sequential([*stack, scores, Softmax()], name="word_lm")


class Recipe(NamedTuple):
    """How a `word_lm` is trained by the book: SGD on the sum of a window's losses, clipped by norm, state carried.

        rate of epoch e = lr * decay^max(e - hold, 0)          e = 1, 2, ..., epochs

    Example:
        >>> from minidl.models import RECIPES
        >>> small = RECIPES["zaremba-small"]
        >>> [small.lr * small.decay ** max(e - small.hold, 0) for e in (1, 4, 5, 6)]
        [1.0, 1.0, 0.5, 0.25]
    """

    units: int
    layers: int
    dropout: float
    limit: float  # of the uniform distribution that the weights are drawn from
    time: int  # steps of a window
    batch_size: int
    epochs: int
    hold: int  # epochs before the rate begins to fall
    decay: float
    clip: float
    lr: float = 1.0

    def net(self, vocab_size: int, peephole: bool | Literal["diagonal", "full"] = False) -> Sequential:
        """The net of the recipe, or with peepholes."""
        own: dict[str, Any] = {"init": uniform(self.limit), "forget_bias": 0.0}
        return word_lm(vocab_size, self.units, self.layers, peephole, self.dropout, **own)


RECIPES = {
    "zaremba-small": Recipe(200, 2, 0.0, 0.1, 20, 20, epochs=13, hold=4, decay=0.5, clip=5.0),
    "zaremba-medium": Recipe(650, 2, 0.5, 0.05, 35, 20, epochs=39, hold=6, decay=1 / 1.2, clip=5.0),
    "zaremba-large": Recipe(1500, 2, 0.65, 0.04, 35, 20, epochs=55, hold=14, decay=1 / 1.15, clip=10.0),
}
