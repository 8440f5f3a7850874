"""Ctrl-C and SIGTERM at any moment of a training that checkpoints are written of: what goes on is the same training."""

import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import Trainer
from tests.parameters import every, fraction, slow
from tests.unit.test_checkpoint import assert_same, data, names, training


def signalled_at(step, *numbers):
    class Press(minidl.Callback):
        def on_step_end(self, trainer):
            for number in numbers if trainer.step == step else ():
                signal.raise_signal(number)

    return Press()


def test_ctrl_c_leaves_a_checkpoint_and_no_row(tmp_path):
    trainer = training(tmp_path / "a", [signalled_at(3, signal.SIGINT)], every=1000)
    history = trainer.fit(data(), epochs=2, validation=data())
    assert history.reason == f"interrupted by Ctrl-C; to go on from step 3: fit(resume=True) with {tmp_path / 'a'}"
    assert len(history) == 0 and trainer.step == 3 and names(tmp_path / "a") == ["checkpoint-000000003.npz"]
    rest, whole = training(tmp_path / "a"), training(tmp_path / "b")
    rest.fit(data(), epochs=2, validation=data(), resume=True)
    whole.fit(data(), epochs=2, validation=data())
    assert_same(rest, whole)


class PressAt(minidl.Callback):
    """Ctrl-C at some call of a hook."""

    def __init__(self, hook, call):
        self.left = call
        setattr(self, hook, self.press)

    def press(self, trainer):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


HOOKS = ["on_fit_start", "on_epoch_start", "on_grads_ready", "on_step_end", "on_epoch_end"]


@pytest.mark.parametrize(("hook", "call"), fraction(HOOKS, [1, 2, 3]))
def test_ctrl_c_at_any_moment_loses_nothing(hook, call, tmp_path):
    """Again and again, in the training that goes on as well."""

    def callbacks():
        return [minidl.ClipNorm(0.1), Script("score", 0), minidl.EarlyStopping(1, "score", higher_is_better=False)]

    whole = training(tmp_path / "b", callbacks())
    whole.fit(data(), epochs=3, validation=data())
    for _ in range(5):
        part = training(tmp_path / "a", [*callbacks(), PressAt(hook, call)], every=1000)
        history = part.fit(data(), epochs=3, validation=data(), resume=True)
    assert history.reason.startswith(("interrupted by Ctrl-C", "no improvement"))
    rest = training(tmp_path / "a", callbacks(), every=1000)
    rest.fit(data(), epochs=3, validation=data(), resume=True)
    assert_same(rest, whole)
    assert rest.stop_reason == whole.stop_reason == "no improvement for 1 epoch, the best was epoch 1"


class Script(minidl.Callback):
    """A figure that is always the same."""

    def __init__(self, figure, value):
        self.figure, self.value, self.writes = figure, value, (figure,)

    def on_epoch_end(self, trainer):
        trainer.row[self.figure] = self.value


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_in_the_validation_leaves_a_checkpoint(presses, tmp_path):
    class Pressing:
        """Validation data that takes its time."""

        def __iter__(self):
            for k, batch in enumerate(data()):
                if k == 2:
                    for _ in range(presses if press else 0):
                        signal.raise_signal(signal.SIGINT)
                yield batch

    press = False
    whole = training(tmp_path / "b")
    whole.fit(data(), epochs=2, validation=Pressing())
    press = True
    part = training(tmp_path / "a", every=1000)
    part.fit(data(), epochs=2, validation=Pressing())
    assert part.step == 5 and len(part.history) == 0 and "to go on from step 5" in part.history.reason
    press = False
    rest = training(tmp_path / "a")
    rest.fit(data(), epochs=2, validation=Pressing(), resume=True)
    assert_same(rest, whole)


ENDING = [names for names in (["SIGTERM"], ["SIGHUP"], ["SIGHUP", "SIGHUP"]) if hasattr(signal, names[0])]


@pytest.mark.parametrize("signals", every(2, ENDING), ids="+".join)
def test_sigterm_and_sighup_leave_a_checkpoint_and_end_the_program(signals, tmp_path):
    code = f"""
import sys; sys.path.insert(0, {os.getcwd()!r})
from tests.unit.test_interruptions import *
from pathlib import Path
signalling = signalled_at(3, *map(signal.Signals.__getitem__, {signals}))
training(Path({str(tmp_path)!r}), [signalling], every=1000).fit(data())
print("not reached")
"""
    # a run of the tests under nohup hands SIGHUP down as ignored
    code = f"import signal; signal.signal(signal.{signals[0]}, signal.SIG_DFL)\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (-getattr(signal, signals[0]), ""), done.stderr
    assert names(tmp_path) == ["checkpoint-000000003.npz"]


@pytest.mark.parametrize(("signals", "code"), [
    (("SIGTERM", "SIGINT"), -signal.SIGTERM), slow(("SIGINT", "SIGTERM"), -signal.SIGTERM), slow(("SIGINT",), 0),
])  # fmt: skip
def test_ctrl_c_does_not_take_back_a_sigterm(signals, code, tmp_path):
    program = f"""
import sys; sys.path.insert(0, {os.getcwd()!r})
from tests.unit.test_interruptions import *
from pathlib import Path
trainer = training(Path({str(tmp_path)!r}), [signalled_at(3, *map(signal.Signals.__getitem__, {signals}))], every=1000)
trainer.fit(data())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert names(tmp_path) == ["checkpoint-000000003.npz"]


def test_without_checkpoints_sigterm_is_not_touched():
    seen = []

    class See(minidl.Callback):
        def on_step_end(self, trainer):
            seen.append(signal.getsignal(signal.SIGTERM))

    Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[See()], quiet=True).fit(np.ones((2, 2)), np.ones(2))
    assert seen == [signal.getsignal(signal.SIGTERM)]


CALLBACKS = [
    lambda: [minidl.ClipNorm(0.1)],
    lambda: [minidl.ClipNorm(0.1), minidl.EarlyStopping(2)],
    lambda: [minidl.AdaptiveClip(80), minidl.ReduceLROnPlateau(patience=1)],
    lambda: [minidl.EarlyStopping(1, "loss", min_delta=0.05), minidl.ClipValue(0.1)],
]


@pytest.mark.parametrize("seed", every(5, range(12)))
def test_ctrl_c_at_any_line_of_minidl_loses_nothing(seed, tmp_path):
    """Six times each, at lines that chance takes."""
    rng = random.Random(seed)
    length = {"epochs": 4} if seed % 2 else {"epochs": 4, "steps": 13}
    options = {"every": rng.choice([1, 2, 7, 1000]), "best": "loss" if seed % 3 == 0 else None}
    validation = data() if seed % 4 < 2 else None

    def run(folder, press_at=0):
        trainer, left = training(tmp_path / folder, CALLBACKS[seed % 4](), **options), press_at

        def trace(frame, event, _):
            nonlocal left
            if f"{os.sep}minidl{os.sep}" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left == 0 and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
                    signal.raise_signal(signal.SIGINT)
            return trace

        debugger = sys.gettrace()
        sys.settrace(trace if press_at else debugger)
        try:
            trainer.fit(data(), validation=validation, resume=True, **length)
        finally:
            sys.settrace(debugger)
        return trainer

    for _ in range(6):
        run("broken", rng.randrange(1, 2500))
    whole, rest = run("whole"), run("broken")
    assert_same(rest, whole)
    assert rest.stop_reason == whole.stop_reason
