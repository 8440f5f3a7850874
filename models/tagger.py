"""The tagger: what is each word of a sentence?"""

from __future__ import annotations

from minidl.models.text_classifier import both_ways

from minidl import Dense, Sequential, Softmax


def tagger(
    vocab_size: int, tags: int, units: int = 64, layers: int = 1, dropout: float = 0.0, embedding: int | None = None
) -> Sequential:
    """A net that reads a sentence from both ends and gives the probabilities of each word's tags.

        ids [B, T] -> embedding -> LSTM both ways -> ... -> LSTM both ways -> scores -> softmax -> [B, T, tags]

    Good for parts of speech, names, chunks, for a label on each step of anything that is there as a whole. Each tag is
    told from all words to its left and to its right, not from the other tags. It is not built yet: training builds it
    from its first batch, `build((None,))` by hand.

    Args:
        vocab_size: the number of words.
        tags: the number of tags.
        units: the cells of each LSTM, of which a layer has two.
        layers: the number of bidirectional layers.
        dropout: the share of units that fall silent behind the embedding and behind each layer in training.
        embedding: the length of a word's row; by default `units`, at most 64.

    Source:
        Graves & Schmidhuber 2005, Framewise phoneme classification with bidirectional LSTM and other neural network
        architectures.

    Example:
        >>> from minidl.models import tagger
        >>> net = tagger(5000, 17, units=100)
        >>> net.build((None,))
        (None, 17)
    """
    return Sequential(
        [*both_ways(vocab_size, units, layers, dropout, embedding), Dense(tags), Softmax()], name="tagger"
    )
