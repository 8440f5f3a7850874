"""Layers inside layers: found in attributes, lists, tuples and dicts, named, built, frozen, saved and checked."""

from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

import minidl
from minidl import LSTM, ArgumentError, Dense, Embedding, Layer, MeanSquaredError, Sequential, Tanh, Trainer, load
from minidl.checking import check_layer, gradcheck
from minidl.errors import UnknownNameError


class Chain(Layer):
    """Applies the layers that `parts` returns, in that order."""

    def parts(self):
        raise NotImplementedError

    def setup(self, in_shape, rng, dtype):
        for layer in self.parts():
            in_shape = layer.build(in_shape, rng, dtype)
        return in_shape

    def forward(self, x, *, rng=None):
        caches = []
        for layer in self.parts():
            x, cache = layer.forward(x, rng=rng)
            caches.append(cache)
        return x, caches

    def backward(self, dy, caches):
        for layer, cache in zip(reversed(self.parts()), reversed(caches), strict=True):
            dy = layer.backward(dy, cache)
        return dy


class Attributes(Chain):
    def __init__(self):
        self.first, self.second = Dense(4), Dense(2)

    def parts(self):
        return [self.first, self.second]


class Collections(Chain):
    def __init__(self):
        self.cells = [Dense(4), (Dense(3), Tanh())]
        self.heads = {"mean": Dense(2)}

    def parts(self):
        return [self.cells[0], *self.cells[1], self.heads["mean"]]


class Shared(Chain):
    def __init__(self):
        self.a = Dense(3)
        self.b = self.a

    def parts(self):
        return [self.a, self.b]


class Given(Chain):
    """Takes its layers as an argument."""

    def __init__(self, layers, twice=1):
        self.layers, self.twice = layers, twice

    def parts(self):
        return self.layers * self.twice


class MadeInSetup(Chain):
    def setup(self, in_shape, rng, dtype):
        if self.in_shape is None:
            self.inner = Dense(in_shape[-1])
        return self.inner.build(in_shape, rng, dtype)

    def parts(self):
        return [self.inner]


class Encoder(Chain):
    def __init__(self, units=4):
        self.units = units
        self.lstm, self.dense = LSTM(units), Dense(2)

    def parts(self):
        return [self.lstm, self.dense]


NAMES = {
    Attributes: ["first.W", "first.b", "second.W", "second.b"],
    Collections: ["cells.0.W", "cells.0.b", "cells.1.0.W", "cells.1.0.b", "heads.mean.W", "heads.mean.b"],
    Shared: ["a.W", "a.b"],
    MadeInSetup: ["inner.W", "inner.b"],
}


def built(layer, in_shape=(3,), dtype=np.float32):
    layer.build(in_shape, seed=2, dtype=dtype)
    return layer


@pytest.mark.parametrize("kind", NAMES)
def test_params_lists_inner_layers_by_dotted_name(kind):
    layer = built(kind())
    assert list(layer.params) == NAMES[kind]
    assert list(built(Sequential([("body", kind())])).params) == [f"body.{name}" for name in NAMES[kind]]
    assert list(layer.copy().params) == NAMES[kind]


@pytest.mark.parametrize("kind", NAMES)
def test_training_changes_the_parameters_of_inner_layers(kind):
    layer = built(kind())
    before = {name: p.value.copy() for name, p in layer.params.items()}
    x = np.random.default_rng(0).standard_normal((16, 3))
    Trainer(layer, MeanSquaredError(), minidl.Adam(0.05), quiet=True).fit(x, np.ones((16, *layer.out_shape)), epochs=2)
    assert all((p.value != before[name]).any() for name, p in layer.params.items())


@pytest.mark.parametrize("kind", [*NAMES, lambda: Given([Dense(3), Tanh()]), lambda: Given([Dense(3)], 2)])
def test_save_and_load_give_the_same_outputs(kind, tmp_path):
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    for net in built(kind()), built(Sequential([("body", kind()), Dense(2)])):
        next(iter(net.params.values())).trainable = False
        for p in net.params.values():
            p.value[...] = np.random.default_rng(p.value.size).standard_normal(p.value.shape)
        net.save(tmp_path / "net.npz")
        again = load(tmp_path / "net.npz", classes=[*NAMES, Given])
        assert list(again.params) == list(net.params) and np.array_equal(again(x), net(x))
        assert [p.trainable for p in again.params.values()] == [p.trainable for p in net.params.values()]
        other = net.copy()
        for p in other.params.values():
            p.value[...] = 0
        other.load_weights(tmp_path / "net.npz")
        assert np.array_equal(other(x), net(x))


def test_a_checkpoint_resumes_with_inner_layers(tmp_path):
    x = np.random.default_rng(0).standard_normal((16, 3))

    def train(folder, *epochs):
        for n in epochs:
            net = Sequential([Attributes()])
            trainer = Trainer(net, MeanSquaredError(), callbacks=[minidl.Checkpoint(folder)], quiet=True)
            trainer.fit(x, np.ones((16, 2)), epochs=n, resume=True)
        return [p.value for p in net.params.values()]

    whole, resumed = train(tmp_path / "a", 4), train(tmp_path / "b", 2, 4)
    assert all(np.array_equal(a, b) for a, b in zip(whole, resumed, strict=True))


@pytest.mark.parametrize("kind", NAMES)
def test_gradcheck_and_check_layer_cover_inner_parameters(kind):
    report = gradcheck(built(kind(), dtype=np.float64), np.random.default_rng(0).standard_normal((3, 3)))
    assert report.ok and set(NAMES[kind]) <= {row.name for row in report.rows}
    assert check_layer(kind(), (3,)).ok


def test_check_layer_finds_a_wrong_gradient_of_an_inner_layer():
    class Wrong(Dense):
        def backward(self, dy, cache):
            dx = super().backward(dy, cache)
            self.b.grad *= 2
            return dx

    class Around(Attributes):
        def __init__(self):
            self.first, self.second = Wrong(4), Dense(2)

    report = check_layer(Around(), (3,))
    assert not report.ok and "first.b" in str(report)


def test_paths_lead_to_inner_layers_and_the_summary_lists_them(capsys):
    net = built(Sequential([("body", Collections()), Dense(2)]))
    assert net["body.cells.1.0"] is net["body"].cells[1][0]
    with pytest.raises(UnknownNameError, match=r"'body' has no layer 'cells\.7'"):
        net["body.cells.7"]
    net.summary()
    shown = capsys.readouterr().out
    assert all(path in shown for path in ("body.cells.0", "body.cells.1.1", "body.heads.mean"))
    assert f"{sum(p.value.size for p in net.params.values())}" in shown


class Subclass(Sequential):
    """A net with a layer that it holds beside its sequence."""

    def __init__(self):
        super().__init__([Dense(3)])
        self.extra = Dense(1)

    def setup(self, in_shape, rng, dtype):
        self.extra.build(in_shape, rng, dtype)
        return super().setup(in_shape, rng, dtype)


def test_a_container_lists_the_layers_that_a_subclass_holds_beside_its_own():
    assert list(built(Subclass()).params) == ["dense.W", "dense.b", "extra.W", "extra.b"]


def holding(**attributes):
    layer = Attributes()
    vars(layer).update(attributes)
    return layer


def itself():
    layer = Attributes()
    layer.net = Given([layer])
    return layer


@pytest.mark.parametrize(("make", "words"), [
    (lambda: holding(extra={Dense(2)}), "layers in the set 'extra'"),
    (lambda: holding(extra={"a.b": Dense(2)}), "under 'a.b'. Use a word without dots"),
    (lambda: holding(extra={(1, 2): Dense(2)}), r"under \(1, 2\)"),
    (lambda: holding(extra=Dense(2)), "Attributes.setup must build the layer 'extra'"),
    (lambda: holding(extra=[[Dense(2)]]), "Attributes.setup must build the layer 'extra.0.0'"),
    (lambda: holding(extra={1: Dense(2), "1": Dense(2)}), "holds two layers as 'extra.1'"),
    (itself, "holds itself"),
])  # fmt: skip
def test_a_layer_that_cannot_be_a_part_is_refused_when_built(make, words):
    layer = make()
    with pytest.raises(ArgumentError, match=words):
        layer.build((3,))
    assert layer.in_shape is None
    with pytest.raises(ArgumentError, match=words):
        Sequential([make()]).build((3,))


def test_a_net_cannot_be_added_to_itself():
    net = Sequential([Dense(2)])
    for inside in net, Sequential([net]), Given([net]):
        with pytest.raises(ArgumentError, match=r"cannot contain itself. Add a copy: net.copy\(\)"):
            net.add(inside)
    assert len(net) == 1
    net.add(net.copy())
    net.build((2,))


@pytest.mark.parametrize("write", [
    lambda params: params.__setitem__("dense.W", np.ones((3, 2))),
    lambda params: params.__delitem__("dense.W"),
])  # fmt: skip
def test_params_is_read_only(write):
    for layer in built(Sequential([Dense(2)])), built(Dense(2)):
        with pytest.raises(ArgumentError, match="params is read-only"):
            write(layer.params)
    assert layer.params | {"a": 1} == {**layer.params, "a": 1} and {"a": 1} | layer.params == {"a": 1, **layer.params}


def test_a_parameter_is_an_array_for_numpy(tmp_path):
    net = built(Sequential([Dense(2)]))
    assert np.asarray(net.params["dense.W"]).dtype == np.float32
    np.savez(tmp_path / "raw.npz", **net.params)
    with np.load(tmp_path / "raw.npz") as file:
        assert np.array_equal(file["dense.W"], net.params["dense.W"].value)
    assert np.asarray(net.params["dense.W"], np.float64).dtype == np.float64


def test_a_layer_built_in_another_dtype_is_refused():
    class Careless(Attributes):
        def setup(self, in_shape, rng, dtype):
            return self.second.build(self.first.build(in_shape), rng, dtype)

    built(Careless())
    with pytest.raises(ArgumentError, match=r"must build 'first\.W' as float64, got float32"):
        built(Careless(), dtype=np.float64)


def test_a_failed_build_leaves_inner_layers_unbuilt():
    class Failing(Attributes):
        def setup(self, in_shape, rng, dtype):
            super().setup(in_shape, rng, dtype)
            raise ValueError("no")

    layer = Failing()
    with pytest.raises(ValueError, match="no"):
        layer.build((3,))
    assert layer.first.in_shape is None and not layer.params


def test_a_tied_dense_does_not_own_the_embedding():
    embedding = Embedding(7, 3)
    net = Sequential([embedding, Dense(7, tie=embedding)])
    net.build((None,))
    assert list(net.params) == ["embedding.E", "dense.b"] and net["dense"].sublayers == {}


# -- masks and states of inner layers --------------------------------------------------------------


def test_a_mask_that_would_not_reach_an_inner_layer_is_refused():
    net = built(Sequential([Encoder()]), (None, 3))
    x, mask = np.ones((2, 4, 3)), np.array([[True] * 4, [True, True, False, False]])
    assert np.array_equal(net.predict(x, mask=np.ones_like(mask)), net(x))
    with pytest.raises(ArgumentError, match="Encoder got a mask, but cannot pass it to its 'lstm'"):
        net.predict(x, mask=mask)
    messages = check_layer(Encoder(), (None, 3)).messages
    assert [name for name, message in messages.items() if message] == ["check_padding"]
    assert "cannot pass it to its 'lstm'" in messages["check_padding"]


def test_a_state_that_would_be_lost_between_windows_is_refused():
    net = built(Sequential([Encoder()]), (None, 3))
    batches = [minidl.Batch(np.ones((2, 4, 3)), np.ones((2, 2)), start=False)] * 2
    with pytest.raises(ArgumentError, match=r"cannot be streamed because of 'encoder"):
        Trainer(net, MeanSquaredError(), quiet=True).fit(batches)


# -- freezing before the build ---------------------------------------------------------------------


def trainable(net):
    return [name for name, p in net.params.items() if p.trainable]


@pytest.mark.parametrize("act", [
    lambda net: net["lstm"].freeze(),
    lambda net: net.freeze("lstm.*"),
    lambda net: setattr(net["lstm"], "trainable", False),
    lambda net: (net.freeze(), net["dense"].unfreeze()),
    lambda net: (setattr(net, "trainable", False), setattr(net["dense"], "trainable", True)),
    lambda net: (net["dense"].freeze(), net.unfreeze(), net.freeze("lstm.*")),
])  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_freezing_holds_before_and_after_the_build(act, when):
    net = Sequential([LSTM(4), Dense(2)])
    if when == "before":
        act(net)
    net.build((None, 3))
    if when == "after":
        act(net)
    assert trainable(net) == ["dense.W", "dense.b"]
    net.build((None, 3))
    assert trainable(net) == ["dense.W", "dense.b"]


def test_freezing_before_the_build_holds_in_training_copies_and_files(tmp_path):
    net = Sequential([Attributes(), Dense(1)])
    net["attributes"].first.freeze()
    net = net.copy()
    x = np.random.default_rng(0).standard_normal((8, 3))
    Trainer(net, MeanSquaredError(), quiet=True).fit(x, np.ones((8, 1)))
    fresh = Sequential([Attributes(), Dense(1)])
    fresh.build((3,), seed=0)
    same = [n for n, p in net.params.items() if np.array_equal(p.value, fresh.params[n].value)]
    assert same == ["attributes.first.W", "attributes.first.b"]
    net.save(tmp_path / "net.npz")
    assert trainable(load(tmp_path / "net.npz", classes=[Attributes])) == trainable(net)


def test_a_layer_frozen_before_its_build_can_be_thawed_after_it():
    lstm = LSTM(4)
    lstm.freeze()
    lstm.build((None, 3))
    lstm.unfreeze()
    net = built(Sequential([lstm, Dense(2)]), (None, 3))
    assert trainable(net) == list(net.params)


def test_a_pattern_without_parameters_is_refused_by_build():
    net = Sequential([LSTM(4), Dense(2)])
    net.freeze("encoder.*")
    with pytest.raises(ArgumentError, match="encoder"):
        net.build((None, 3))


def test_trainable_reads_what_was_set():
    net = Sequential([LSTM(4), Dense(2)])
    assert net.trainable and Tanh().trainable
    net.trainable = False
    assert not net.trainable
    net.build((None, 3))
    assert not net.trainable and not net["lstm"].trainable
    net["dense"].trainable = True
    assert net.trainable and not net["lstm"].trainable
    with pytest.raises(ArgumentError, match="trainable must be True or False, got 'no'"):
        net.trainable = "no"


# -- building again, and layers that would be invisible ----------------------------------------------


class MadeEachTime(Chain):
    """Makes its layer in `setup`, also when it is built again."""

    def __init__(self, units=4):
        self.units = units

    def setup(self, in_shape, rng, dtype):
        self.inner = Dense(self.units)
        return self.inner.build(in_shape, rng, dtype)

    def parts(self):
        return [self.inner]


class Appending(Chain):
    def __init__(self):
        self.cells = []

    def setup(self, in_shape, rng, dtype):
        for _ in range(2):
            self.cells.append(Dense(4))
            in_shape = self.cells[-1].build(in_shape, rng, dtype)
        return in_shape

    def parts(self):
        return self.cells


def test_building_again_keeps_layers_that_setup_makes(tmp_path):
    layer = built(MadeEachTime())
    layer.freeze()
    before = dict(layer.params)
    net = Sequential([layer, Dense(2)])
    for seed in 1, 2:
        net.build((3,), seed=seed)
    assert list(layer.params) == list(before) and all(layer.params[n] is p for n, p in before.items())
    assert trainable(net) == ["dense.W", "dense.b"]
    net.save(tmp_path / "net.npz")
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(load(tmp_path / "net.npz", classes=[MadeEachTime])(x), net(x))
    with pytest.raises(minidl.ShapeError):
        layer.build((5,))
    assert all(layer.params[n] is p for n, p in before.items())


def test_a_setup_that_adds_layers_when_built_again_is_refused():
    layer = built(Appending())
    before = dict(layer.params)
    with pytest.raises(ArgumentError, match=r"Appending.setup adds the layer 'cells.2' when it is built again"):
        layer.build((3,))
    assert dict(layer.params) == before and len(layer.cells) == 2


def test_a_build_that_fails_at_first_does_not_double_layers():
    net = Sequential([Appending(), minidl.Flatten(), Dense(1)])
    Trainer(net, MeanSquaredError(), quiet=True).fit(np.ones((8, 5, 4)), np.ones((8, 1)))
    assert [name for name in net.params if name.endswith("W")] == [
        "appending.cells.0.W",
        "appending.cells.1.W",
        "dense.W",
    ]


class InClass(Chain):
    inner = Dense(2)

    def parts(self):
        return [self.inner]


class InDeque(Chain):
    def __init__(self):
        self.line = deque([Dense(2)])

    def parts(self):
        return list(self.line)


class InNamespace(Chain):
    def __init__(self):
        self.box = SimpleNamespace(a=Dense(2))

    def parts(self):
        return [self.box.a]


@pytest.mark.parametrize("kind", [InClass, InDeque, InNamespace])
def test_a_layer_that_is_built_and_not_held_is_refused(kind):
    for layer in kind(), Sequential([kind()]):
        with pytest.raises(ArgumentError, match=r"setup built Dense\(units=2\), which the layer does not hold"):
            layer.build((3,))


def test_layers_added_after_the_build_are_parts():
    layer = built(Appending())
    layer.late, layer.cells[2:] = built(Dense(1)), [built(Dense(1))]
    assert [name for name in layer.params if name.endswith("W")] == ["cells.0.W", "cells.1.W", "cells.2.W", "late.W"]


def test_a_net_of_stepwise_layers_inside_takes_a_mask():
    class Residual(Layer):
        def __init__(self, body):
            self.body = body

        def setup(self, in_shape, rng, dtype):
            return self.body.build(in_shape, rng, dtype)

        def forward(self, x, *, rng=None):
            y, cache = self.body.forward(x, rng=rng)
            return x + y, cache

        def backward(self, dy, cache):
            return dy + self.body.backward(dy, cache)

    mask = np.array([[True, True], [True, False]])
    net = built(
        Sequential([Residual(Sequential([minidl.LayerNorm(), Dense(3)])), minidl.PoolTime(kind="mean")]), (None, 3)
    )
    assert net.predict(np.ones((2, 2, 3)), mask=mask).shape == (2, 3)
    inside = Residual(Sequential([LSTM(3, return_sequences=True)]))
    with pytest.raises(ArgumentError, match="cannot pass it to its 'body'"):
        built(Sequential([inside]), (None, 3)).predict(np.ones((2, 2, 3)), mask=mask)


def test_a_subclass_that_drops_the_state_of_its_own_layer_cannot_be_streamed():
    class WithRNN(Sequential):
        def __init__(self):
            super().__init__([Dense(3)])
            self.rnn = LSTM(3, return_sequences=True)

        def setup(self, in_shape, rng, dtype):
            return super().setup(self.rnn.build(in_shape, rng, dtype), rng, dtype)

    class KeepingIt(WithRNN):
        def initial_state(self, batch):
            return {"rnn": self.rnn.initial_state(batch)}

    assert not built(WithRNN(), (None, 3)).streams
    assert built(KeepingIt(), (None, 3)).streams


def test_a_pattern_that_failed_does_not_fail_again():
    net = Sequential([LSTM(4), Dense(2)])
    net.freeze("dens.*")
    with pytest.raises(ArgumentError, match="did you mean 'dense"):
        net.build((None, 3))
    net.freeze("dense.*")
    net.build((None, 3))
    assert trainable(net) == ["lstm.Wx", "lstm.Wh", "lstm.b"]


def test_arithmetic_on_a_parameter_is_refused():
    p = minidl.Parameter(np.ones(3))
    with pytest.raises(TypeError):
        p -= 0.1 * p.grad
    with pytest.raises(TypeError):
        np.ones(3) * p
