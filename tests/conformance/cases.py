"""The table of cases: every public layer with its options, and the shape it is built for."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

import minidl
from minidl import (
    GRU,
    LSTM,
    Add,
    AdditiveAttention,
    Ascending,
    Attention,
    Bidirectional,
    Concatenate,
    Conv1D,
    CoupledLSTM,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    HardSigmoid,
    LastStep,
    Layer,
    LayerNorm,
    LearnedState,
    LogSoftmax,
    Multiply,
    PoolTime,
    ReLU,
    Reshape,
    Sequential,
    Shape,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Tanh,
)
from minidl.checking import Subject

Case = tuple[Layer, Shape]


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


def conv1d_cases() -> list[Case]:
    """Every padding with windows of even and odd width, of one step, and of all steps."""
    options = product(["valid", "same", "causal"], [1, 2, 3, 5], [False, True])
    free = [
        (Conv1D(3, width, padding=padding, bias=bias), (None, 2))
        for padding, width, bias in options
        if bias or width == 3
    ]
    return [
        *free,
        (Conv1D(3, 2), (6, 2)),
        (Conv1D(1, 3, padding="same"), (4, 1)),
        (Conv1D(2, 4, padding="causal"), (3, 2)),
    ]


def merging_cases() -> list[Case]:
    """Two inputs and more, of features, of sequences and of more axes."""
    layers = [Add(), Multiply(), Concatenate()]
    shapes = [((3,), (3,)), ((None, 3),) * 2, ((None, 2),) * 4, ((4, 3, 2),) * 2]
    return [*product(layers, shapes), (Concatenate(), ((None, 1), (None, 3)))]


def lstm_variants() -> list[Case]:
    """The LSTM's rare options and its kin, with every peephole, direction and output; dropout in half of them."""
    options = product([False, "diagonal", "full"], [False, True], [False, True])
    cases: list[Case] = []
    for count, (peephole, sequences, backwards) in enumerate(options):
        common = {"peephole": peephole, "return_sequences": sequences, "go_backwards": backwards}
        common["recurrent_dropout"] = 0.4 * (count % 2)
        hard = {"recurrent_activation": HardSigmoid(slope=0.2)}
        cases += [(LSTM(3, **common, **rare), (None, 2)) for rare in (hard, {"cell_clip": 0.3})]
        cases.append((CoupledLSTM(3, **common), (None, 2)))
        everything = {"recurrent_activation": HardSigmoid(), "cell_clip": 0.3}
        if sequences:
            cases.append((LearnedState(LSTM(3, **common)), (None, 2)))
        if sequences != backwards:
            coupled = CoupledLSTM(3, **common, **everything)
            cases.append((coupled if sequences else LearnedState(coupled), (None, 2)))
    return cases


def gru_cases() -> list[Case]:
    """Every combination of the GRU's options."""
    options = product([False, True], [False, True], [False, True], [0.0, 0.4])
    return [
        (
            GRU(
                3,
                reset_after=after,
                return_sequences=sequences,
                go_backwards=backwards,
                recurrent_dropout=dropout,
            ),
            (None, 2),
        )
        for after, sequences, backwards, dropout in options
    ]


def simple_rnn_cases() -> list[Case]:
    """Every combination of the SimpleRNN's options."""
    options = product([Tanh, ReLU], [False, True], [False, True], [0.0, 0.4])
    return [
        (
            SimpleRNN(
                3,
                activation=activation(),
                return_sequences=sequences,
                go_backwards=backwards,
                recurrent_dropout=dropout,
            ),
            (None, 2),
        )
        for activation, sequences, backwards, dropout in options
    ]


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
    (LayerNorm(), (4,)),
    (LayerNorm(eps=0.1), (None, 3)),
    (PoolTime(), (None, 3)),
    (PoolTime(kind="mean"), (4, 3, 2)),
    (PoolTime(kind="max"), (None, 3)),
    (PoolTime(kind="max"), (4, 3, 2)),
    (Reshape((2, 3)), (6,)),
    (Reshape((2, 1, 2)), (None, 4)),
    (Ascending(), (3,)),
    (Ascending(), (None, 4)),
    (Ascending(), (2, 3, 1)),
    *conv1d_cases(),
    *merging_cases(),
    (Attention(), ((None, 3), (None, 3))),
    (Attention(), ((None, 3), (None, 2), (None, 3))),
    (Attention(), ((4, 3), (4, 3))),
    (AdditiveAttention(4), ((None, 3), (None, 2))),
    (AdditiveAttention(2), ((None, 3), (None, 2), (None, 1))),
    *lstm_cases(),
    (HardSigmoid(), (4,)),
    (HardSigmoid(slope=0.2), (None, 4)),
    (LSTM(3, recurrent_activation=Sigmoid()), (None, 2)),
    *lstm_variants(),
    *gru_cases(),
    *simple_rnn_cases(),
]


def siamese() -> Layer:
    read = Sequential([Embedding(7, 3), LSTM(4)])
    net = Graph(inputs=("left", "right"))
    return (
        net.add("a", read, "left").add("b", read, "right").add("both", Multiply(), "a", "b").add("y", Dense(2), "both")
    )


def translator(attention: Layer) -> Layer:
    """Attention, an edge for the state, and an encoder whose y is used besides."""
    net = Graph(inputs=("source", "target"))
    net.add("read", Embedding(7, 3), "source").add("encoder", LSTM(4, return_sequences=True), "read")
    net.add("written", Embedding(5, 3), "target").add(
        "decoder", LSTM(4, return_sequences=True), "written", state="encoder"
    )
    net.add("attention", attention, "decoder", "encoder").add("both", Concatenate(), "decoder", "attention")
    return net.add("scores", Dense(5), "both").add("p", Softmax(), "scores")


def residual() -> Layer:
    """Fan-out, an instance that stands twice, two outputs."""
    net, shared = Graph(outputs=("y", "end")), LSTM(3, peephole=True, return_sequences=True)
    net.add("a", shared, "x").add("b", Add(), "a", "x").add("c", shared, "b").add("y", Add(), "c", "b", "x")
    return net.add("end", LastStep(), "b")


def edge(*layers: Layer) -> Layer:
    """From a state to a first state, of what is not an array alone: the y of the first is used by nobody."""
    first, second = layers
    net = Graph(inputs=("source", "target"))
    return net.add("first", first, "source").add("second", second, "target", state="first")


def nested_graph() -> Layer:
    inner = Graph().add("a", Dense(3), "x").add("b", LSTM(3, return_sequences=True), "a").add("y", Add(), "a", "b")
    return Sequential(
        [("inner", inner), Dropout(0.3), ("both", Bidirectional(LSTM(2, return_sequences=True))), LSTM(2)]
    )


LARGE: list[Case] = [  # not in the default run
    (translator(Attention()), ((None,), (None,))),
    (
        edge(
            Sequential([Dense(3), LSTM(3, go_backwards=True)]),
            Sequential([Dense(2), LSTM(3, return_sequences=True), Dropout(0.3)]),
        ),
        ((None, 2), (None, 3)),
    ),
    (nested_graph(), (None, 2)),
    (learned_twice(), (None, 3)),
    (Sequential([Embedding(7, 3), LSTM(4, return_sequences=True), Dropout(0.3), LSTM(3), Dense(2)]), (None,)),
]

GRAPHS: list[Case] = [
    (Graph().add("a", LSTM(3, return_sequences=True), "x").add("y", Dense(2), "a"), (None, 2)),
    (siamese(), ((None,), (None,))),
    (translator(AdditiveAttention(3)), ((None,), (None,))),
    (residual(), (None, 3)),
    (edge(LSTM(3), LSTM(3, peephole=True)), ((None, 2), (None, 3))),
    (edge(GRU(3, reset_after=False), GRU(3, return_sequences=True)), ((None, 2), (None, 3))),
    (Bidirectional(GRU(3), merge=Add()), (None, 2)),
    (Bidirectional(LearnedState(SimpleRNN(3, return_sequences=True))), (None, 2)),
    *(
        (Bidirectional(LSTM(3, peephole=peephole, return_sequences=sequences), merge=merge), (None, 2))
        for peephole in (False, "full")
        for sequences in (False, True)
        for merge in (None, Add(), Multiply())
    ),
]

NETS: list[Case] = [
    (Sequential([Dense(4), ReLU(), Dense(3), Softmax()]), (5,)),
    (Sequential([LSTM(3, go_backwards=True, return_sequences=True), LastStep(), Dense(2), LogSoftmax()]), (None, 2)),
    (Sequential([LSTM(3, peephole="full", return_sequences=True), Flatten(), Dense(2)]), (4, 2)),
    (tied(), (None,)),
    (twice(), (None, 2)),
    (nested(), (None,)),
    (Sequential([Tanh(), Dense(3), Sigmoid(), Dropout(0.5)]), (None, 2)),
    *GRAPHS,
    (
        Sequential([Embedding(7, 3), Conv1D(4, 3), ReLU(), LSTM(3, return_sequences=True), PoolTime(kind="max")]),
        (None,),
    ),
    (
        Sequential(
            [
                Conv1D(3, 3, padding="causal"),
                LayerNorm(),
                LSTM(3, return_sequences=True),
                Conv1D(2, 2, padding="causal"),
            ]
        ),
        (None, 2),
    ),
    *LARGE,
]


def name_of(case: Case) -> str:
    """The test id of a case."""
    layer, in_shape = case
    return f"{layer!r}-{in_shape}".replace(" ", "")


def on_kernels(layer: Layer) -> bool:
    """Whether it is a layer that has a kernel in NumPy and one as machine code."""
    return isinstance(layer, GRU | SimpleRNN) or (isinstance(layer, LSTM) and not layer.rare_options())


def by_default(layer: Layer) -> bool:
    """Whether a case is in the default run: of the options of recurrent layers, few combinations are.

    Each value of each option occurs in them.
    """
    if isinstance(layer, Bidirectional):
        inner, merge = layer["forward"], layer["merge"]
        options = [isinstance(merge, Concatenate), getattr(inner, "return_sequences", True)]
        return isinstance(inner, GRU | LearnedState) or options == [getattr(inner, "peephole", False) == "full"] * 2
    inner = layer.layer if isinstance(layer, LearnedState) else layer
    if "go_backwards" not in inner.config():
        return True
    if getattr(inner, "forget_bias", 1.0) == 0.0 and (inner.return_sequences or inner.go_backwards):
        return False  # a mere initial value: without the other options is enough
    odd = [getattr(inner, "peephole", False) in (True, "diagonal"), inner.return_sequences, inner.go_backwards]
    odd += [getattr(inner, "reset_after", False), isinstance(getattr(inner, "activation", None), ReLU)]
    dropout = [inner.recurrent_dropout > 0, inner.return_sequences, getattr(inner, "peephole", False) == "full"]
    return sum(odd) % 2 == 0 and (isinstance(inner, CoupledLSTM) or sum(dropout) % 2 == 0)


def parameters(cases: list[Case]) -> list[Any]:
    """The parameters of a test for each case, with a name, and marked slow where they are not in the default run."""
    default = [case not in LARGE and by_default(case[0]) for case in cases]
    return [
        pytest.param(case, id=name_of(case), marks=() if is_default else pytest.mark.slow)
        for case, is_default in zip(cases, default, strict=True)
    ]


def finding(check: Callable[[Subject], str | None], layer: Layer, in_shape: Shape) -> str | None:
    """Return what a check says of a layer, as `check_layer` does; None where it finds nothing."""
    try:
        return check(Subject(layer, in_shape)) or None
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"


def public(base: type) -> set[str]:
    """The public concrete classes of minidl that derive from `base`."""
    found = {name: getattr(minidl, name) for name in minidl.__all__}
    return {n for n, c in found.items() if isinstance(c, type) and issubclass(c, base) and c.__name__ not in ABSTRACT}


ABSTRACT = {"Container", "Layer", "Stateful", "Loss", "Optimizer"}
