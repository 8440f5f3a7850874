"""Checkpoints and black boxes that somebody crafted: refused before anything is allocated or restored."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest

import minidl
from minidl import ArgumentError, ModelFormatError, checkpoints, trees
from minidl.archive import archive, is_huge_and_empty
from minidl.doctor import BlackBox, Rollback, replay
from minidl.plain_json import Limits, parse
from minidl.saving import TRAINING
from minidl.trees import from_plain, read_tree, write_tree

IDS = np.random.default_rng(0).integers(0, 5, 100)


class Stop(minidl.Callback):
    """Ends a run with an error, as a kill would."""

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == 4:
            raise ZeroDivisionError


class Counted(minidl.Callback):
    """A user's callback with attributes of each kind."""

    remembers = "steps", "name", "losses"

    def __init__(self) -> None:
        self.steps, self.name, self.losses, self.other = 0, "x", [0.0], 1


def training(folder: Any, *more: Any) -> Any:
    layers = [minidl.Embedding(5, 2), minidl.LSTM(3, return_sequences=True), minidl.Dense(5)]
    callbacks = [Rollback(folder=None), Counted(), minidl.ClipNorm(1.0), minidl.EarlyStopping(), *more]
    callbacks += [minidl.Checkpoint(folder, every=1)]
    return minidl.Trainer(minidl.Sequential(layers), minidl.SoftmaxCrossEntropy(), callbacks=callbacks, quiet=True)


def data() -> Any:
    return minidl.TextStream(IDS, 3, 5)


@pytest.fixture
def crash(tmp_path: Any) -> Any:
    """The newest checkpoint of a run that crashed in its first epoch."""
    with pytest.raises(ZeroDivisionError):
        training(tmp_path, Stop()).fit(data())
    (tmp_path / "checkpoint-000000002.npz").unlink(missing_ok=True)
    return tmp_path / "checkpoint-000000003.npz"


def rewrite(path: Any, change: Any, member: str = "state") -> None:
    """Change the training or the box in a file, with checksums that are right."""
    arrays = dict(np.load(path))
    parts = {name.removeprefix(TRAINING): a for name, a in arrays.items() if name.startswith(TRAINING)}
    content = read_tree(parts, member)
    change(content)
    rest = {name: a for name, a in arrays.items() if not name.startswith(TRAINING)}
    more = {TRAINING + name: a for name, a in write_tree(content, member, "A file").items()}
    path.write_bytes(b"".join(map(bytes, archive(rest | more))))


def state_of(trainer: Any) -> Any:
    """What a refused checkpoint must leave as it was."""
    return {
        "weights": {name: p.value.tobytes() for name, p in trainer.net.params.items()},
        "optimizer": (trainer.optimizer.steps, trainer.optimizer.lr_scale, dict(trainer.optimizer.state)),
        "place": repr([getattr(trainer, name) for name in trainer.PLACE]),
        "history": list(trainer.history.rows),
        "callbacks": repr([c.remember() for c in trainer.callbacks if hasattr(c, "remember")]),
    }


def refused(folder: Any, trainer: Any = None) -> str:
    """What is said of the only checkpoint in a folder, which changes nothing."""
    trainer = trainer or training(folder)
    if trainer.net.in_shape is None:
        trainer.net.build((None,))
    before = state_of(trainer)
    with pytest.raises(ModelFormatError) as caught:
        trainer.fit(data(), resume=True)
    assert state_of(trainer) == before and trainer.resumed is None
    return str(caught.value)


def put(path: str, value: Any) -> Any:
    """A change of the entry at a path."""

    def change(content: Any) -> None:
        *before, last = path.split("/")
        for key in before:
            content = content[key]
        content[last] = value

    return change


def step_of(x: Any, t: Any, state: Any = None) -> Any:
    """A step of one batch, as a file holds it."""
    return 3, [((x, t, None, None, True), state, 2, 1.0)]


# -- checkpoints ----------------------------------------------------------------------------------

FIT = {
    "a slot of another shape": put("optimizer/state/dense.b", {"m": np.zeros(3, np.float32), "v": np.zeros((), "f4")}),
    "a slot of another dtype": put("optimizer/state/dense.b", {"m": np.zeros(5), "v": np.zeros(5)}),
    "slots of nobody": put("optimizer/state/nobody", {}),
    "a state of another net": put("carried", {"lstm": (np.zeros((3, 2), "f4"), np.zeros((3, 2), "f4"))}),
    "a state of unequal rows": put("carried", {"lstm": (np.zeros((3, 3), "f4"), np.zeros((4, 3), "f4"))}),
    "a state of 60,000 rows": put("carried", {"lstm": (np.zeros((60_000, 0), "f4"), np.zeros((60_000, 0), "f4"))}),
    "a method": put("callbacks/Counted 1/on_step_end", 5),
    "an attribute that is not declared": put("callbacks/Counted 1/other", 5),
    "a class": put("callbacks/ClipNorm 1/__class__", "x"),
    "a word for a number": put("callbacks/Counted 1/steps", "x"),
    "a number for a word": put("callbacks/Counted 1/name", 5),
    "a negative count": put("callbacks/ClipNorm 1/updates", -1),
    "a dict of words": put("callbacks/ClipNorm 1/largest", {"a": "b"}),
    "weights of another shape": put("callbacks/EarlyStopping 1/weights", {"dense.b": np.zeros(5, "f4")}),
    "weights that are None": put("callbacks/EarlyStopping 1/weights", None),
    "a snapshot without step": put("callbacks/Rollback 1/good/step", None),
    "values of another net": put("callbacks/Rollback 1/good/values", {}),
    "a column of another length": put("callbacks/Rollback 1/record/columns/loss", np.zeros(9)),
    "a batch that the net does not take": put(
        "callbacks/Rollback 1/ordinary", step_of(np.full((3, 5), 77), np.zeros((3, 5), int))
    ),
    "too many losses": put("callbacks/Rollback 1/spikes/losses", [1.0] * 101),
}  # fmt: skip


@pytest.mark.parametrize("change", FIT.values(), ids=FIT)
def test_a_checkpoint_that_does_not_fit_leaves_the_trainer_as_it_was(change: Any, crash: Any) -> None:
    rewrite(crash, change)
    assert refused(crash.parent).startswith(f"{crash} is no model of minidl, or damaged: ")


FORMS = {
    "a huge number of steps": put("place/step", 10**400), "steps as a word": put("place/step", "4"),
    "a bool for a count": put("optimizer/steps", True), "a negative count": put("place/groups_done", -1),
    "a rate that is inf": put("optimizer/lr_scale", float("inf")), "a history of words": put("history", ["x"]),
    "a row without step": put("history", [{"epoch": 1}]), "two rows of an epoch": put("history", [
        {"epoch": 1, "step": 1, "rate": 0.1, "seconds": 1.0, "targets_per_second": 1.0}] * 2),
    "sums without weights": put("means/sums", {"loss": 1.0, "x": 1.0}), "elapsed time of NaN": put("elapsed", np.nan),
    "an array for a word": put("what/seed", np.zeros(2)), "callbacks that are a list": put("callbacks", []),
    "another epoch": put("place/epoch", 7),
}  # fmt: skip


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS)
def test_a_checkpoint_of_another_form_is_not_read(change: Any, crash: Any) -> None:
    rewrite(crash, change)
    with pytest.raises(ModelFormatError, match="is no model of minidl, or damaged: its"):
        checkpoints.read(crash)


def test_other_data_leaves_the_trainer_as_it_was(crash: Any) -> None:
    """The checksum of the last batch is compared when the data is read, after the checkpoint was restored."""
    rewrite(crash, put("last batch", 5))
    trainer = training(crash.parent)
    trainer.net.build((None,))
    before = state_of(trainer)
    with pytest.raises(ArgumentError, match="The data is expected to be that of the checkpoint"):
        trainer.fit(data(), resume=True)
    assert state_of(trainer) == before and trainer.resumed is None


def test_a_state_with_other_rows_than_the_batch_leaves_the_trainer_as_it_was(crash: Any) -> None:
    rewrite(crash, put("carried", {"lstm": (np.zeros((7, 3), "f4"), np.zeros((7, 3), "f4"))}))
    trainer = training(crash.parent)
    trainer.net.build((None,))
    before = state_of(trainer)
    with pytest.raises(ArgumentError, match="The data is expected to be that of the checkpoint"):
        trainer.fit(data(), resume=True)
    assert state_of(trainer) == before


def test_a_refused_trainer_can_be_trained(crash: Any) -> None:
    sound = crash.read_bytes()
    rewrite(crash, put("carried", None))
    rewrite(crash, put("callbacks/Counted 1/other", 5))
    trainer = training(crash.parent)
    refused(crash.parent, trainer)
    crash.write_bytes(sound)
    trainer.fit(data(), resume=True)
    assert trainer.step == 7 and trainer.resumed


# -- JSON in a file -------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), [
    (b"[" * 60 + b"]" * 60, "nested more than 50 deep"),
    (b"[" + b"0," * 2000 + b"0]", "values in JSON, more than 1,000"), (b'"' + b"x" * 20_000 + b'"', "bytes of JSON"),
    (b"\xff", "cannot be parsed"), (b"1" * 5000, "cannot be parsed"), (b"", "cannot be parsed"),
])  # fmt: skip
def test_json_beyond_the_limits_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(ModelFormatError, match=words):
        parse(text, Limits(size=10_000, values=1000, depth=50))


def test_lists_that_python_cannot_nest_are_refused() -> None:
    with pytest.raises(ModelFormatError, match="cannot be parsed: maximum recursion depth"):
        parse(b"[" * 100_000, trees.LIMITS)


@pytest.mark.parametrize("text", [
    b'{"dict": {"a": 1, "a": 2}}', b'{"dict":{}}', b"NaN", b"1e999", b'{"float": "1e5"}', b'{"scalar": ["int8", 300]}',
    b'{"scalar": ["float32", "5"]}', b'{"array": "a"}', b'{"narrow": ["float16", "a"]}', b'{"tuple": 5}', b"{}",
    b'[{"array": "state.0"}, {"array": "state.0"}]', b'{"array": ["a"]}', b'{"dict": []}',
])  # fmt: skip
def test_json_that_minidl_does_not_write_is_refused(text: bytes) -> None:
    arrays = {"state": np.frombuffer(text, np.uint8), "state.0": np.ones(2)}
    with pytest.raises((ModelFormatError, ArgumentError, ValueError)):
        read_tree(arrays if b"array" in text else {"state": arrays["state"]}, "state")


def test_narrow_arrays_take_the_memory_of_one_each() -> None:
    """A reference to an array that is copied would be a bomb, if it could be repeated."""
    wide = np.zeros(1000, np.float32)
    text = json.dumps([{"narrow": ["float16", "state.0"]}] * 100).encode()
    with pytest.raises(ModelFormatError, match="names an array that is missing, or names it twice"):
        read_tree({"state": np.frombuffer(text, np.uint8), "state.0": wide}, "state")


def test_what_would_not_be_read_again_is_not_written(monkeypatch: Any) -> None:
    monkeypatch.setattr(trees, "LIMITS", Limits(size=1000, values=100, depth=9))
    large = (["x" * 2000], "bytes of JSON"), ([0] * 200, "values in JSON"), ([[[[[[[[[[[]]]]]]]]]]], "nested")
    for value, words in large:
        with pytest.raises(ArgumentError, match=rf"A training has .*{words}.*: keep fewer values, or put them into"):
            write_tree(value, "state", "A training")


def test_numbers_of_numpy_are_checked() -> None:
    assert from_plain({"scalar": ["float32", {"float": "nan"}]}, {}.__getitem__) != 0
    for plain in ["int8", 1.5], ["bool", 1], ["float64", 1], ["uint8", -1], ["int8", {"float": "nan"}], ["int8", [1]]:
        with pytest.raises(ArgumentError, match="that are such"):
            from_plain({"scalar": plain}, {}.__getitem__)


# -- arrays ---------------------------------------------------------------------------------------


def test_empty_arrays_with_a_huge_axis_are_refused(tmp_path: Any) -> None:
    """Their 10**9 rows cost nothing in the file, but whatever is computed from them."""
    assert is_huge_and_empty((10**9, 0)) and not is_huge_and_empty((0, 6, 3)) and not is_huge_and_empty((10**9,))
    with pytest.raises(ArgumentError, match="no empty array as large as"):
        list(archive({"x": np.zeros((10**9, 0), np.float32)}))
    net = minidl.Dense(1)
    net.build((2,))
    net.save(tmp_path / "m.npz")
    data = (tmp_path / "m.npz").read_bytes().replace(b"'shape': (2, 1), }  ", b"'shape': (99999, 0), }"[:20])
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(ModelFormatError):
        minidl.load(tmp_path / "m.npz")


# -- black boxes ----------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Any) -> Any:
    """The file of a black box: a NaN in a target."""
    x, t = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)
    t[5] = np.nan
    callbacks = [BlackBox(tmp_path / "b")]
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=callbacks, quiet=True)
    trainer.fit(x, t, batch_size=2, shuffle=False)
    return tmp_path / "b" / "step.npz"


@pytest.mark.parametrize("keep", [10**9, 2**53, 1])
def test_a_record_takes_the_memory_of_its_rows(keep: int, box: Any) -> None:
    rewrite(box, put("record/keep", keep), "box")
    assert box.stat().st_size < 20_000
    tracemalloc.start()
    try:
        assert replay(box).code == "N702"
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


BOXES = {
    "keep 10**400": put("record/keep", 10**400), "keep -1": put("record/keep", -1),
    "a seed of a word": put("seed", "x"),
    "another trouble": put("what", ["print", 1]), "a spike of one step": put("what", ["update", 3]),
    "no steps": put("steps", []), "sums of nobody": put("sums", {"x": 1}),
    "names of nobody": put("record/names", ["x"]),
    "a loss of os": put("loss", {"class": "system", "arguments": {"command": "true"}}),
    "an optimizer of words": put("optimizer/steps", "5"), "steps 10**400": put("optimizer/steps", 10**400),
    "a batch of words": put("steps", [step_of("a", "b")]),
    "a batch of another width": put("steps", [step_of(np.ones((2, 9)), np.ones((2, 1)))]),
    "gradients of another shape": put("grads", {"W": np.zeros(2)}), "a level of words": put("level", "x"),
    "a state of nobody": put("steps", [step_of(np.ones((2, 3)), np.ones((2, 1)), {"x": np.ones(2)})]),
}  # fmt: skip


@pytest.mark.parametrize("change", BOXES.values(), ids=BOXES)
def test_a_crafted_box_is_refused_in_one_line(change: Any, box: Any) -> None:
    rewrite(box, change, "box")
    with pytest.raises((ModelFormatError, ArgumentError)) as caught:
        replay(box)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
