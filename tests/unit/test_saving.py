"""Models on disk: back bit for bit, readable by anyone, and one line for every file that is no model."""

import json
import os

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
        f"{model} does not fit the net: missing more.W; misshapen scores.W (2, 2) of float32 for (2, 3) of float32, "
        f"scores.b (2,) of float32 for (3,) of float32. strict=False takes what fits."
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
    with pytest.raises(ModelFormatError, match=r"missing W, b; unexpected lstm.Wx, lstm.Wh, lstm.b, lstm.p, scores"):
        dense.load_weights(model)


def test_weights_of_another_dtype_do_not_fit(model):
    net = small().copy(np.float64)
    with pytest.raises(ModelFormatError, match=r"misshapen lstm.Wx \(1, 8\) of float32 for \(1, 8\) of float64"):
        net.load_weights(model)


def test_weights_for_a_net_that_is_not_built(model):
    with pytest.raises(ArgumentError, match="load_weights expects a built net, got a Sequential that is not"):
        Sequential([Dense(2)]).load_weights(model)


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


LSTM_ENTRY = {"class": "LSTM", "args": {"units": 2}}
GARBAGE = {
    "empty": "",
    "no JSON": "{",
    "null": "null",
    "a number": "5",
    "a list": "[]",
    "an empty object": "{}",
    "no utf-8 inside": '"\ud800"'.encode("utf-8", "surrogatepass").decode("latin-1"),
    "deep": "[" * 100_000,
    "only the format": {"format": 1},
    "layers is a number": {"layers": 5},
    "layers is null": {"layers": None},
    "no layers": {"layers": []},
    "a layer is a word": {"layers": ["LSTM"]},
    "a layer is empty": {"layers": [{}]},
    "a class is a list": {"layers": [{"class": [], "args": {}}]},
    "an unknown class": {"layers": [{"class": "os.system", "args": {}}]},
    "an unknown class of two lines": {"layers": [{"class": "a\nb", "args": {}}]},
    "a base class": {"layers": [{"class": "Layer", "args": {}}], "net": 0},
    "no arguments": {"layers": [{"class": "LSTM"}], "net": 0},
    "arguments are a list": {"layers": [{"class": "LSTM", "args": [2]}], "net": 0},
    "an unknown argument": {"layers": [{"class": "LSTM", "args": {"units": 2, "zoneout": 1}}], "net": 0},
    "an argument is missing": {"layers": [{"class": "LSTM", "args": {}}], "net": 0},
    "units is negative": {"layers": [{"class": "LSTM", "args": {"units": -1}}], "net": 0},
    "units is a word": {"layers": [{"class": "LSTM", "args": {"units": "many"}}], "net": 0},
    "units is a billion billions": {"layers": [{"class": "LSTM", "args": {"units": 10**18}}], "net": 0},
    "units fills the memory": {"layers": [{"class": "Embedding", "args": {"vocab": 10**8, "units": 10**8}}], "net": 0},
    "units has 400 digits": {"layers": [{"class": "LSTM", "args": {"units": 10**400}}], "net": 0},
    "forget_bias has 400 digits": {
        "layers": [{"class": "LSTM", "args": {"units": 2, "forget_bias": 10**400}}],
        "net": 0,
    },
    "forget_bias is NaN": {"layers": [{"class": "LSTM", "args": {"units": 2, "forget_bias": float("nan")}}], "net": 0},
    "recurrent_activation is a word": {
        "layers": [{"class": "LSTM", "args": {"units": 2, "recurrent_activation": "sigmoid"}}],
        "net": 0,
    },
    "recurrent_activation is an LSTM": {
        "layers": [LSTM_ENTRY, {"class": "LSTM", "args": {"units": 2, "recurrent_activation": {"layer": 0}}}],
        "net": 1,
    },
    "cell_clip is negative": {"layers": [{"class": "LSTM", "args": {"units": 2, "cell_clip": -1.0}}], "net": 0},
    "a learned state of nothing": {"layers": [{"class": "LearnedState", "args": {"layer": None}}], "net": 0},
    "a learned state of itself": {"layers": [{"class": "LearnedState", "args": {"layer": {"layer": 0}}}], "net": 0},
    "a learned state of a layer without one": {
        "layers": [{"class": "Tanh", "args": {}}, {"class": "LearnedState", "args": {"layer": {"layer": 0}}}],
        "net": 1,
    },
    "init is a layer": {
        "layers": [LSTM_ENTRY, {"class": "LSTM", "args": {"units": 2, "init": {"layer": 0}}}],
        "net": 1,
    },
    "a layer that is not there": {"layers": [{"class": "Sequential", "args": {"layers": [{"layer": 7}]}}], "net": 0},
    "a layer that contains itself": {"layers": [{"class": "Sequential", "args": {"layers": [{"layer": 0}]}}], "net": 0},
    "a name twice": {
        "layers": [LSTM_ENTRY, {"class": "Sequential", "args": {"layers": [["a", {"layer": 0}]] * 2}}],
        "net": 1,
    },
    "no net": {"net": None},
    "a net that is not there": {"net": 99},
    "a net that is a word": {"net": "lstm"},
    "no shape": {"in_shape": None},
    "a shape of words": {"in_shape": ["many"]},
    "a shape without time": {"in_shape": [4]},
    "a shape of another size": {"in_shape": [None, 5]},
    "an unknown dtype": {"dtype": "float31"},
    "a dtype of objects": {"dtype": "object"},
    "a dtype of integers": {"dtype": "int32"},
    "another dtype": {"dtype": "float64"},
    "no dtype": {"dtype": 5},
    "frozen is a number": {"frozen": 5},
    "frozen is a list of lists": {"frozen": [["lstm.Wx"]]},
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_in_the_header(garbage, model):
    if isinstance(garbage, str):
        set_header(model, garbage)
    elif garbage == {"format": 1}:
        set_header(model, json.dumps(garbage))
    else:
        header = header_of(model) | garbage
        if "in_shape" in garbage:
            header["layers"][-1]["in_shape"] = header.pop("in_shape")
        for entry in header["layers"] if isinstance(header["layers"], list) else []:
            if isinstance(entry, dict):
                entry.setdefault("in_shape", [None, 1])
        set_header(model, json.dumps(header, ensure_ascii=False))
    assert len(reason(model)) < 1000


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
    (Hidden, r"save found 'inner\.W' in a layer that is no argument of the layer around it"),
    (Fixed, r"Fixed\.__init__ must take the arguments that its config\(\) tells, layers, name: load calls it"),
    (lambda: Sequential([Dense(1)], name="x" * 2000), "its arguments have words of more than 1,000 letters"),
])  # fmt: skip
def test_what_load_could_not_make_again_is_not_saved(make, words, tmp_path):
    net = make()
    net.build((2,))
    with pytest.raises(ArgumentError, match=words):
        net.save(tmp_path / "net.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("facts", [{1: "a", "1": "b"}, {"a": float("nan")}, {"a": {1, 2}}, {(1, 2): 3}])
def test_facts_that_no_file_can_hold(facts, tmp_path):
    net = small()
    net.facts = facts
    with pytest.raises(ArgumentError, match="A file holds finite numbers and text, the net's facts have others"):
        net.save(tmp_path / "net.npz")
