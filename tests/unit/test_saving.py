"""Models on disk: back bit for bit, readable by anyone, and one line for every file that is no model."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import (
    LSTM,
    ArgumentError,
    Dense,
    Embedding,
    Layer,
    ModelFormatError,
    Sequential,
    Softmax,
    Tanh,
    load,
    normal,
    ones,
)
from minidl.archive import archive
from minidl.description import BUILT_IN
from minidl.nested import leaves
from tests.conformance.cases import LAYERS, NETS, name_of, public

CASES = LAYERS + NETS


class Scale(Layer):
    """A layer of one's own."""

    def __init__(self, start=1.0, scalar=False):
        self.start = start
        self.scalar = scalar

    def setup(self, in_shape, rng, dtype):
        self.g = self.add_param("g", np.full(() if self.scalar else in_shape[-1], self.start, dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        return x * self.g.value, x

    def backward(self, dy, x):
        self.g.grad += (dy * x).reshape(-1, *self.g.value.shape).sum(axis=0)
        return dy * self.g.value


def small():
    """A net of few parameters, built at weights that are not the initial ones."""
    net = Sequential([LSTM(2, peephole=True), ("scores", Dense(2, init={"b": normal(1.0)}))])
    net.build((None, 1), seed=3)
    return net


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.npz"
    small().save(path)
    return path


def assert_same(a, b):
    """The same classes, arguments, names, sharing, flags, dtype and bits."""
    assert type(a) is type(b) and repr(a) == repr(b)
    assert (a.in_shape, a.out_shape, a.dtype) == (b.in_shape, b.out_shape, b.dtype)
    assert list(a.params) == list(b.params)
    for name, p in a.params.items():
        q = b.params[name]
        assert (p.value.dtype, p.value.shape, p.trainable) == (q.value.dtype, q.value.shape, q.trainable), name
        assert p.value.tobytes() == q.value.tobytes(), name
    if isinstance(a, Sequential):
        assert a.shapes == b.shapes and a.name == b.name
        places = [[list(net).index(layer) for layer in net] for net in (a, b)]
        assert places[0] == places[1], "what is shared"
        for first, second in zip(a, b, strict=True):
            assert_same(first, second)


# -- there and back -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=[name_of(case) for case in CASES])
def test_round_trip_of_every_layer(case, tmp_path):
    layer, in_shape = case[0].copy(), case[1]
    layer.build(in_shape, seed=11)
    rng = np.random.default_rng(12)
    for p in layer.params.values():
        p.value[...] = rng.standard_normal(p.value.shape)  # no initial value is left
    path = tmp_path / "layer.npz"
    layer.save(path)
    loaded = load(path)
    assert_same(layer, loaded)
    x = layer.example(in_shape, rng)
    for a, b in zip(*(leaves(net(x)).values() for net in (layer, loaded)), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.save(tmp_path / "again.npz")
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_no_public_layer_is_without_a_round_trip():
    covered = {type(layer).__name__ for layer, _ in CASES}
    assert public(Layer) <= covered, f"no case for {sorted(public(Layer) - covered)}"
    assert {cls.__name__ for cls in BUILT_IN} == public(Layer)


def test_coverage_sees_a_layer_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr(minidl, "Scale", Scale, raising=False)
    monkeypatch.setattr(minidl, "__all__", [*minidl.__all__, "Scale"])
    with pytest.raises(AssertionError):
        test_no_public_layer_is_without_a_round_trip()


def deep():
    inner = Sequential([("core", LSTM(3, return_sequences=True)), Tanh()], name="inner")
    encoder = Sequential([Embedding(5, 3), inner], name="encoder")
    return Sequential([encoder, ("decoder", Sequential([LSTM(2)])), ("wörter und zahlen", Dense(2))], name="whole")


def shared_twice():
    lstm = LSTM(3, return_sequences=True)
    return Sequential([Embedding(4, 3), lstm, Sequential([lstm, Tanh()], name="again"), lstm])


def tied():
    embedding = Embedding(6, 3)
    return Sequential([("words", embedding), LSTM(3, return_sequences=True), Dense(6, tie=embedding), Softmax()])


NETS_OF_ONES_OWN = [deep, shared_twice, tied]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("make", NETS_OF_ONES_OWN, ids=lambda make: make.__name__)
def test_round_trip_of_nets(make, dtype, tmp_path):
    net = make()
    net.build((None,), seed=5, dtype=dtype)
    net[0].freeze()
    list(net.params.values())[-1].trainable = False
    net.save(tmp_path / "net.npz")
    loaded = load(tmp_path / "net.npz")
    assert_same(net, loaded)
    assert loaded.dtype == dtype
    assert [p.trainable for p in loaded.params.values()].count(False) > 1
    ids = np.array([[1, 2, 3, 0]])
    np.testing.assert_array_equal(net(ids), loaded(ids))
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "net.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_what_is_shared_stays_shared(tmp_path):
    net = tied()
    net.build((None,))
    net.save(tmp_path / "tied.npz")
    loaded = load(tmp_path / "tied.npz")
    assert loaded["dense"].W is loaded["words"].E and loaded["dense"].tie is loaded["words"]
    net = shared_twice()
    net.build((None,))
    net.save(tmp_path / "twice.npz")
    loaded = load(tmp_path / "twice.npz")
    assert loaded["lstm"] is loaded["again.lstm"] is loaded["lstm_2"]
    assert list(loaded.params) == ["embedding.E", "lstm.Wx", "lstm.Wh", "lstm.b"]


def test_a_tie_to_a_layer_outside_of_the_net(tmp_path):
    embedding = Embedding(5, 3)
    embedding.build((None,))
    decoder = Sequential([LSTM(3), Dense(5, tie=embedding)])
    decoder.build((None, 2))
    decoder.save(tmp_path / "decoder.npz")
    assert_same(load(tmp_path / "decoder.npz"), decoder)


def test_anyone_can_read_it(model):
    net, arrays = small(), np.load(model)
    assert sorted(arrays.files) == ["__minidl__", "lstm.Wh", "lstm.Wx", "lstm.b", "lstm.p", "scores.W", "scores.b"]
    np.testing.assert_array_equal(arrays["lstm.Wx"], net["lstm"].Wx.value)
    assert arrays["lstm.Wx"].dtype == np.float32
    header = json.loads(bytes(arrays["__minidl__"]))
    assert header["format"] == 1 and header["layers"][-1]["in_shape"] == [None, 1]
    assert [entry["class"] for entry in header["layers"]] == ["LSTM", "Dense", "Sequential"]


def test_nothing_is_imported_while_a_file_is_read(model):
    net = small()
    net.vocab = minidl.CharVocab("abc")
    net.save(model)
    code = "import sys, minidl; before = set(sys.modules); minidl.load(sys.argv[1]); print(set(sys.modules) - before)"
    out = subprocess.run([sys.executable, "-c", code, model], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_the_bytes_depend_on_the_net_alone(model, tmp_path):
    small().save(tmp_path / "another name")
    assert model.read_bytes() == (tmp_path / "another name").read_bytes()


def test_a_text_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save("model.npz")
    assert_same(load("model.npz"), small())


def test_an_array_that_is_not_contiguous_and_a_scalar(tmp_path):
    net = Sequential([Scale(2.0, scalar=True), Dense(3, init={"W": lambda shape, rng: rng.random(shape[::-1]).T})])
    net.build((2,), dtype=np.float64)
    net.save(tmp_path / "net.npz")
    loaded = load(tmp_path / "net.npz", classes=[Scale])
    assert loaded["scale"].g.value.shape == () and loaded["scale"].g.value == 2
    assert_same(net, loaded)


# -- layers of one's own --------------------------------------------------------------------------


def test_a_layer_of_ones_own(tmp_path):
    net = Sequential([Dense(3), Scale(0.5), ("out", Sequential([Scale()]))])
    net.build((2,))
    net.save(tmp_path / "own.npz")
    assert_same(load(tmp_path / "own.npz", classes=[Scale]), net)
    with pytest.raises(ModelFormatError) as caught:
        load(tmp_path / "own.npz")
    assert str(caught.value) == (
        f"{tmp_path / 'own.npz'} contains a layer 'Scale', which is none of minidl's: hand its class over, "
        f"load(path, classes=[Scale])."
    )


class Own(Layer):
    """What the layers below share."""

    def forward(self, x, *, rng=None):
        return x * self.g.value, x

    def backward(self, dy, x):
        return dy * self.g.value


class Frozen(Own):
    """A parameter that is made whole."""

    def setup(self, in_shape, rng, dtype):
        self.g = self.add_param("g", minidl.Parameter(rng.random(in_shape[-1]).astype(dtype), trainable=False))
        return in_shape


class FromTheStart(Own):
    """A parameter that the constructor makes."""

    def __init__(self, size):
        self.size = size
        self.g = self.add_param("g", np.arange(size, dtype=np.float32))


class Kept(Own):
    """A parameter that the constructor makes and setup registers."""

    def __init__(self):
        self.first = minidl.Parameter(np.zeros(3, np.float32))

    def setup(self, in_shape, rng, dtype):
        self.g = self.add_param("g", self.first)
        return in_shape


class Twice(Own):
    """A parameter that is registered once more, which gives the same one."""

    def setup(self, in_shape, rng, dtype):
        self.add_param("g", np.ones(in_shape[-1], dtype))
        self.g = self.add_param("g", np.ones(in_shape[-1], dtype))
        return in_shape


class Inner(Own):
    """A layer whose parameters are registered as its own."""

    def __init__(self):
        self.inner = Dense(3)

    def setup(self, in_shape, rng, dtype):
        self.inner.build(in_shape, rng, dtype)
        self.add_param("W", self.inner.W)
        self.g = self.add_param("b", self.inner.b)
        return in_shape


class Init(Own):
    """An argument that is called as the initializers are, and is none."""

    def __init__(self, init):
        self.init = init
        self.g = minidl.Parameter(np.full(3, init))


class Positions(Own):
    """An array that is no parameter, and the same each time."""

    def setup(self, in_shape, rng, dtype):
        self.positions = np.arange(in_shape[-1], dtype=dtype)
        self.g = self.add_param("g", np.ones(in_shape[-1], dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        self.seen = x  # not so fine, but nothing that a file loses
        return super().forward(x + self.positions, rng=rng)


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("make", [
    Frozen, lambda: FromTheStart(3), Kept, Twice, Inner, lambda: Init(2.5), Positions,
], ids=["Frozen", "FromTheStart", "Kept", "Twice", "Inner", "Init", "Positions"])  # fmt: skip
def test_own_layers_that_make_their_parameters_in_other_ways(make, wrap, tmp_path):
    layer = make()
    net = Sequential([Dense(3), layer]) if wrap else layer
    net.build((3,), seed=4)
    for p in net.params.values():
        p.value[...] += 1  # no initial value is left
        p.trainable = not p.trainable
    x = np.ones((2, 3), np.float32)
    y = net(x)
    net.save(tmp_path / "own.npz")
    loaded = load(tmp_path / "own.npz", classes=[type(layer)])
    assert_same(net, loaded)
    np.testing.assert_array_equal(loaded(x), y)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "own.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


class Projection(Own):
    """A random array that is no parameter."""

    def setup(self, in_shape, rng, dtype):
        self.g = self.add_param("g", np.ones(in_shape[-1], dtype))
        self.R = rng.random(in_shape[-1]).astype(dtype)
        return in_shape


class Star(Layer):
    """Arguments without names."""

    def __init__(self, *layers):
        self.layers = layers

    def setup(self, in_shape, rng, dtype):
        for layer in self.layers:
            in_shape = layer.build(in_shape, rng, dtype)
        return in_shape

    @property
    def params(self):
        return {f"{k}.{name}": p for k, layer in enumerate(self.layers) for name, p in layer.params.items()}

    def forward(self, x, *, rng=None):
        for layer in self.layers:
            x = layer(x)
        return x, None

    def backward(self, dy, cache):
        return dy


class Doubling(Scale):
    """An argument that is kept as another one."""

    def __init__(self, start=1.0, scalar=False):
        super().__init__(2 * start, scalar)


class Forward(Scale):
    """An argument that may be a layer."""


class Pair(Star):
    """Two layers, each of whose parameters is told."""

    def __init__(self, a, b):
        super().__init__(a, b)
        self.a, self.b = a, b


def themselves():
    layer = Forward()
    layer.start = [layer]
    layer.scalar = True
    layer.in_shape = (2,)
    return layer


def of_one_name():
    other = type("Scale", (Scale,), {"__doc__": "Another one."})
    net = Sequential([Scale(2.0), other(3.0)])
    net.build((2,))
    return net


def of_two_dtypes():
    net = Sequential([Dense(2), Dense(2)])
    net.build((2,))
    for p in net[1].params.values():
        p.cast(np.float64)
    return net


def built(net, in_shape=(2,)):
    net.build(in_shape, seed=3)
    return net


def with_dense_twice():
    dense = Dense(2)
    return built(Pair(dense, dense))


@pytest.mark.parametrize(("make", "words"), [
    (lambda: built(Star(Dense(2))), r"Star\.__init__ must take the .* that its config\(\) tells, layers, by name"),
    (lambda: built(Sequential([Star(Dense(2)), Tanh()])), r"Star\.__init__ must take the arguments"),
    (lambda: built(Doubling(1.0)), r"load could not make this net again: a Doubling of it was not written by minidl"),
    (with_dense_twice, r"Pair\.params has one parameter as '0\.W' and as '1\.W'"),
    (themselves, "Forward holds itself"),
    (of_one_name, "The net has layers of two classes that are called Scale: rename one"),
    (of_two_dtypes, r"'dense\.W' of float32 and 'dense_2\.W' of float64: copy the net to one, net\.copy"),
    (lambda: built(Sequential([("\ud800", Dense(2))])), "the names or the arguments of the layers have others"),
    (lambda: built(Scale(float("inf"))), "the names or the arguments of the layers have others"),
])  # fmt: skip
def test_own_nets_that_a_file_would_lose_something_of(make, words, tmp_path):
    net = make()
    with pytest.raises(ArgumentError, match=words):
        net.save(tmp_path / "own.npz")
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_takes_what_goes_back_into_a_net_that_is_there():
    assert "__minidl__" in minidl.saving.arrays_of(built(Sequential([Projection()])), {"step": 1})


@pytest.mark.parametrize("vocab", ["abc", ["a"], type("Own", (minidl.CharVocab,), {})("ab")])
def test_a_vocabulary_that_load_could_not_make_again(vocab, tmp_path):
    net = small()
    net.vocab = vocab
    with pytest.raises(ArgumentError, match=r"A file holds a CharVocab or a WordVocab, net\.vocab is a"):
        net.save(tmp_path / "net.npz")


@pytest.mark.parametrize(("classes", "words"), [
    ([Dense(2)], r"expects classes to be classes of layers, like \[MyLayer\], got Dense\(units=2\)"),
    ("Scale", "expects classes to be classes of layers, like .MyLayer., got 'S'"),
    ([int], "expects classes to be classes of layers"),
    (None, "expects classes to be classes of layers"),
    ([Scale, type("Scale", (Scale,), {})], "two classes that are called Scale"),
    ([type("Dense", (Dense,), {})], "two classes that are called Dense"),
], ids=["instance", "word", "int", "None", "two", "minidl's"])  # fmt: skip
def test_classes_that_are_none(classes, words, tmp_path):
    with pytest.raises(ArgumentError, match=words):
        load(tmp_path / "not even there.npz", classes=classes)


def test_an_own_layer_may_call_anything_its_layers(tmp_path):
    for layers in (2,), [2], {"a": 5}, 3:
        layer = Scale()
        layer.layers = layers
        net = built(Sequential([layer, Dense(2)]))
        net.summary()
        net.save(tmp_path / "net.npz")
        assert_same(net, load(tmp_path / "net.npz", classes=Scale))


def test_the_text_of_a_net_in_nets_takes_no_longer_than_it_is_long():
    net = Dense(1)
    for _ in range(45):
        net = Sequential([net])
    assert len(repr(net)) < 2000


def test_an_argument_that_a_file_cannot_hold(tmp_path):
    net = Sequential([Scale(np.ones(2))])
    net.build((2,))
    with pytest.raises(ArgumentError, match=r"Scale has an argument that a file cannot hold, array\(\[1., 1.\]\)"):
        net.save(tmp_path / "own.npz")
    assert not list(tmp_path.iterdir())


def test_a_layer_that_does_not_keep_its_argument(tmp_path):
    class Forgetful(Dense):
        def __init__(self, size):
            super().__init__(size)

    layer = Forgetful(2)
    layer.build((2,))
    with pytest.raises(ArgumentError, match=r"Forgetful must keep its argument 'size' as self\.size"):
        layer.save(tmp_path / "own.npz")


def test_a_net_that_is_not_built(tmp_path):
    with pytest.raises(ArgumentError, match="save expects a built net, got a Sequential that is not: call build first"):
        Sequential([Dense(2)]).save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


# -- weights alone --------------------------------------------------------------------------------


def other():
    """A net that shares one layer's form with `small`, and has another that it lacks."""
    net = Sequential([LSTM(2, peephole=True), ("scores", Dense(3)), ("more", Dense(1, bias=False))])
    net.build((None, 1), seed=4)
    return net


def test_weights_go_into_a_net_of_the_same_form(model):
    net = Sequential([LSTM(2, peephole=True), ("scores", Dense(2))])
    net.build((None, 1), seed=9)
    net[0].freeze()
    assert net.load_weights(model) == ([], [], [])
    assert all((p.value == small().params[name].value).all() for name, p in net.params.items())
    assert not net["lstm"].Wx.trainable, "what is frozen is a fact of the net"


def test_what_does_not_fit_is_said_in_one_line(model):
    net = other()
    before = {name: p.value.copy() for name, p in net.params.items()}
    with pytest.raises(ModelFormatError) as caught:
        net.load_weights(model)
    assert str(caught.value) == (
        f"{model} does not fit the net: missing 'more.W'; misshapen 'scores.W' (2, 2) of float32 for (2, 3), "
        f"'scores.b' (2,) of float32 for (3,). strict=False takes what fits."
    )
    assert all((p.value == before[name]).all() for name, p in net.params.items()), "all or none"


def test_what_fits_is_taken(model):
    net = other()
    before = {name: p.value.copy() for name, p in net.params.items()}
    assert net.load_weights(model, strict=False) == (["more.W"], [], ["scores.W", "scores.b"])
    for name, p in net.params.items():
        assert (p.value == (small().params[name].value if name.startswith("lstm") else before[name])).all()


def test_a_lone_layer_takes_what_is_unexpected_not(model):
    dense = Dense(2)
    dense.build((2,))
    with pytest.raises(ModelFormatError, match=r"missing 'W', 'b'; unexpected 'lstm.Wx', 'lstm.Wh', 'lstm.b'"):
        dense.load_weights(model)


def test_weights_for_a_net_that_is_not_built(model):
    with pytest.raises(ArgumentError, match="load_weights expects a built net, got a Sequential that is not"):
        Sequential([Dense(2)]).load_weights(model)


def test_names_of_a_stranger_are_shown_as_such(model):
    more = {"a\n\x1b[31m": np.ones(1, np.float32)} | {f"{k}" + "x" * 900: np.ones(1, np.float32) for k in range(30)}
    rewrite(model, lambda arrays: arrays.update(more))
    with pytest.raises(ModelFormatError) as caught:
        small().load_weights(model)
    text = str(caught.value)
    assert text.startswith(f"{model} does not fit the net: unexpected 'a\\n\\x1b[31m', '0xxx") and text.isprintable()
    assert text.endswith("xxx and 21 more. strict=False takes what fits.") and len(text) < 1000


def test_a_damaged_array_changes_no_weight(model):
    net = Sequential([LSTM(2, peephole=True), ("scores", Dense(2))])
    net.build((None, 1), seed=9)
    data, last = bytearray(model.read_bytes()), small().params["scores.b"].value.tobytes()
    data[data.rindex(last)] ^= 1
    model.write_bytes(data)
    before = {name: p.value.copy() for name, p in net.params.items()}
    with pytest.raises(ModelFormatError, match=r"the checksum of 'scores.b' is wrong"):
        net.load_weights(model)
    assert all((p.value == before[name]).all() for name, p in net.params.items())


# -- files that are no models ---------------------------------------------------------------------


def reason(path, **options):
    """The one line that load says."""
    with pytest.raises(ModelFormatError) as caught:
        load(path, **options)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text.removeprefix(str(path))


def rewrite(path, edit):
    """Edit the arrays of a file, a dict by name; the file is sound as such."""
    arrays = dict(np.load(path))
    edit(arrays)
    path.write_bytes(b"".join(bytes(part) for part in archive(arrays)))


def set_header(path, text):
    rewrite(path, lambda arrays: arrays.update(__minidl__=np.frombuffer(text.encode(), np.uint8)))


def header_of(path):
    return json.loads(bytes(np.load(path)["__minidl__"]))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.npz")
    with pytest.raises(FileNotFoundError, match="folder does not exist: make the folder first"):
        small().save(tmp_path / "no folder" / "model.npz")


def test_a_folder(tmp_path):
    with pytest.raises(OSError, match=r"folder|directory"):
        load(tmp_path)
    with pytest.raises(OSError, match=r"folder|directory"):
        small().save(tmp_path)


@pytest.mark.parametrize("path", ["", "a\0b", 3, None, 2.5, ["a"]])
def test_what_is_no_path(path):
    handle = os.dup(0)
    with pytest.raises(ArgumentError, match=r"load expects the path of a file, like 'model\.npz', got"):
        load(handle if path == 3 else path)
    os.close(handle)  # nobody else did
    for owner, call in ("save", small().save), ("load_weights", small().load_weights):
        with pytest.raises(ArgumentError, match=rf"{owner} expects the path of a file, like 'model\.npz', got"):
            call(path)


def test_paths_of_bytes_and_of_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small().save(b"net.npz")
    assert_same(load(b"net.npz"), small())
    (tmp_path / "there").mkdir()
    for path in ("new/", "there/", f"{tmp_path}/new/"):
        with pytest.raises(IsADirectoryError, match="a file is expected, this is the name of a folder"):
            small().save(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.npz", "there"]


@pytest.mark.parametrize("name", ["it", "'", "its"])
def test_a_message_names_the_file_whatever_it_is_called(name, model, monkeypatch):
    monkeypatch.chdir(model.parent)
    set_header(model, json.dumps(header_of(model) | {"dtype": "float16"}))
    model.rename(name)
    assert reason(name) == " is no model of minidl, or damaged: its dtype is neither float32 nor float64."
    small().save(name)
    rewrite(model.parent / name, lambda arrays: arrays.pop("lstm.Wh"))
    assert reason(name) == " is no model of minidl, or damaged: 'lstm.Wh' is missing."


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_does_not_make_the_reader_wait(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    assert reason(tmp_path / "pipe.npz") == " is no model of minidl, or damaged: it is a device or a pipe."


def test_no_header(model):
    rewrite(model, lambda arrays: arrays.pop("__minidl__"))
    assert reason(model) == " is no model of minidl: it has no header."


def test_arrays_of_somebody_else(tmp_path):
    np.savez(tmp_path / "theirs.npz", a=np.ones(3), b=np.zeros((2, 2)))
    assert reason(tmp_path / "theirs.npz") == (
        " is no model of minidl, or written by another program, or damaged: "
        "its members must be stored, one after the other, as minidl writes them."
    )
    np.savez_compressed(tmp_path / "theirs.npz", a=np.ones(3))
    assert "is no model of minidl" in reason(tmp_path / "theirs.npz")


@pytest.mark.parametrize("number", [2, 99])
def test_a_format_of_the_future(number, model):
    set_header(model, json.dumps(header_of(model) | {"format": number, "more": []}, ensure_ascii=False))
    assert reason(model) == (
        f" is no model of minidl, or damaged: it has format {number}, this minidl reads up to 1: a newer wrote it."
    )


@pytest.mark.parametrize("number", [0, -1, "1", None, True, 1.0, [1]])
def test_a_format_that_is_none(number, model):
    set_header(model, json.dumps(header_of(model) | {"format": number}, ensure_ascii=False))
    assert "its header is not as minidl writes it" in reason(model)


def test_arrays_that_do_not_fit_the_layers(model):
    whole = model.read_bytes()
    for edit, words in [
        (lambda arrays: arrays.pop("lstm.Wh"), "'lstm.Wh' is missing"),
        (lambda arrays: arrays.update(more=np.ones(2, np.float32)), "'more' is not in the net"),
        (lambda arrays: arrays.update({"lstm.Wx": np.ones((3, 8), np.float32)}), r"(3, 8) of float32, the net (1, 8)"),
        (lambda arrays: arrays.update({"lstm.b": np.ones(8)}), "'lstm.b' has (8,) of float64, the net (8,) of float32"),
        (lambda arrays: arrays.update({"lstm.Wx": arrays.pop("lstm.Wx")}), "its arrays have another order"),
    ]:
        model.write_bytes(whole)
        rewrite(model, edit)
        assert words in reason(model)


ENTRY = {"class": "LSTM", "args": {"units": 2}}
PARAMS = {"Wx": "lstm.Wx", "Wh": "lstm.Wh", "b": "lstm.b"}
WHOLE = "its header is not as minidl writes it"


def slots(*places):
    return {"class": "Sequential", "args": {"layers": [{"tuple": [f"a{k}", {"layer": k}]} for k in places]}}


def lstm(**args):
    return [{"class": "LSTM", "args": {"units": 2} | args}]


GARBAGE = {
    "empty": ("", "its JSON cannot be parsed: Expecting value"),
    "no JSON": ("{", "its JSON cannot be parsed: Expecting property name"),
    "null": ("null", WHOLE),
    "a number": ("5", WHOLE),
    "a list": ("[]", WHOLE),
    "an empty object": ("{}", WHOLE),
    "no utf-8 inside": ('"\ud800"'.encode("utf-8", "surrogatepass").decode("latin-1"), WHOLE),
    "deep": ("[" * 100_000, "its JSON cannot be parsed: maximum recursion depth"),
    "only the format": ('{"format": 1}', WHOLE),
    "layers is a number": ({"layers": 5}, WHOLE),
    "layers is null": ({"layers": None}, WHOLE),
    "no layers": ({"layers": []}, "its net is not the last of its layers"),
    "a layer is a word": ({"layers": ["LSTM"]}, "its layers have other entries than class, args, in_shape, params"),
    "a layer is empty": ({"layers": [{}]}, "its layers have other entries than class, args, in_shape, params"),
    "a class is a list": ({"layers": [{"class": []}]}, "the name of a layer's class is no name"),
    "a class is a path": ({"layers": [{"class": "os.system"}]}, "the name of a layer's class is no name"),
    "a class of two lines": ({"layers": [{"class": "a\nb"}]}, "the name of a layer's class is no name"),
    "an unknown class": ({"layers": [{"class": "eval"}]}, "contains a layer 'eval', which is none of minidl's"),
    "a base class": ({"layers": [{"class": "Layer"}]}, "contains a layer 'Layer', which is none of minidl's"),
    "a base of containers": ({"layers": [{"class": "Container"}]}, "contains a layer 'Container', which is none of"),
    "arguments are missing": ({"layers": [{"class": "LSTM", "args": None}]}, "are no objects, or have no names"),
    "arguments are a list": ({"layers": [{"class": "LSTM", "args": [2]}]}, "are no objects, or have no names"),
    "an unknown argument": ({"layers": lstm(zoneout=1)}, "LSTM has no argument 'zoneout'"),
    "self is an argument": ({"layers": lstm(self=1)}, "a layer has an argument that none can have"),
    "cls is an argument": ({"layers": lstm(cls=1)}, "a layer has an argument that none can have"),
    "an argument is missing": ({"layers": [{"class": "LSTM"}]}, "a LSTM of it lacks an argument: it needs units"),
    "an argument of two kinds": ({"layers": lstm(units={"tuple": [], "layer": 0})}, "does not come before it"),
    "an argument of two words": ({"layers": lstm(units={"a": 1, "b": 2})}, "it has an argument that is none"),
    "an argument of no kind": ({"layers": lstm(units={})}, "it has an argument that is none"),
    "a tuple of letters": ({"layers": lstm(units={"tuple": "ab"})}, "it has an argument that is none"),
    "units is negative": ({"layers": lstm(units=-1)}, "expects units to be a positive integer, got -1"),
    "units is a word": ({"layers": lstm(units="many")}, "expects units to be a positive integer, got 'many'"),
    "units is a billion billions": ({"layers": lstm(units=10**18)}, "the net (1, 4000000000000000000) of float32"),
    "units fills the memory": (
        {"layers": [{"class": "Embedding", "args": {"vocab": 10**8, "units": 10**8}, "params": {"E": "lstm.b"}}]},
        "'lstm.b' has (8,) of float32, the net (100000000, 100000000) of float32",
    ),
    "units has 400 digits": ({"layers": lstm(units=10**400)}, "'lstm.Wx' has (1, 8) of float32, the net (1, 4000"),
    "forget_bias has 400 digits": ({"layers": lstm(forget_bias=10**400)}, "expects forget_bias to be a number, got 1"),
    "forget_bias is NaN": ({"layers": lstm(forget_bias=float("nan"))}, "Out of range float values"),
    "forget_bias is an integer": ({"layers": lstm(forget_bias=1)}, "a LSTM of it was not written by minidl"),
    "recurrent_activation is a word": ({"layers": lstm(recurrent_activation="sigmoid")}, "recurrent_activation to be"),
    "recurrent_activation is an LSTM": (
        {"layers": [ENTRY, *lstm(recurrent_activation={"layer": 0})]},
        "LSTM expects recurrent_activation to be",
    ),
    "cell_clip is negative": ({"layers": lstm(cell_clip=-1.0)}, "LSTM expects cell_clip to be"),
    "a learned state of nothing": (
        {"layers": [{"class": "LearnedState", "args": {"layer": None}}]},
        "LearnedState expects a recurrent layer",
    ),
    "a learned state of itself": (
        {"layers": [{"class": "LearnedState", "args": {"layer": {"layer": 0}}}]},
        "it mentions a layer that does not come before it",
    ),
    "a learned state of a layer without one": (
        {"layers": [{"class": "Tanh"}, {"class": "LearnedState", "args": {"layer": {"layer": 0}}}]},
        "LearnedState expects a recurrent layer",
    ),
    "init is a layer": ({"layers": [ENTRY, *lstm(init={"layer": 0})]}, "LSTM expects init to be a dict by parameter"),
    "init is null": ({"layers": lstm(init=None)}, "a LSTM of it was not written by minidl: it would have other"),
    "a layer that is not there": ({"layers": [slots(7)]}, "it mentions a layer that does not come before it"),
    "a layer that contains itself": ({"layers": [slots(0)]}, "it mentions a layer that does not come before it"),
    "a layer that is True": ({"layers": [ENTRY, slots(True)]}, "it mentions a layer that does not come before it"),
    "a layer that the net does not use": ({"layers": [ENTRY, ENTRY, slots(1)]}, "layers that its net does not use"),
    "layers in another order": ({"layers": [ENTRY, ENTRY, slots(1, 0)]}, "does not use, or in another order"),
    "a name twice": ({"layers": [ENTRY, slots(0, 0)]}, "Sequential has a layer 'a0' already"),
    "layers without names": (
        {"layers": [ENTRY, {"class": "Sequential", "args": {"layers": [{"layer": 0}]}}]},
        "its Sequential has layers without names",
    ),
    "the layers are a number": (
        {"layers": [{"class": "Sequential", "args": {"layers": 5}}]},
        "its Sequential has layers without names",
    ),
    "a net with a list for a name": (
        {"layers": [ENTRY, slots(0) | {"args": slots(0)["args"] | {"name": [1, 2]}}]},
        "Sequential expects name to be a word, got [1, 2]",
    ),
    "a layer inside that is not in the file": (
        {"layers": [ENTRY, {"class": "Bidirectional", "args": {"layer": {"layer": 0}}}]},
        "a Bidirectional of it has a layer inside that is not in the file, and would be drawn",
    ),
    "a parameter without a name": ({"layers": [ENTRY | {"params": {"Wx": []}}]}, "are no objects, or have no names"),
    "a parameter too many": (
        {"layers": [ENTRY | {"params": PARAMS | {"p": "lstm.p"}}]},
        "other parameters than Wx, Wh",
    ),
    "a parameter too few": ({"layers": [ENTRY | {"params": {"Wx": "lstm.Wx"}}]}, "a parameter 'Wh' that is not there"),
    "parameters in another order": (
        {"layers": [ENTRY | {"params": dict(reversed(PARAMS.items()))}]},
        "LSTM has other parameters than b, Wh, Wx",
    ),
    "no net": ({"net": None}, WHOLE),
    "a net that is not there": ({"net": 99}, "its net is not the last of its layers"),
    "a net that is not the whole": ({"net": 0}, "its net is not the last of its layers"),
    "a net that is a word": ({"net": "lstm"}, WHOLE),
    "no shape": ({"in_shape": None}, "an in_shape that is none, or a huge one"),
    "a shape of words": ({"in_shape": ["many"]}, "an in_shape that is none, or a huge one"),
    "a shape of a word and a shape": ({"in_shape": ["many", [3]]}, "an in_shape that is none, or a huge one"),
    "a shape without time": ({"in_shape": [4]}, "LSTM expects inputs of shape [B, T, D], got [B, 4]"),
    "a shape of another size": ({"in_shape": [None, 5]}, "LSTM was built for inputs (None, 1), with Wx (1, 8)"),
    "two shapes for one input": ({"in_shape": [[None, 1], [None, 1]]}, "LSTM expects one input, got ([B, T, 1]"),
    "an unknown dtype": ({"dtype": "float31"}, "its dtype is neither float32 nor float64"),
    "a dtype of objects": ({"dtype": "object"}, "its dtype is neither float32 nor float64"),
    "a dtype of integers": ({"dtype": "int32"}, "its dtype is neither float32 nor float64"),
    "another dtype": ({"dtype": "float64"}, "'lstm.Wx' has (1, 8) of float32, the net (1, 8) of float64"),
    "no dtype": ({"dtype": 5}, WHOLE),
    "frozen is a number": ({"frozen": 5}, WHOLE),
    "frozen is a list of lists": ({"frozen": [["lstm.Wx"]]}, "it freezes what is no parameter of the net"),
    "frozen is unknown": ({"frozen": ["nope"]}, "it freezes what is no parameter of the net"),
    "frozen twice": ({"frozen": ["lstm.Wx", "lstm.Wx"]}, "it freezes what is no parameter of the net"),
    "frozen in another order": ({"frozen": ["scores.b", "lstm.Wx"]}, "it freezes what is no parameter of the net"),
    "facts is a list": ({"facts": []}, WHOLE),
}


def completed(entry):
    """An entry with what it lacks."""
    if not isinstance(entry, dict) or not entry:
        return entry
    params = PARAMS if entry["class"] == "LSTM" else {}
    return {"class": None, "args": {}, "in_shape": [None, 1], "params": params} | entry


@pytest.mark.parametrize(("garbage", "words"), GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_the_header(garbage, words, model):
    """An entry is whole but for what is wrong with it, so that nothing else is the reason."""
    if isinstance(garbage, dict):
        header = header_of(model) | garbage
        if "in_shape" in garbage:
            header["layers"][-1]["in_shape"] = header.pop("in_shape")
        if isinstance(garbage.get("layers"), list):
            header["layers"] = [completed(entry) for entry in garbage["layers"]]
            header["net"] = max(len(header["layers"]) - 1, 0)
        garbage = json.dumps(header, ensure_ascii=False)
    set_header(model, garbage)
    came = reason(model)
    assert words in came and len(came) < 1000
    assert "Error:" not in came, "in words, not in Python's"


def test_what_the_file_says_is_shared_is_what_the_net_shares(tmp_path):
    net, path = Sequential([("words", Embedding(3, 2)), ("out", Dense(3, bias=False))]), tmp_path / "net.npz"
    net.build((None,))
    net.save(path)
    header = header_of(path)
    header["layers"][1]["args"]["tie"] = {"layer": 0}
    header["layers"][1]["params"] = {"E": "out.W"}
    set_header(path, json.dumps(header))
    rewrite(path, lambda arrays: arrays.update({"out.W": np.ones((3, 2), np.float32)}))
    assert "Dense shares its 'E' with another layer" in reason(path)


def test_a_header_that_is_no_text(model):
    rewrite(model, lambda arrays: arrays.update(__minidl__=np.full((2, 2), np.nan)))
    assert "its header is no text, or too long" in reason(model)


def test_a_name_that_files_keep_for_themselves(tmp_path):
    net = Sequential([("__minidl__", Dense(1))])
    net.build((2,))
    with pytest.raises(
        ArgumentError, match=r"names that begin with __ for itself, got '__minidl__\.W': rename the layer"
    ):
        net.save(tmp_path / "net.npz")


def test_a_layer_inside_that_is_not_built(model):
    """It would be drawn, however large it says that it is."""
    header = header_of(model)
    header["layers"][0] |= {"in_shape": None, "args": header["layers"][0]["args"] | {"units": 10**9}, "params": {}}
    set_header(model, json.dumps(header, ensure_ascii=False))
    assert "is no model of minidl" in reason(model)


# -- all or nothing -------------------------------------------------------------------------------


def no_space(*args, **kwargs):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "os.write"])
def test_an_interrupted_save_leaves_the_old_file(broken, model, monkeypatch):
    before, other = model.read_bytes(), small()
    other["lstm"].Wx.value[...] = 7
    monkeypatch.setattr(broken, no_space)
    with pytest.raises(OSError, match="No space left"):
        other.save(model)
    monkeypatch.undo()
    assert model.read_bytes() == before
    assert [p.name for p in model.parent.iterdir()] == ["model.npz"]


def test_an_interrupted_first_save_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small().save(tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_saving_over_an_old_file(model):
    other = Sequential([Dense(1, init={"W": ones})])
    other.build((3,))
    other.save(model)
    assert_same(load(model), other)
    assert [p.name for p in model.parent.iterdir()] == ["model.npz"]


def test_the_file_has_the_permissions_of_any_new_file(model):
    beside = model.parent / "beside"
    beside.touch()
    assert model.stat().st_mode == beside.stat().st_mode


# -- what could not be loaded again ---------------------------------------------------------------


class Hidden(Layer):
    """A layer of one's own that makes the layer inside itself."""

    def __init__(self, units=2):
        self.units = units
        self.inner = Dense(units)

    def setup(self, in_shape, rng, dtype):
        return self.inner.build(in_shape, rng, dtype)

    @property
    def params(self):
        return {f"inner.{name}": p for name, p in self.inner.params.items()}

    def forward(self, x, *, rng=None):
        return self.inner.forward(x, rng=rng)

    def backward(self, dy, cache):
        return self.inner.backward(dy, cache)


class Fixed(Sequential):
    """A net of one's own with other arguments."""

    def __init__(self, units=2):
        super().__init__([Dense(units)])
        self.units = units


@pytest.mark.parametrize(("make", "words"), [
    (Fixed, r"Fixed\.__init__ must take the arguments that its config\(\) tells, layers, name, by name: load calls"),
    (lambda: Sequential([Dense(1)], name="x" * 2000), "its arguments have words of more than 1,000 letters"),
])  # fmt: skip
def test_what_load_could_not_make_again_is_not_saved(make, words, tmp_path):
    net = make()
    net.build((2,))
    with pytest.raises(ArgumentError, match=words):
        net.save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


DEEP = {}
for _ in range(5000):
    DEEP = {"a": DEEP}


@pytest.mark.parametrize("facts", [
    {1: "a", "1": "b"}, {1: "a"}, {None: 1}, {"a": float("nan")}, {"a": {1, 2}}, {(1, 2): 3}, {"a": (1, 2)},
    {"a": "\ud800"}, DEEP,
], ids=range(9))  # fmt: skip
def test_facts_that_no_file_can_hold(facts, tmp_path):
    net = small()
    net.facts = facts
    with pytest.raises(ArgumentError, match="A file holds finite numbers and text, the net's facts have others"):
        net.save(tmp_path / "net.npz")


@pytest.mark.parametrize("facts", [None, [1], "a"])
def test_facts_that_are_none(facts, tmp_path):
    net = small()
    net.facts = facts
    with pytest.raises(ArgumentError, match=r"net\.facts is expected to be a dict, got"):
        net.save(tmp_path / "net.npz")


@pytest.mark.parametrize("attribute", [{"facts": {"a": 1}}, {"vocab": minidl.CharVocab("ab")}])
def test_what_a_net_inside_knows_of_itself_is_not_kept_and_that_is_told(attribute, tmp_path):
    """A pretrained net that became a part of another one has a file of its own for that: a save goes on."""
    net = Sequential([("head", Sequential([Dense(2)]))])
    net.build((2,))
    vars(net["head"]).update(attribute)
    with pytest.warns(UserWarning, match=r"the facts of the whole net, not those of Sequential\(.* in it"):
        net.save(tmp_path / "net.npz")
    assert load(tmp_path / "net.npz")["head"].facts == {}


def test_arrays_that_are_no_parameters_are_told_and_a_training_goes_on(tmp_path):
    """They may matter, as a running mean does, or be room to work in."""

    class Meaning(Layer):
        def setup(self, in_shape, rng, dtype):
            self.mean = np.zeros(in_shape[-1], dtype)
            return in_shape

        def forward(self, x, *, rng=None):
            self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
            return x, None

        def backward(self, dy, cache):
            return dy

    net, path = Sequential([Meaning(), Dense(1)]), tmp_path / "best.npz"
    trainer = minidl.Trainer(net, minidl.MeanSquaredError(), callbacks=[minidl.SaveBest(path)], quiet=True)
    with pytest.warns(UserWarning, match=r"Meaning keeps an array self\.mean that load makes anew, with other numbers"):
        trainer.fit(np.ones((8, 2)), np.ones(8), epochs=3)
    assert trainer.epoch == 3 and path.exists()
    with pytest.warns(UserWarning, match=r"Projection keeps an array self\.R"):
        built(Sequential([Projection()])).save(path)


def test_what_cannot_be_saved_is_told_before_the_training(tmp_path):
    trainer = minidl.Trainer(
        built(Sequential([Star(Dense(2))])), minidl.MeanSquaredError(),
        callbacks=[minidl.SaveBest(tmp_path / "best.npz")], quiet=True,
    )  # fmt: skip
    with pytest.raises(ArgumentError, match=r"Star\.__init__ must take the arguments"):
        trainer.fit(np.ones((8, 2)), np.ones((8, 2)))
    assert trainer.step == 0
