"""The table of cases: every public layer with its options, and the shape it is built for."""

from __future__ import annotations

from itertools import product

import minidl
from minidl import (
    LSTM,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    HardSigmoid,
    LastStep,
    Layer,
    LearnedState,
    LogSoftmax,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

Case = tuple[Layer, tuple[int | None, ...]]


def lstm_cases() -> list[Case]:
    """Every combination of the LSTM's options."""
    options = product([False, "diagonal", "full"], [False, True], [False, True], [0.0, 0.4], [0.0, 1.0])
    return [
        (
            LSTM(
                3,
                peephole=peephole,
                return_sequences=sequences,
                go_backwards=backwards,
                recurrent_dropout=dropout,
                forget_bias=bias,
            ),
            (None, 2),
        )
        for peephole, sequences, backwards, dropout, bias in options
        if bias == 1.0 or dropout == 0.0  # the bias is a mere initial value
    ]


def lstm_variants() -> list[Case]:
    """The LSTM's rare options and its kin, with every peephole, direction and output; dropout in half of them."""
    options = product([False, "diagonal", "full"], [False, True], [False, True])
    cases: list[Case] = []
    for count, (peephole, sequences, backwards) in enumerate(options):
        common = {"peephole": peephole, "return_sequences": sequences, "go_backwards": backwards}
        common["recurrent_dropout"] = 0.4 * (count % 2)
        hard = {"recurrent_activation": HardSigmoid(0.2)}
        cases += [(LSTM(3, **common, **rare), (None, 2)) for rare in (hard, {"cell_clip": 0.3})]
        cases.append((CoupledLSTM(3, **common), (None, 2)))
        everything = {"recurrent_activation": HardSigmoid(), "cell_clip": 0.3}
        if sequences:
            cases.append((LearnedState(LSTM(3, **common)), (None, 2)))
        if sequences != backwards:
            coupled = CoupledLSTM(3, **common, **everything)
            cases.append((coupled if sequences else LearnedState(coupled), (None, 2)))
    return cases


def tied() -> Layer:
    embedding = Embedding(6, 4)
    return Sequential([embedding, LSTM(4, return_sequences=True), Dense(6, tie=embedding)])


def twice() -> Layer:
    shared = LSTM(3, peephole=True, return_sequences=True)
    return Sequential([Dense(3), shared, Tanh(), shared, Dense(2)])


def learned_twice() -> Layer:
    """One learned state in two places, and its layer bare in a third."""
    shared = LearnedState(LSTM(3, return_sequences=True))
    return Sequential([shared, Tanh(), shared, shared.layer, LearnedState(CoupledLSTM(2)), Dense(2)])


def nested() -> Layer:
    encoder = Sequential([Embedding(7, 3), LSTM(4, return_sequences=True)], name="encoder")
    return Sequential([encoder, ("decoder", Sequential([LSTM(3), Dense(5)])), Softmax()])


LAYERS: list[Case] = [
    (Dense(4), (3,)),
    (Dense(4), (None, 3)),
    (Dense(4, bias=False), (3,)),
    (Embedding(5, 3), (None,)),
    (Embedding(5, 3), ()),
    (Softmax(), (4,)),
    (Softmax(), (None, 4)),
    (LogSoftmax(), (None, 4)),
    (Tanh(), (4,)),
    (Sigmoid(), (None, 4)),
    (ReLU(), (4,)),
    (Dropout(0.0), (4,)),
    (Dropout(0.4), (None, 4)),
    (Flatten(), (4, 3)),
    (Flatten(), (2, 3, 2)),
    (LastStep(), (None, 3)),
    (LastStep(), (4, 3, 2)),
    *lstm_cases(),
    (HardSigmoid(), (4,)),
    (HardSigmoid(0.2), (None, 4)),
    (LSTM(3, recurrent_activation=Sigmoid()), (None, 2)),
    *lstm_variants(),
]

NETS: list[Case] = [
    (Sequential([Dense(4), ReLU(), Dense(3), Softmax()]), (5,)),
    (Sequential([Embedding(7, 3), LSTM(4, return_sequences=True), Dropout(0.3), LSTM(3), Dense(2)]), (None,)),
    (Sequential([LSTM(3, go_backwards=True, return_sequences=True), LastStep(), Dense(2), LogSoftmax()]), (None, 2)),
    (Sequential([LSTM(3, peephole="full", return_sequences=True), Flatten(), Dense(2)]), (4, 2)),
    (tied(), (None,)),
    (twice(), (None, 2)),
    (nested(), (None,)),
    (Sequential([Tanh(), Dense(3), Sigmoid(), Dropout(0.5)]), (None, 2)),
    (learned_twice(), (None, 3)),
]


def name_of(case: Case) -> str:
    """The test id of a case."""
    layer, in_shape = case
    return f"{layer!r}-{in_shape}".replace(" ", "")


def public(base: type) -> set[str]:
    """The public concrete classes of minidl that derive from `base`."""
    found = {name: getattr(minidl, name) for name in minidl.__all__}
    return {n for n, c in found.items() if isinstance(c, type) and issubclass(c, base) and c.__name__ not in ABSTRACT}


ABSTRACT = {"Layer", "Stateful", "Loss", "Optimizer"}
