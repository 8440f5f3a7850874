"""What is not finite is planted in a training; its black box, replayed in a new process, names the very place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minidl
from minidl.doctor import BlackBox

ROOT = Path(__file__).parent.parent.parent
B, T, D, H = 3, 6, 4, 5
HUGE = 3e38  # almost the largest float32
STEP = 5  # the update that goes wrong
NETS = {"sequential": "lstm", "graph": "read"}

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Push(minidl.Loss):
    """A loss that is 0 everywhere, with the gradient that the targets say."""

    def positions(self, y: Any, t: Any) -> Any:
        return np.zeros(y.shape[:-1], y.dtype), t


class Flawed(minidl.LSTM):
    """An LSTM of one's own, whose backward pass divides by 0 where an input is 7."""

    def backward_with_state(self, dy: Any, dstate: Any, cache: Any) -> Any:
        dx, before = super().backward_with_state(dy, dstate, cache[0])
        return np.where(cache[1] == 7, np.nan, dx), before

    def forward_with_state(self, x: Any, state: Any = None, **options: Any) -> Any:
        y, after, cache = super().forward_with_state(x, state, **options)
        return y, after, (cache, x)


def net_of(kind: str, layer: Any, sequences: bool = False) -> Any:
    if kind == "sequential":
        net: Any = minidl.Sequential([("lstm", layer), minidl.Dense(1)])
    elif sequences:
        net = minidl.Graph().add("read", layer, "x").add("out", minidl.Dense(1), "read")
    else:
        net = minidl.Graph().add("read", layer, "x").add("scale", minidl.Dense(H), "read")
        net = net.add("sum", minidl.Add(), "read", "scale").add("out", minidl.Dense(1), "sum")
    net.build((None, D), 3)
    return net


def batches(sequences: bool = False, count: int = 8, **more: Any) -> list[minidl.Batch]:
    rng = np.random.default_rng(7)
    shape = (B, T, 1) if sequences else (B, 1)
    return [
        minidl.Batch(rng.standard_normal((B, T, D)).astype(np.float32), rng.standard_normal(shape), **more)
        for _ in range(count)
    ]


class Plant(minidl.Callback):
    """Do something before the step that goes wrong; the black box has looked at the step before by then."""

    def __init__(self, do: Any) -> None:
        self.do = do

    def on_step_end(self, trainer: Any) -> None:
        if trainer.step == STEP - 1:
            self.do(trainer)


# -- what goes wrong: each trains a net that leaves a box in a folder ------------------------------


def train(folder: Path, net: Any, data: Any, do: Any, loss: Any = None, optimizer: Any = None, *more: Any) -> None:
    callbacks = [BlackBox(folder), *more, Plant(do)]
    trainer = minidl.Trainer(net, loss or minidl.MeanSquaredError(), optimizer, callbacks, quiet=True, seed=11)
    trainer.fit(data)
    how = f"minidl doctor --replay {folder}"
    if isinstance(loss, Push):  # the command has no code of that
        how = f"minidl.doctor.replay({str(folder)!r}, loss=Push(...))"
    elif any(isinstance(layer, Flawed) for layer in net):
        how = f"minidl.doctor.replay({str(folder)!r}, classes=[Flawed])"
    assert trainer.stop_reason is not None and how in trainer.stop_reason


def one_weight(kind: str, folder: Path) -> None:
    def do(trainer: Any) -> None:
        trainer.params[f"{NETS[kind]}.Wx"].value[2, H + 3] = np.nan

    train(folder, net_of(kind, minidl.LSTM(H)), batches(), do)


def one_input_row(kind: str, folder: Path) -> None:
    data = batches(mask=np.arange(T) < np.array([[T], [4], [3]]))
    data[STEP - 1].x[1, 2, 3] = np.nan
    train(folder, net_of(kind, minidl.LSTM(H, recurrent_dropout=0.3)), data, lambda trainer: None)


def one_gate(kind: str, folder: Path, gate: int) -> None:
    """Huge weights meet a huge input at a single step of a single row, and from h comes -inf: inf - inf in one gate."""
    data = batches()
    data[STEP - 1].x[:, :, 0] = 0
    data[STEP - 1].x[2, 1, 0] = HUGE

    def do(trainer: Any) -> None:
        layer, column = trainer.net[NETS[kind]], gate * H + 4
        layer.Wx.value[...] = layer.Wh.value[...] = 0
        layer.b.value[...] = 9
        layer.Wx.value[0, column], layer.Wh.value[:, column] = 1e5, -HUGE

    train(folder, net_of(kind, minidl.LSTM(H)), data, do)


def one_gate_on_the_way_back(kind: str, folder: Path) -> None:
    """The gradient of one step of one row comes to the cell by the peephole of o, and meets c' = 25 in f."""
    data = batches(sequences=True, start=False)
    for batch in data[STEP - 1 :]:
        batch.t[...] = 0
        batch.t[2, 1] = HUGE

    def do(trainer: Any) -> None:
        layer = trainer.net[NETS[kind]]
        for p in trainer.params.values():
            p.value[...] = 0
        layer.p.value[2, 4], layer.b.value[3 * H - 1] = 2, -25  # o is a half where c is 12.5
        trainer.net[1].W.value[4] = B * T
        state = trainer.state[NETS[kind]]
        state.h[...] = state.c[...] = 0
        state.c[2, 4] = 50

    net = net_of(kind, minidl.LSTM(H, peephole=True, return_sequences=True), sequences=True)
    train(folder, net, data, do, Push())


def a_layer_of_ones_own_on_the_way_back(kind: str, folder: Path) -> None:
    net: Any = minidl.Sequential([minidl.Dense(D), ("cell", Flawed(H)), minidl.Dense(1)])
    if kind == "graph":
        net = minidl.Graph().add("dense", minidl.Dense(D), "x").add("cell", Flawed(H), "dense")
        net = net.add("out", minidl.Dense(1), "cell")
    net.build((None, D), 3)
    data = batches()
    data[STEP - 1].x[1, 4] = 0

    def do(trainer: Any) -> None:
        for p in trainer.net["dense"].params.values():
            p.value[...] = 0
        trainer.net["dense"].W.value[...] = np.eye(D)
        data[STEP - 1].x[1, 4, 2] = 7

    train(folder, net, data, do)


def one_slot(kind: str, folder: Path) -> None:
    def do(trainer: Any) -> None:
        trainer.optimizer.state[f"{NETS[kind]}.Wh"]["m"][3, 7] = np.nan

    train(folder, net_of(kind, minidl.LSTM(H)), batches(), do, None, minidl.AdamW(1e-3))


def one_slot_that_overflows(kind: str, folder: Path) -> None:
    """The square of a gradient of 1e25; of the parameters that are trained, only one column has any."""
    data = batches()
    for k, batch in enumerate(data):
        batch.t[...] = 1e25 if k == STEP - 1 else 1.0
    net = net_of(kind, minidl.LSTM(H))
    net.freeze()
    net.unfreeze(f"{NETS[kind]}.Wh")

    def do(trainer: Any) -> None:
        layer = trainer.net[NETS[kind]]
        layer.Wx.value[...] = layer.Wh.value[...] = 0
        layer.b.value[: 3 * H] = -100  # all gates shut
        layer.b.value[[1, 2 * H + 1, 3 * H + 1]] = 0, 0, 1  # but for i, o and g of unit 1

    train(folder, net, data, do, Push(), minidl.Adam(1e-3))


CASES = {
    "one weight": (one_weight, "N701", {"parameter": "LSTM.Wx", "entry": [2, H + 3]}),
    "one input row": (one_input_row, "N701", {"quantity": "x", "row": 1, "step": 2, "unit": 3}),
    **{
        f"gate {name}": (
            lambda kind, folder, k=k: one_gate(kind, folder, k),
            "N701",
            {"layer": "LSTM", "quantity": name, "row": 2, "step": 1, "unit": 4},
        )
        for k, name in enumerate("ifog")
    },
    "backward": (
        one_gate_on_the_way_back,
        "N702",
        {"layer": "LSTM", "quantity": "dz_f", "row": 2, "step": 1, "unit": 4},
    ),
    "backward of one's own": (
        a_layer_of_ones_own_on_the_way_back,
        "N702",
        {"layer": "cell", "quantity": "dx", "row": 1, "step": 4, "unit": 2},
    ),
    "slot": (one_slot, "N703", {"parameter": "LSTM.Wh", "slot": "m", "entry": [3, 7]}),
    "slot in the update": (one_slot_that_overflows, "N703", {"parameter": "LSTM.Wh", "slot": "v", "entry": [1, 1]}),
}

PROGRAM = """
import json, sys
from minidl.doctor import reproduce
from tests.integration.test_replay import Flawed, Push
for folder in sys.argv[1:]:
    with open(folder + "/report.txt") as file:
        loss = Push() if "Push" in file.read() else None
    box, examined = reproduce(folder, loss, classes=[Flawed])
    found = examined.finding
    place = {name: value for name, value in found.place._asdict().items() if value is not None}
    print(json.dumps([found.code, place, examined.same, [step.number for step in box.steps], examined.notes]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETS)
def test_the_very_place_in_a_new_process(kind: str, tmp_path: Path) -> None:
    folders = {name: tmp_path / name.replace(" ", "-").replace("'", "") for name in CASES}
    for name, (trains, _, _) in CASES.items():
        trains(kind, folders[name])
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *map(str, folders.values())]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert out.returncode == 0, out.stderr
    told = dict(zip(CASES, map(json.loads, out.stdout.splitlines()), strict=True))
    for name, (_, code, place) in CASES.items():
        expected = {
            key: value.replace("LSTM", NETS[kind]) if isinstance(value, str) else value for key, value in place.items()
        }
        assert told[name] == [code, expected, True, [STEP], []], name
