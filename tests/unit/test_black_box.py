"""`BlackBox`: it stops at the first trouble, leaves a folder, and leaves a healthy training alone."""

from __future__ import annotations

import csv
import os
import shlex
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.doctor import BlackBox, replay, reproduce
from minidl.doctor.spikes import Spikes
from minidl.folder_lock import FolderLock
from tests.parameters import slow

D, H = 3, 4
RNG = np.random.default_rng(5)
X = RNG.standard_normal((64, 6, D)).astype(np.float32)
T = X.sum(axis=(1, 2))[:, None] / 4

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def net_of() -> Any:
    return minidl.Sequential([minidl.LSTM(H), minidl.Dense(1)])


class At(minidl.Callback):
    """Do something at the end of a step."""

    def __init__(self, step: int, do: Any) -> None:
        self.step, self.do = step, do

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == self.step:
            self.do(trainer)


def trained(
    tmp_path: Path, *more: Any, box: Any = None, x: Any = X, t: Any = T, lr: float = 0.01, **options: Any
) -> Any:
    box = box or BlackBox(tmp_path / "box")
    optimizer = options.pop("optimizer", None) or minidl.Adam(lr)
    given = {name: options.pop(name) for name in ("epochs", "batch_size", "steps", "shuffle") if name in options}
    loss = options.pop("loss", None) or minidl.MeanSquaredError()
    net = options.pop("net", None) or net_of()
    trainer = minidl.Trainer(net, loss, optimizer, [box, *more], quiet=True, **options)
    trainer.fit(x, t, **({"epochs": 4, "batch_size": 8} | given))
    return trainer


def plant(name: str, at: Any, value: float) -> Any:
    def do(trainer: Any) -> None:
        trainer.params[name].value[at] = value

    return do


# -- healthy --------------------------------------------------------------------------------------


def test_a_healthy_training_has_the_same_bits_and_no_folder(tmp_path: Path) -> None:
    with_box = trained(tmp_path, accumulate=2, box=BlackBox(tmp_path / "box", keep=5))
    without = trained(tmp_path, accumulate=2, box=minidl.Callback())
    assert with_box.history["loss"] == without.history["loss"] and with_box.stop_reason is None
    assert all((p.value == without.params[name].value).all() for name, p in with_box.params.items())
    assert not list(tmp_path.iterdir())
    assert with_box.callbacks[0].record.column("step").tolist() == [12, 13, 14, 15, 16]


def test_memory_does_not_grow(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "box")
    trainer = trained(tmp_path, box=box, epochs=1)
    kept = {id(a) for s in (box.snapshot, box.earlier) for a in s.values.values()}
    trainer.fit(X, T, epochs=3, batch_size=8)
    assert kept == {id(a) for s in (box.snapshot, box.earlier) for a in s.values.values()}


# -- not finite -----------------------------------------------------------------------------------


def test_a_row_of_the_data(tmp_path: Path) -> None:
    x = X.copy()
    x[21, 4, 1] = np.nan
    trainer = trained(tmp_path, x=x, shuffle=False)
    folder = tmp_path / "box"
    assert trainer.step == 2 and trainer.stop_reason == (
        f"step 3: the loss is nan (N701, the data, x, row 5, step 4, feature 1); the black box lies in {folder}: "
        f"minidl doctor --replay {folder}"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["norms.csv", "report.txt", "step.npz"]
    finding = replay(folder)
    assert finding is not None and (finding.place.quantity, finding.place.row, finding.place.step) == ("x", 5, 4)
    text = (folder / "report.txt").read_text()
    assert "N701" in text and "row 5, step 4, feature 1" in text and "minidl doctor --replay" in text
    assert max(map(len, text.splitlines())) <= 120
    rows = list(csv.DictReader((folder / "norms.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3"] and float(rows[1]["grads lstm.Wx"]) > 0
    net = minidl.load(folder / "step.npz")
    assert all((net.params[name].value == p.value).all() for name, p in trainer.params.items())


def test_a_spoiled_weight_is_located_and_a_frozen_one_too(tmp_path: Path) -> None:
    for k, freeze in enumerate((False, True)):
        net = net_of()
        net.build((None, D))
        if freeze:
            net.freeze("lstm.Wh")
        box = BlackBox(tmp_path / f"box{k}")
        trainer = trained(tmp_path, At(5, plant("lstm.Wh", (2, H + 1), np.nan)), box=box, net=net)
        assert trainer.step == 5
        finding = replay(tmp_path / f"box{k}")
        assert finding is not None and finding.code == "N701"
        assert finding.place.parameter == "lstm.Wh" and finding.place.entry == (2, H + 1)


def test_a_slot_of_the_optimizer(tmp_path: Path) -> None:
    def spoil(trainer: Any) -> None:
        trainer.optimizer.state["lstm.Wx"]["v"][1, 7] = np.inf

    trainer = trained(tmp_path, At(7, spoil))
    assert trainer.step == 10 and "N703, Adam, slot 'v' of parameter 'lstm.Wx', entry [1, 7]" in trainer.stop_reason
    finding = replay(tmp_path / "box")
    assert finding.place == minidl.checking.Place(parameter="lstm.Wx", slot="v", entry=(1, 7))


def test_an_update_that_goes_too_far_with_clipping(tmp_path: Path) -> None:
    """The update is made from clipped gradients, by a rate that somebody set in between."""

    def turn_up(trainer: Any) -> None:
        trainer.optimizer.lr_scale = 1e39

    trainer = trained(tmp_path, minidl.ClipNorm(0.01), At(3, turn_up), optimizer=minidl.SGD(1.0))
    assert trainer.step == 4 and "is not finite after the update (N703, parameter" in trainer.stop_reason
    box, examined = reproduce(tmp_path / "box")
    assert examined.same and examined.finding.code == "N703" and "rate 1e+39" in examined.finding.evidence
    norm = np.sqrt(sum(float((g.astype(float) ** 2).sum()) for g in box.grads.values()))
    assert norm <= 0.011 and box.steps[0].number == 4 and box.optimizer.steps == 3


def test_a_gradient_alone(tmp_path: Path) -> None:
    class Root(minidl.Layer):
        def forward(self, x, *, rng=None):
            return np.sqrt(abs(x)), x

        def backward(self, dy, x):
            return dy * np.sign(x) / (2 * np.sqrt(abs(x)))

    x = np.ones((8, D), np.float32)
    net = minidl.Sequential([minidl.Dense(2), ("root", Root()), minidl.Dense(1)])
    net.build((D,))
    net.params["dense.W"].value[:, 1] = 0
    trainer = trained(tmp_path, x=x, t=np.ones((8, 1)), net=net)
    assert trainer.step == 0 and "the gradient of 'dense.W' is not finite" in trainer.stop_reason
    with pytest.raises(minidl.ModelFormatError, match="hand its class over"):
        replay(tmp_path / "box")
    finding = replay(tmp_path / "box", classes=[Root])
    assert finding.code == "N702" and (finding.place.layer, finding.place.quantity) == ("root", "dx")


def test_a_carried_state(tmp_path: Path) -> None:
    """The cell runs away while the output stays within its bounds: only the state tells."""
    net = minidl.Sequential([minidl.SimpleRNN(H, activation=minidl.ReLU()), minidl.Dense(1)])
    net.build((None, D))
    x = np.ones((2, 3, D), np.float32)
    batches = [minidl.Batch(x, np.ones((2, 1)), start=k == 0) for k in range(6)]
    net.params["simple_rnn.Wh"].value[...] = 1e9 * np.eye(H)
    net.params["dense.W"].value[...] = 0
    trainer = minidl.Trainer(
        net, minidl.MeanSquaredError(), minidl.SGD(1e-30), [BlackBox(tmp_path / "box")], quiet=True
    )
    trainer.fit(batches)
    assert trainer.stop_reason and trainer.stop_reason.startswith("step 2: the ")
    finding = replay(tmp_path / "box")
    assert finding.code in ("N701", "N702") and finding.place.layer == "simple_rnn"


def test_the_second_batch_of_an_update(tmp_path: Path) -> None:
    x = X.copy()
    x[13, 2, 0] = np.nan  # update 1 is batches 0 and 1 of 8 rows
    trainer = trained(tmp_path, x=x, shuffle=False, accumulate=2)
    assert trainer.step == 0 and "x, row 5, step 2, feature 0" in trainer.stop_reason
    box, examined = reproduce(tmp_path / "box")
    assert len(box.steps[0].given) == 2 and examined.same and examined.finding.place.row == 5


def test_dropout_weights_masks_and_several_inputs(tmp_path: Path) -> None:
    net = minidl.Graph(inputs=("a", "b"))
    net.add("read", minidl.LSTM(H, return_sequences=True), "a").add("drop", minidl.Dropout(0.5), "read")
    net.add("say", minidl.LSTM(H, return_sequences=True), "b").add("both", minidl.Attention(), "say", "drop")
    net.add("out", minidl.Dense(1), "both")
    mask = np.arange(6) < RNG.integers(2, 7, (8, 1))
    x = X[:8].copy(), X[8:16].copy()
    weight = np.ones(8)
    batches = [minidl.Batch(x, np.zeros((8, 6, 1)), weight=weight, mask=(mask, mask)) for _ in range(3)]
    box = BlackBox(tmp_path / "box")
    trainer = minidl.Trainer(net, minidl.MeanSquaredError(), None, [box, At(2, plant("say.b", 3, np.nan))], quiet=True)
    trainer.fit(batches)
    kept, examined = reproduce(tmp_path / "box")
    assert examined.same and examined.finding.place.parameter == "say.b" and examined.notes == []
    given = kept.steps[0].given[0]
    assert (given.batch.mask[1] == mask).all() and (given.batch.weight == weight).all() and given.number == 2


# -- spikes ---------------------------------------------------------------------------------------


def test_a_loss_that_jumps(tmp_path: Path) -> None:
    def too_far(trainer: Any) -> None:
        trainer.optimizer.lr_scale = 300.0

    trainer = trained(tmp_path, At(60, too_far), epochs=20)
    assert trainer.step in (61, 62) and "the loss jumps to" in trainer.stop_reason and "L503" in trainer.stop_reason
    box, examined = reproduce(tmp_path / "box")
    assert examined.same and [step.number for step in box.steps] == [trainer.step, trainer.step + 1]
    finding = examined.finding
    assert (finding.code, finding.title) == ("L503", "the loss jumps")
    if trainer.step == 61:
        assert finding.where == "the update of step 61" and "its rate is 3, 0.01 is usual" in finding.evidence
        assert "is 3e+02 times the usual one" in finding.cause and "lr_scale" in finding.remedy
    assert "before the update" in finding.evidence and "of its size, where 0.001 is healthy" in finding.evidence
    after = box.steps[1].repeat(with_values(box.net, box.after), box.loss, box.seed)
    assert after == [box.steps[1].given[0].value]


def test_a_strange_batch_is_found_in_the_update_that_it_made(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((800, D)).astype(np.float32)
    t = x.sum(axis=1, keepdims=True) + 0.3 * rng.standard_normal((800, 1))
    x[60 * 8 + 3] *= 300  # scaled by somebody else
    net = minidl.Sequential([minidl.Dense(1)])
    trainer = trained(tmp_path, x=x, t=t, net=net, optimizer=minidl.SGD(0.05), epochs=1, shuffle=False)
    assert trainer.step == 61 and "step 62: the loss jumps to" in trainer.stop_reason
    box, examined = reproduce(tmp_path / "box")
    finding = examined.finding
    assert (
        examined.same and finding.where == "the update of step 61" and "the gradient of that update is" in finding.cause
    )
    assert "look at that batch; ClipNorm(" in finding.remedy and abs(box.steps[0].given[0].batch.x).max() > 100


def test_a_weight_that_somebody_writes_to_between_two_steps(tmp_path: Path) -> None:
    trained(tmp_path, At(60, plant("dense.b", 0, 1e3)), epochs=20)
    finding = replay(tmp_path / "box")
    assert finding.where == "before the update of step 60" or finding.where == "the update of step 60"
    assert (
        finding.code == "L503" and "before the update of step 60 the batch of step 61 has a loss of" in finding.evidence
    )


def with_values(net: Any, values: Any) -> Any:
    twin = net.copy()
    for name, value in values.items():
        twin.params[name].value[...] = value
    return twin


def test_no_spike_where_none_is_asked_for(tmp_path: Path) -> None:
    def too_far(trainer: Any) -> None:
        trainer.optimizer.lr_scale = 300.0 if trainer.step == 60 else 1.0

    box = BlackBox(tmp_path / "box", spike=None)
    trainer = trained(tmp_path, At(60, too_far), box=box, epochs=20)
    assert trainer.stop_reason is None and box.spikes is None


def test_the_level_of_losses() -> None:
    spikes = Spikes()
    for k in range(19):
        spikes.add(3.0 - 0.01 * k)
        assert not spikes.above(1e9)
    spikes.add(3.0)
    assert spikes.above(6.1) and not spikes.above(5.5)
    for k in range(300):
        spikes.add(1e-6 * (k % 5))
    assert not spikes.above(1.0) and spikes.above(1.6)  # half of what was learned, however small the noise
    spikes.clear()
    for k in range(400):
        spikes.add(1.0 - 0.03 * min(k, 150))  # a likelihood: its logarithm may be anything
    assert not spikes.above(-2.0) and not spikes.above(-0.1) and spikes.above(0.1)
    spikes.clear()
    for k in range(200):
        spikes.add(0.0 if k % 10 else 7.0)
    assert not spikes.above(7.0)
    kept = Spikes()
    kept.recall(spikes.remember())
    assert kept.level == spikes.level and len(kept.ordered) == 100


KINDS = ["one row", "one row of two classes", "targets with outliers", "full batch"]


DEFAULT = [("one row", 0), ("targets with outliers", 1)]


@pytest.mark.parametrize(("kind", "seed"), [one if one in DEFAULT else slow(*one) for one in product(KINDS, range(3))])
def test_healthy_noise_is_no_spike(tmp_path: Path, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((400, D)).astype(np.float32)
    t = x.sum(axis=1, keepdims=True)
    net: Any = minidl.Sequential([minidl.Dense(8), minidl.Tanh(), minidl.Dense(1)])
    loss: Any = minidl.MeanSquaredError()
    size = 1
    if kind == "one row of two classes":
        t = ((t[:, 0] + 0.5 * rng.standard_normal(400)) > 0).astype(int)
        net = minidl.Sequential(
            [minidl.Dense(8), minidl.Tanh(), minidl.Dropout(0.3), minidl.Dense(2), minidl.Softmax()]
        )
        loss = minidl.CrossEntropy()
    elif kind == "targets with outliers":
        t = t + rng.standard_t(2.0, t.shape)
    elif kind == "full batch":
        size = 400
    epochs = 300 if kind == "full batch" else 3
    trainer = trained(
        tmp_path,
        x=x,
        t=t,
        net=net,
        loss=loss,
        lr=0.02 if kind == "full batch" else 3e-3,
        epochs=epochs,
        batch_size=size,
    )
    assert trainer.stop_reason is None


# -- folders and files ----------------------------------------------------------------------------


def test_an_older_box_is_never_lost(tmp_path: Path) -> None:
    x = X.copy()
    x[0, 0, 0] = np.nan
    (tmp_path / "box").mkdir()  # an empty one will do
    for k in range(3):
        trainer = trained(tmp_path, x=x)
        name = "box" if k == 0 else f"box-{k + 1}"
        assert f"lies in {tmp_path / name}:" in trainer.stop_reason
    assert sorted(path.name for path in tmp_path.iterdir()) == ["box", "box-2", "box-3"]


def test_box_leaves_an_empty_folder_to_the_process_that_is_about_to_write_to_it(tmp_path: Path) -> None:
    x = X.copy()
    x[0, 0, 0] = np.nan
    with FolderLock(tmp_path / "box"):
        assert f"lies in {tmp_path / 'box-2'}:" in trained(tmp_path, x=x).stop_reason
    assert [path.name for path in tmp_path.iterdir()] == ["box-2"]
    assert sorted(path.name for path in (tmp_path / "box-2").iterdir()) == ["norms.csv", "report.txt", "step.npz"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    x = X.copy()
    x[0, 0, 0] = np.nan
    (tmp_path / "file").write_text("no folder")
    trainer = trained(tmp_path, x=x, box=BlackBox(tmp_path / "file" / "box"))
    assert "the loss is nan (N701" in trainer.stop_reason and "no black box could be written" in trainer.stop_reason
    assert "Errno" not in trainer.stop_reason


def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minidl.durable._replace", full)
    x = X.copy()
    x[0, 0, 0] = np.nan
    trainer = trained(tmp_path, x=x)
    assert "the step could not be written" in trainer.stop_reason and "No space left" in trainer.stop_reason
    assert "--replay" not in trainer.stop_reason


class Own(minidl.MeanSquaredError):
    pass


class OwnSGD(minidl.SGD):
    pass


def test_a_loss_and_an_optimizer_of_ones_own_have_to_be_given(tmp_path: Path) -> None:
    trained(tmp_path, At(3, plant("lstm.b", 2, np.nan)), loss=Own(), optimizer=OwnSGD(lambda step: 0.1 / (1 + step)))
    with pytest.raises(minidl.ArgumentError, match=r"loss was a Own, a class of your own, .* replay\(folder, loss=Own"):
        replay(tmp_path / "box")
    with pytest.raises(minidl.ArgumentError, match=r"optimizer was a OwnSGD, .* optimizer=OwnSGD\("):
        replay(tmp_path / "box", Own())
    with pytest.raises(minidl.ArgumentError, match="The training's loss was a Own, got"):
        replay(tmp_path / "box", minidl.MeanSquaredError())
    finding = replay(tmp_path / "box", Own(), OwnSGD(0.1))
    assert finding.place.parameter == "lstm.b"


def test_a_schedule_is_a_number_in_the_box(tmp_path: Path) -> None:
    trained(tmp_path, At(3, plant("lstm.b", 2, np.nan)), optimizer=minidl.SGD(lambda step: 0.1 / (1 + step)))
    box, examined = reproduce(tmp_path / "box")
    assert box.optimizer.lr == 0.1 / 4 and examined.same


def test_a_file_that_is_no_box(tmp_path: Path) -> None:
    net = net_of()
    net.build((None, D))
    net.save(tmp_path / "step.npz")
    with pytest.raises(minidl.ModelFormatError, match="no black box"):
        replay(tmp_path)
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "nowhere")
    trained(tmp_path, At(3, plant("lstm.b", 2, np.nan)))
    path = tmp_path / "box" / "step.npz"
    whole = path.read_bytes()
    for at in RNG.integers(0, len(whole), 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(minidl.ModelFormatError):
            replay(tmp_path / "box")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(minidl.ModelFormatError):
        replay(tmp_path / "box")


def test_what_takes_part_and_is_not_in_the_box_is_told(tmp_path: Path) -> None:
    class Louder(minidl.MeanSquaredError):
        factor = 1.0

        def positions(self, y, t):
            each, dy = super().positions(y, t)
            return self.factor * each, self.factor * dy

    loss = Louder()
    trained(tmp_path, At(3, plant("dense.b", 0, np.inf)), loss=loss)
    louder = Louder()
    louder.factor = -1.0
    examined = reproduce(tmp_path / "box", louder).examined
    assert not examined.same and "the loss of step 4 was" in examined.finding.evidence
    assert "something that is not in the box takes part" in examined.notes[-1]


@pytest.mark.parametrize("first", [True, False])
def test_a_number_that_a_callback_writes_is_told_though_the_step_is_sound(tmp_path: Path, first: bool) -> None:
    class Writes(minidl.Callback):
        def on_grads_ready(self, trainer: minidl.Trainer) -> None:
            if trainer.step == 3 and first:
                trainer.params["W"].grad[1, 0] = np.nan
            elif trainer.step == 3:
                trainer.optimizer.state["W"]["m"][1, 0] = np.nan

    box, x = BlackBox(tmp_path / "box"), np.ones((8, 2))
    callbacks = [Writes(), box] if first else [box, Writes()]
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=callbacks, quiet=True)
    trainer.fit(x, x[:, :1], epochs=9)
    where = "the gradient of 'W', entry [1, 0]" if first else "step 4"
    code = "N702" if first else "N703"
    assert f"({code}, {where})" in trainer.stop_reason
    examined = reproduce(tmp_path / "box").examined
    assert (examined.finding.code, examined.finding.where, examined.same) == (code, where, False)
    what = "gradient" if first else "update"
    assert f"the {what} of 'W' has other bits" in examined.finding.evidence
    assert "comes from outside of the step" in (tmp_path / "box" / "report.txt").read_text()


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(minidl.ArgumentError, match="Spikes expects spike to be a positive number"):
        BlackBox(spike=0)
    with pytest.raises(minidl.ArgumentError, match="Record expects keep"):
        BlackBox(keep=0)
    assert os.fspath(BlackBox(str(tmp_path)).folder) == str(tmp_path)


# -- hostile files --------------------------------------------------------------------------------


def test_a_file_with_another_content(tmp_path: Path, monkeypatch: Any) -> None:
    """Each is a whole file with right checksums, whose content is not what it has to be."""
    trained(tmp_path, At(3, plant("lstm.b", 2, np.nan)))
    path = tmp_path / "box" / "step.npz"
    write_tree = minidl.doctor.box.write_tree
    box = reproduce(path).box

    def spoiled_by(change: Any) -> Any:
        def spoiled(value: Any, *others: str) -> Any:
            change(value)
            return write_tree(value, *others)

        return spoiled

    changes = (
        lambda content: content.pop("level"),
        lambda content: content.update(loss=3),
        lambda content: content.update(loss={"class": "MeanSquaredError", "arguments": {"no": 1}}),
        lambda content: content["optimizer"].update(arguments={"lr": -1.0}),
        lambda content: content.update(steps=[(1, [(1, 2)])]),
        lambda content: content.update(what=["update"]),
        lambda content: content.update(grads={"lstm.b": np.zeros(3)}),
        lambda content: content.update(after={"nobody": np.zeros(3)}),
        lambda content: content["record"].update(keep=-1),
    )
    for change in changes:
        with monkeypatch.context() as patch:
            patch.setattr("minidl.doctor.box.write_tree", spoiled_by(change))
            minidl.doctor.box.write(box, path)
        with pytest.raises(minidl.ModelFormatError, match="is no model of minidl"):
            replay(path)


class Doubled(minidl.Layer):
    """A layer of one's own, which may refuse."""

    refuses = False

    def forward(self, x: Any, *, rng: Any = None) -> Any:
        if self.refuses:
            raise RuntimeError("not now")
        return 2 * x, None

    def backward(self, dy: Any, cache: Any) -> Any:
        return 2 * dy


def test_how_it_is_made_again_with_what_is_ones_own(tmp_path: Path) -> None:
    bad = At(3, plant("lstm.b", 2, np.nan))
    net = minidl.Sequential([minidl.LSTM(H), Doubled(), minidl.Dense(1)])
    reason = trained(tmp_path, bad, net=net, loss=Own()).stop_reason
    path = str(tmp_path / "box")
    assert reason.endswith(f"minidl.doctor.replay({path!r}, classes=[Doubled], loss=Own(...))")
    assert replay(path, classes=[Doubled], loss=Own()).place.parameter == "lstm.b"
    reason = trained(tmp_path, bad, optimizer=OwnSGD(0.1)).stop_reason
    assert reason.endswith(f"minidl.doctor.replay({path + '-2'!r}, optimizer=OwnSGD(...))")


def test_the_command_of_a_folder_with_a_space_is_one_to_copy(tmp_path: Path) -> None:
    reason = trained(tmp_path / "my runs", At(3, plant("lstm.b", 2, np.nan))).stop_reason
    command, *options, folder = shlex.split(reason.rpartition(": ")[2])
    assert (command, *options) == ("minidl", "doctor", "--replay") and Path(folder, "step.npz").exists()


def test_where_the_place_cannot_be_found_the_step_is_told(tmp_path: Path, monkeypatch: Any) -> None:
    class Refusing(minidl.Callback):
        """All goes well in the training, nothing when the step is made again."""

        def on_grads_ready(self, trainer: Any) -> None:
            monkeypatch.setattr(Doubled, "refuses", bool(np.isnan(trainer.value)))

    box, t = BlackBox(tmp_path / "box"), T.copy()
    t[13] = np.nan
    net = minidl.Sequential([minidl.LSTM(H), Doubled(), minidl.Dense(1)])
    trainer = minidl.Trainer(net, minidl.MeanSquaredError(), callbacks=[Refusing(), box], quiet=True)
    trainer.fit(X, t, batch_size=8, shuffle=False)
    assert trainer.stop_reason.startswith("step 2: the loss is nan (N701, step 2)")
    assert "the place could not be found: RuntimeError: not now" in trainer.stop_reason
    assert box.left.finding.code == "N701" and (tmp_path / "box" / "step.npz").exists()


@pytest.mark.parametrize("other", [minidl.NanGuard(), minidl.ClipNorm(1.0), minidl.ClipValue(1.0)])
@pytest.mark.parametrize("make", [BlackBox, minidl.Doctor])
def test_who_stands_before_it_and_would_end_the_training_is_told(make: Any, other: Any, tmp_path: Path) -> None:
    mine = make(tmp_path / "box")
    trainer = minidl.Trainer(net_of(), minidl.MeanSquaredError(), callbacks=[other, mine], quiet=True)
    words = f"{make.__name__} stands behind {type(other).__name__}, .* put {make.__name__} first among the callbacks"
    with pytest.warns(UserWarning, match=words):
        trainer.fit(X, T, batch_size=8)
