"""The encoder-decoder: which sequence is the answer to another one?"""

from __future__ import annotations

from minidl import LSTM, Attention, Concatenate, Dense, Dropout, Embedding, Graph, Softmax, Tanh


def seq2seq(
    vocab_size: int,
    units: int,
    layers: int = 1,
    embedding: int | None = None,
    attention: bool = True,
    dropout: float = 0.0,
) -> Graph:
    """A net that reads a sequence, and writes another one, symbol by symbol.

        source [B, S] -> symbols -> encoder -> ... -> encoder
                                       | state           | all it said
                                       v                 v
        target [B, T] -> symbols -> decoder -> ... -> attention -> tanh -> scores -> softmax -> [B, T, vocab_size + 1]

    The decoder starts from the states in which the encoder ended, layer by layer, and before each symbol that it
    writes it looks back at all that the encoder said. Good for what has an answer of another length: translation,
    spelling, dates in another form, sums.

    Both sides share one vocabulary, ids 0 to vocab_size - 1, and their embedding. The id vocab_size is the mark that
    stands before the first and behind the last symbol of what is written. In training the target is the answer behind
    a mark, [mark, a, b, c], and what is to be predicted is the answer with a mark at its end, [a, b, c, mark]:
    `minidl.pair_batches` makes both of plain texts, and `minidl.translate` or `minidl.beam_search` lets the net write.
    It is not built yet: training builds it from its first batch, `build(((None,), (None,)))` by hand.

    Args:
        vocab_size: the number of symbols, without the mark.
        units: the cells of each LSTM layer.
        layers: the number of LSTM layers of the encoder, and of the decoder.
        embedding: the length of a symbol's row; by default `units`, at most 64.
        attention: False leaves it out: all that is known of the source is then in the state.
        dropout: the share of units that fall silent behind each LSTM layer in training; without attention not behind
            the encoder's last one, of which only the state is read.

    Source:
        Sutskever, Vinyals & Le 2014, Sequence to sequence learning with neural networks; Luong, Pham & Manning 2015,
        Effective approaches to attention-based neural machine translation (the attention, and the tanh behind it).

    Example:
        >>> from minidl.models import seq2seq
        >>> net = seq2seq(12, 32)
        >>> net.build(((None,), (None,)))
        (None, 13)
    """
    net = Graph(inputs=("source", "target"), name="seq2seq")
    symbols = Embedding(vocab_size + 1, min(units, 64) if embedding is None else embedding)
    net.add("read", symbols, "source").add("written", symbols, "target")

    def add_lstms(name: str, last: str, origin: str | None) -> str:
        for k in range(layers):
            number = f"_{k + 1}" if k else ""
            state = None if origin is None else f"{origin}{number}"
            net.add(f"{name}{number}", LSTM(units, return_sequences=True), last, state=state)
            last = f"{name}{number}"
            if dropout and (name == "decoder" or k < layers - 1 or attention):  # else nothing reads the encoder's end
                last = f"{name}_dropout{number}"
                net.add(last, Dropout(dropout), f"{name}{number}")
        return last

    said = add_lstms("encoder", "read", None)
    last = add_lstms("decoder", "written", "encoder")
    if attention:
        net.add("attention", Attention(), last, said).add("both", Concatenate(), last, "attention")
        net.add("dense", Dense(units), "both").add("tanh", Tanh(), "dense")
        last = "tanh"
    return net.add("scores", Dense(vocab_size + 1), last).add("softmax", Softmax(), "scores")
