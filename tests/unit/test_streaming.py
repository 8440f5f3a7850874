"""What cannot be streamed is named: the layer by its path, the node that starts from another."""

import pytest

import minidl
from minidl import (
    LSTM,
    AdditiveAttention,
    ArgumentError,
    Bidirectional,
    CharVocab,
    Dense,
    Embedding,
    Graph,
    LearnedState,
    PoolTime,
    Sequential,
    SoftmaxCrossEntropy,
    TextStream,
    Trainer,
)
from minidl.streaming import obstacles


def reader(*layers):
    return Sequential([Embedding(5, 4), LSTM(3, return_sequences=True), *layers])


def decoder():
    net = Graph().add("read", Embedding(5, 4), "x").add("encoder", LSTM(3, return_sequences=True), "read")
    net.add("decoder", LSTM(3, return_sequences=True), "read", state="encoder")
    net.add("look", AdditiveAttention(2), "decoder", "encoder")
    return net.add("scores", Dense(5), "look")


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (LSTM(3, go_backwards=True), "LSTM(units=3, go_backwards=True)"),
        (reader(("mean", PoolTime())), "'mean', PoolTime()"),
        (reader(LearnedState(LSTM(3, go_backwards=True))), "'learned_state.layer', LSTM(units=3, go_backwards=True)"),
        (reader(Sequential([PoolTime(kind="max")])), "'sequential.pool_time', PoolTime(kind='max')"),
        (
            Sequential([("both", Bidirectional(LSTM(3))), PoolTime()]),
            "'both.backward', LSTM(units=3, go_backwards=True) and 'pool_time', PoolTime()",
        ),
        (
            Sequential([("net", decoder())]),
            "'net.decoder', which starts from the state of 'encoder' and 'net.look', AdditiveAttention(units=2)",
        ),
    ],
    ids=repr,
)
def test_the_parts_are_named(net, words):
    assert obstacles(net) == words


def test_a_container_of_ones_own_is_named_itself():
    class Ahead(Sequential):
        streams = False

    assert obstacles(Sequential([("ahead", Ahead([Dense(2)]))])).startswith("'ahead', ")


def test_training_and_generation_name_them():
    net = decoder()
    net.build((None,))
    with pytest.raises(
        ArgumentError, match=r"Graph cannot be streamed because of 'decoder', which .* and 'look', .*: g"
    ):
        Trainer(net, SoftmaxCrossEntropy(), quiet=True).fit(TextStream([1, 2, 3, 4] * 9, 2, 4))
    with pytest.raises(
        ArgumentError, match=r"Graph that cannot be streamed because of 'decoder', which .*: use layers"
    ):
        minidl.generate_text(net, CharVocab("abcde"), "ab")
