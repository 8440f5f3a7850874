"""What users of other frameworks write first: each is refused with what to write here."""

import inspect

import numpy as np
import pytest

import minidl
from minidl import LSTM, Adam, ArgumentError, Conv1D, CrossEntropy, Dense, Embedding, Sequential, Softmax, Trainer
from minidl.equivalents import ARGUMENTS, ATTRIBUTES, NAMES

X, T = np.random.default_rng(0).standard_normal((20, 7, 3)), np.arange(20) % 2


def net():
    return Sequential([LSTM(4), Dense(2), Softmax()])


def trainer(**options):
    return Trainer(net(), CrossEntropy(), quiet=True, **options)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: Adam(learning_rate=1e-3), "Adam has no argument 'learning_rate'. Write lr=."),
    (lambda: Adam(1e-3, clipnorm=1.0), "Put ClipNorm(1.0)"),
    (lambda: minidl.EarlyStopping(monitor="val_loss"), "Write figure="),
    (lambda: trainer().fit(X, T, validation_data=(X, T)), "fit has no argument 'validation_data'. Write validation="),
    (lambda: trainer().fit(X, T, class_weight={0: 1.0}), "ArrayBatches(x, t, weight=w)"),
    (lambda: trainer().fit(X, T, sample_weight=np.ones(20)), "ArrayBatches(x, t, weight=w)"),
    (lambda: trainer().fit(X, T, callbacks=[]), "Pass callbacks to the Trainer"),
    (lambda: trainer().fit(X, T, verbose=0), "quiet=True"),
    (lambda: LSTM(4, return_state=True), "forward_with_state(x) returns (y, state, cache)"),
    (lambda: LSTM(4, use_bias=False), "The bias is always there in recurrent layers"),
    (lambda: LSTM(4, stateful=True), "Batch(start=False)"),
    (lambda: LSTM(4, dropout=0.2), "Dropout(rate)"),
    (lambda: LSTM(4, num_layers=2), "Stack layers"),
    (lambda: Embedding(9, 4, mask_zero=True), "PaddedBatches"),
    (lambda: Conv1D(4, kernel_size=3), "Write width=."),
    (lambda: Dense(4, activation="relu"), "Put an activation layer after it"),
    (lambda: minidl.load("nope.npz", custom_objects={}), "load has no argument 'custom_objects'. Write classes="),
    (lambda: minidl.pad([[1]], maxlen=3), "pad has no argument 'maxlen'"),
    (lambda: net().build(input_shape=(7, 3)), "build has no argument 'input_shape'"),
    (lambda: net()(X, training=True), "has no argument 'training'"),
    (lambda: minidl.generate_text(net(), None, temprature=1), "Did you mean temperature?"),
    (lambda: minidl.CosineLR(0.1, 5, warm_up=3), "Did you mean warmup"),
    (lambda: minidl.TextStream([1, 2], 1, 1, stateful=True), "as TextStream does"),
    (lambda: Trainer(net(), lambda y, t: 0.0), "subclass Loss and write positions(y, t)"),
    (lambda: trainer(metrics=[lambda a, b: 0.5]), "must take (y, t, weight, mask)"),
    (lambda: trainer(metrics=[lambda y, t, w, m: 0.5]).fit(X, T), "must return two numbers (value, weight), got 0.5"),
    (lambda: trainer().fit(X, T[:, None]), "leave out the last axis of the ids: t[..., 0]"),
    (lambda: trainer().fit(X, np.array(["a", "b"])[T]), "np.unique(t, return_inverse=True)"),
])  # fmt: skip
def test_a_first_guess_is_refused_with_what_to_write(call, words):
    with pytest.raises(ArgumentError if "axis" not in words and "unique" not in words else minidl.ShapeError) as caught:
        call()
    assert words in str(caught.value)


OBJECTS = {
    "History": minidl.History, "Layer": net, "Loss": CrossEntropy, "Optimizer": lambda: Adam(1e-3), "Trainer": trainer
}  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner in ATTRIBUTES for name in ATTRIBUTES[owner]])
def test_an_attribute_of_another_framework_is_refused_with_what_to_write(owner, name):
    one = OBJECTS[owner]()
    with pytest.raises(AttributeError, match=f"'{name}'") as caught:
        getattr(one, name)
    assert str(caught.value).endswith(ATTRIBUTES[owner][name]) and not hasattr(one, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_another_framework_is_refused_with_what_to_write(name):
    with pytest.raises(AttributeError, match=f"'{name}'") as caught:
        getattr(minidl, name)
    assert str(caught.value).endswith(NAMES[name])


def test_hints_name_what_exists():
    assert not NAMES.keys() & {*minidl.__all__} and not any(hasattr(minidl.Layer, name) for name in ATTRIBUTES["Layer"])
    assert all(text.endswith((".", "")) for text in ARGUMENTS.values())


PUBLIC = [getattr(minidl, name) for name in minidl.__all__]
RESULTS = tuple, Exception, minidl.Table, minidl.History, minidl.Parameter, minidl.Diagnosis  # users do not make these
HELPING = [
    one for one in PUBLIC
    if inspect.isfunction(one)
    or (inspect.isclass(one) and not issubclass(one, RESULTS) and not inspect.isabstract(one))
]  # fmt: skip


@pytest.mark.parametrize("public", HELPING, ids=lambda one: one.__name__)
def test_every_public_class_and_function_refuses_unknown_arguments(public):
    with pytest.raises(ArgumentError, match=r"has no argument 'no_such_argument'"):
        public(no_such_argument=1)
