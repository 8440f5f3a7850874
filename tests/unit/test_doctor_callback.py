"""`Doctor` beside a training: after its end, after NaN, Ctrl-C and errors; its report, and its memory."""

import gc
import math
import signal
import tracemalloc

import numpy as np
import pytest
from rich.cells import cell_len

import minidl
from minidl import LSTM, SGD, Adam, Batch, Callback, ClipNorm, Dense, Diagnosis, Doctor, Sequential, Trainer
from minidl import MeanSquaredError as MSE

RNG = np.random.default_rng(6)
X = RNG.standard_normal((64, 3))
T = X.sum(axis=1)
HIGH = 3.0  # a rate of SGD at which the loss of X and T climbs


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Black boxes go there; the console is 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def fitted(doctor, *more, lr=0.05, rule=None, x=X, t=T, loss=None, trainer=None, quiet=True, **fit):
    trainer = trainer or Trainer(Dense(1), loss or MSE(), rule or SGD(lr), [doctor, *more], quiet=quiet)
    with np.errstate(all="ignore"):
        trainer.fit(x, t, **({"epochs": 15, "batch_size": 16} | fit))
    return trainer


class At(Callback):
    """Do something after an update."""

    def __init__(self, step, do):
        self.step, self.do = step, do

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            self.do(trainer)


# -- after a training -----------------------------------------------------------------------------


def test_a_healthy_training_has_a_diagnosis_and_no_report(folder):
    doctor = Doctor()
    assert doctor.diagnosis is None
    trainer = fitted(doctor)
    assert isinstance(doctor.diagnosis, Diagnosis) and doctor.diagnosis.findings == []
    assert doctor.diagnosis.facts == {"watched": "60 updates with SGD, rate 0.05"}
    assert len(doctor.diagnosis.curves["loss"]) == 60
    assert trainer.history.notes == [] and not [*folder.iterdir()]


def test_a_loss_that_climbs_is_found_with_a_rate(folder):
    doctor = Doctor()
    trainer = fitted(doctor, lr=HIGH, epochs=3)
    assert doctor.diagnosis.codes[0] == "L503" and not doctor.diagnosis.ok
    assert doctor.diagnosis.findings[0].where == "SGD, rate 3"
    (note,) = trainer.history.notes
    assert note.startswith("the doctor's report\n\n") and "L503" in note
    rate = float(doctor.diagnosis.findings[0].remedy.split("lr=")[1].split(",")[0])
    again = Doctor()
    fitted(again, lr=rate, epochs=3)
    assert again.diagnosis.ok


def test_quiet_leaves_no_note():
    doctor = Doctor(quiet=True)
    assert fitted(doctor, lr=HIGH, epochs=3).history.notes == [] and doctor.diagnosis.codes[0] == "L503"


@pytest.mark.parametrize("rule", [lambda: SGD(HIGH, momentum=0.9), lambda: Adam(1e6)])
def test_the_range_test_begins_with_the_optimizer_as_it_began(rule):
    """What it remembers at the end of a climb would make every rate unstable, or none."""
    doctor, fresh = Doctor(quiet=True), Doctor(quiet=True)
    fitted(doctor, rule=rule(), epochs=15)
    fitted(fresh, rule=rule(), epochs=1, steps=3)
    (climb,) = (f for f in doctor.diagnosis.findings if f.code == "L503" and "range test" in f.evidence)
    assert "is stable at" in climb.evidence
    rate = float(climb.remedy.split("lr=")[1].split(",")[0])
    again, copy = Doctor(quiet=True), rule()
    copy.lr = rate
    fitted(again, rule=copy, epochs=10)
    assert "L503" not in again.diagnosis.codes


def test_what_is_wrong_with_the_data():
    x = np.full((32, 2, 3), 7.0) + np.arange(3)
    doctor = Doctor(quiet=True)
    net = Sequential([LSTM(3), Dense(1)])
    with np.errstate(all="ignore"):
        Trainer(net, MSE(), SGD(0.01), [doctor], quiet=True).fit(x * 1e4, np.ones((32, 1)), epochs=2)
    assert any(code.startswith("D4") for code in doctor.diagnosis.codes)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_windows_go_on_where_several_make_one_update(accumulate):
    """Of the windows between them none is left out, or their rows would not seem to continue."""
    ids = np.random.default_rng(0).integers(0, 9, 2_000)
    net = Sequential([minidl.Embedding(9, 4), LSTM(4, return_sequences=True), Dense(9)])
    doctor = Doctor(quiet=True)
    trainer = Trainer(net, minidl.SoftmaxCrossEntropy(), Adam(1e-3), [doctor], accumulate=accumulate, quiet=True)
    trainer.fit(minidl.TextStream(ids, 8, 10))
    assert "D404" not in doctor.diagnosis.codes


def test_a_row_is_found_in_the_batch_where_it_is_though_several_make_one_update():
    x = X.copy()
    x[16 + 3, 1] = np.nan  # of the second of four
    doctor = Doctor(quiet=True)
    fitted(doctor, trainer=Trainer(Dense(1), MSE(), SGD(0.01), [doctor], accumulate=2, quiet=True), x=x, shuffle=False)
    assert doctor.diagnosis.findings[0].where == "x, batch 1, row 3, feature 1"


def test_it_reports_where_a_training_goes_on_in_a_later_epoch(folder):
    def run(epochs, *more, resume=False):
        doctor = Doctor(quiet=True)
        fitted(doctor, *more, minidl.Checkpoint(folder / "run"), epochs=epochs, resume=resume)
        return doctor.diagnosis

    assert run(2).ok
    spoil = At(10, lambda trainer: trainer.params["W"].value.fill(np.nan))
    assert run(4, spoil, resume=True).codes == ["N701"]


def test_a_call_of_fit_after_one_that_went_wrong_is_told_of_alone():
    doctor, t = Doctor(quiet=True), T.copy()
    t[20] = np.nan
    trainer = fitted(doctor, t=t)
    assert doctor.diagnosis.codes[0] == "D403"
    fitted(doctor, trainer=trainer)
    assert doctor.diagnosis.findings == []
    assert doctor.diagnosis.facts == {"watched": "60 updates with SGD, rate 0.05"}


def test_a_net_that_is_frozen():
    net, doctor = Dense(1), Doctor(quiet=True)
    net.build((3,))
    for p in net.params.values():
        p.trainable = False
    fitted(doctor, trainer=Trainer(net, MSE(), SGD(0.01), [doctor], quiet=True))
    assert doctor.diagnosis.codes == ["T606"] and "nothing to be trained" in doctor.diagnosis.findings[0].title


def test_gradients_do_not_reach_a_parameter():
    class Loses(minidl.Layer):
        def forward(self, x, *, rng=None):
            return x, None

        def backward(self, dy, cache):
            return np.zeros_like(dy)

    doctor = Doctor(quiet=True)
    trainer = Trainer(Sequential([Dense(4), Loses(), Dense(1)]), MSE(), SGD(0.01), [doctor], quiet=True)
    trainer.fit(X, T, epochs=15, batch_size=16)
    (finding,) = [f for f in doctor.diagnosis.findings if f.code == "T606"]
    assert finding.where == "'dense.W', 'dense.b'"


def test_clipping_that_stands_behind_it():
    doctor = Doctor(quiet=True)
    fitted(doctor, ClipNorm(1e-3))
    assert "T605" in doctor.diagnosis.codes


def test_overfitting_of_the_epochs():
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((24, 12)), rng.standard_normal(24)
    doctor = Doctor(quiet=True)
    net = Sequential([Dense(64), minidl.Tanh(), Dense(1)])
    trainer = Trainer(net, MSE(), Adam(3e-3), [doctor], quiet=True)
    history = trainer.fit(x[:16], t[:16], epochs=60, validation=(x[16:], t[16:]))
    assert history["valid_loss"][-1] > 1.2 * min(history["valid_loss"])
    assert "T607" in doctor.diagnosis.codes


# -- what is not finite ---------------------------------------------------------------------------


def test_nan_in_the_data_ends_it_with_a_black_box(folder):
    t = T.copy()
    t[5] = np.nan
    doctor = Doctor()
    trainer = fitted(doctor, t=t)
    assert trainer.step < 4 and trainer.history.reason.startswith("step ")
    assert {"N702", "D403"} <= {*doctor.diagnosis.codes} and not doctor.diagnosis.ok
    assert sorted(p.name for p in (folder / "black-box").iterdir()) == ["norms.csv", "report.txt", "step.npz"]
    assert "minidl doctor --replay black-box" in doctor.diagnosis.facts["stopped"]
    assert "N702" in trainer.history.notes[0]


def test_nan_in_a_parameter(folder):
    def spoil(trainer):
        trainer.params["W"].value[1, 0] = np.nan

    doctor = Doctor(folder / "box")
    trainer = fitted(doctor, At(7, spoil))
    assert trainer.step in (7, 8) and doctor.diagnosis.codes[0].startswith("N70")
    assert (folder / "box" / "step.npz").exists() and np.isnan(trainer.params["W"].value).any()
    assert minidl.doctor.replay(folder / "box").code == doctor.diagnosis.codes[0]


def test_a_training_that_diverges_to_infinity(folder):
    doctor = Doctor()
    trainer = fitted(doctor, lr=1e5, epochs=30)
    assert trainer.step < 100 and "L503" in doctor.diagnosis.codes
    assert all(map(math.isfinite, doctor.diagnosis.curves["loss"]))


def test_a_rate_so_high_that_the_loss_has_no_time_to_climb():
    class Exp(minidl.Layer):
        def forward(self, x, *, rng=None):
            y = np.exp(x)
            return y, y

        def backward(self, dy, y):
            return dy * y

    doctor = Doctor(quiet=True)
    with np.errstate(all="ignore"):
        trainer = Trainer(Sequential([Dense(1), Exp()]), MSE(), SGD(3e3), [doctor], quiet=True)
        trainer.fit(X, 3 + np.exp(T), epochs=5, batch_size=16)
    assert trainer.step < 3 and doctor.diagnosis.codes[0] == "L503" and "N701" in doctor.diagnosis.codes
    assert "a number is not finite" in doctor.diagnosis.findings[0].evidence
    assert float(doctor.diagnosis.findings[0].remedy.split("lr=")[1].split(",")[0]) < 30


# -- Ctrl-C and errors ----------------------------------------------------------------------------


def test_ctrl_c_has_its_diagnosis_without_a_range_test():
    doctor = Doctor(quiet=True)
    trainer = fitted(doctor, At(30, lambda trainer: signal.raise_signal(signal.SIGINT)))
    assert trainer.step == 30 and trainer.interrupted
    assert doctor.diagnosis.findings == [] and doctor.diagnosis.facts["watched"].startswith("30 updates")


def test_who_pressed_ctrl_c_because_the_loss_climbs_is_told_so():
    doctor = Doctor(quiet=True)
    trainer = fitted(doctor, At(12, lambda trainer: signal.raise_signal(signal.SIGINT)), lr=1.2)
    assert trainer.step == 12
    (climb,) = [f for f in doctor.diagnosis.findings if f.code == "L503"]
    assert "the loss leaps" in climb.evidence or "climb" in climb.evidence or "up to" in climb.evidence
    assert "range test" not in climb.evidence


def test_an_error_of_another_callback_comes_through():
    def fail(trainer):
        raise RuntimeError("of another")

    doctor = Doctor()
    with pytest.raises(RuntimeError, match=r"^of another$"):
        fitted(doctor, At(5, fail))
    assert doctor.diagnosis is None


def test_an_error_of_the_loss_comes_through():
    doctor = Doctor()
    with pytest.raises(minidl.ShapeError):
        fitted(doctor, t=np.zeros((64, 2)))
    assert doctor.diagnosis is None


def test_after_an_error_there_is_no_diagnosis_of_the_call_before():
    doctor, fails = Doctor(quiet=True), At(-1, lambda trainer: 1 / 0)
    trainer = fitted(doctor, fails, epochs=1)
    assert doctor.diagnosis is not None
    fails.step = trainer.step + 2
    with pytest.raises(ZeroDivisionError):
        fitted(doctor, trainer=trainer)
    assert doctor.diagnosis is None


def test_a_training_within_an_except_clause_has_its_diagnosis():
    doctor = Doctor(quiet=True)
    try:
        raise ValueError("the first attempt")
    except ValueError:
        fitted(doctor, lr=HIGH, epochs=3)
    assert doctor.diagnosis.codes[0] == "L503"


def test_a_training_that_ends_before_its_first_update():
    class Ends(Callback):
        def on_fit_start(self, trainer):
            trainer.stop("at once")

    doctor = Doctor()
    fitted(doctor, Ends())
    assert doctor.diagnosis is None or doctor.diagnosis.findings == []


# -- calls of fit ---------------------------------------------------------------------------------


def test_two_calls_of_fit_are_one_run():
    doctor = Doctor()
    trainer = fitted(doctor, epochs=2)
    first = doctor.diagnosis
    fitted(doctor, trainer=trainer, epochs=3)
    assert doctor.diagnosis is not first
    assert first.facts["watched"].startswith("8 updates") and doctor.diagnosis.facts["watched"].startswith("20 updates")


def test_another_trainer_begins_anew():
    doctor = Doctor(quiet=True)
    fitted(doctor, lr=HIGH, epochs=3)
    assert doctor.diagnosis.codes
    fitted(doctor)
    assert doctor.diagnosis.findings == [] and doctor.diagnosis.facts["watched"] == "60 updates with SGD, rate 0.05"


def test_data_in_one_buffer():
    """The batches that are looked at in the end are those that were trained on."""
    buffer = Batch(np.empty((16, 3), np.float32), np.empty(16, np.float32))

    class Data:
        def __iter__(self):
            for k in range(0, 64, 16):
                buffer.x[...], buffer.t[...] = X[k : k + 16], T[k : k + 16]
                yield buffer

    doctor = Doctor(quiet=True)
    Trainer(Dense(1), MSE(), SGD(0.05), [doctor], quiet=True).fit(
        Data(), epochs=1, validation=[Batch(X[:4] + 9, T[:4])]
    )
    assert doctor.diagnosis.ok
    assert len({b.x.tobytes() for b in doctor.course.batches}) == 4


def test_several_outputs_with_a_loss_of_its_own():
    class Both(minidl.Loss):
        def positions(self, y, t):
            raise NotImplementedError

        def __call__(self, y, t, weight=None, mask=None):
            parts = [MSE()(a, b) for a, b in zip(y, t, strict=True)]
            return sum(p[0] for p in parts), tuple(p[1] for p in parts), float(len(y[0]))

    net = minidl.Graph(inputs="x", outputs=("a", "b"))
    net.add("lstm", LSTM(4), "x")
    net.add("a", Dense(1), "lstm")
    net.add("b", Dense(2), "lstm")
    x = RNG.standard_normal((8, 5, 3))
    doctor = Doctor(quiet=True)
    Trainer(net, Both(), Adam(1e-2), [doctor], quiet=True).fit([Batch(x, (x[:, 0, :1], x[:, 0, :2]))], epochs=25)
    assert doctor.diagnosis.ok


# -- the report -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "code"), [(HIGH, "L503"), (1e30, "N702")])
def test_the_report_in_a_pipe_is_eighty_columns_wide(lr, code, capsys):
    doctor = Doctor()
    trainer = fitted(doctor, lr=lr, epochs=3, quiet=False)
    out = capsys.readouterr().out
    assert "the doctor's report" in out and code in out and "\x1b" not in out
    report = out[out.index("the doctor's report") :].splitlines()
    assert len(report) > 8 and max(map(cell_len, trainer.history.notes[0].splitlines())) <= 80
    assert max(cell_len(line) for line in report[: len(trainer.history.notes[0].splitlines())]) <= 80
    assert out.count("the doctor's report") == 1


def test_no_report_of_a_healthy_training_in_a_pipe(capsys):
    fitted(Doctor(), quiet=False)
    assert "doctor" not in capsys.readouterr().out


# -- memory ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow():
    sizes = []

    class Measure(Callback):
        def on_step_end(self, trainer):
            if trainer.step in (100, 400):
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])

    x = RNG.standard_normal((16, 4, 30))
    data = [Batch(x + k, np.zeros((16, 1))) for k in range(3)] * 134  # one epoch: its row grows with their number
    net = Sequential([LSTM(16), Dense(1)])
    tracemalloc.start()
    try:
        Trainer(net, MSE(), Adam(1e-4), [Doctor(quiet=True), Measure()], quiet=True).fit(data)
    finally:
        tracemalloc.stop()
    assert sizes[1] - sizes[0] < 40_000  # one batch has 15,000 bytes, a copy of the parameters 13,000


# -- a loss that climbs because of the data -------------------------------------------------------


def harder(scale, size=1.0):
    """Batches whose targets grow: what a net that learns nothing has a higher loss on."""
    x = size * np.random.default_rng(3).standard_normal((len(scale), 16, 3))
    noise = np.random.default_rng(4).standard_normal((len(scale), 16))
    return [Batch(a, s * n) for a, s, n in zip(x, scale, noise, strict=True)]


@pytest.mark.parametrize("scale", [np.linspace(0.1, 2, 300), np.r_[np.zeros(200), np.ones(200)]])
def test_batches_that_become_harder_accuse_no_rate(scale):
    doctor = Doctor(quiet=True)
    fitted(doctor, x=harder(scale, 0.05), t=None, lr=0.01, epochs=1, batch_size=None, shuffle=False)
    assert "L503" not in doctor.diagnosis.codes, doctor.diagnosis


def test_a_batch_that_is_hard_accuses_no_rate():
    scale = np.ones(300)
    scale[150:158] = 30
    doctor = Doctor(quiet=True)
    fitted(doctor, x=harder(scale), t=None, lr=1e-4, epochs=1, batch_size=None, shuffle=False)
    assert "L503" not in doctor.diagnosis.codes, doctor.diagnosis


@pytest.mark.parametrize("scale", [np.ones(300), np.linspace(0.1, 2, 300)])
def test_a_rate_that_is_too_high_is_found_whatever_the_data_do(scale):
    doctor = Doctor(quiet=True)
    fitted(doctor, x=harder(scale), t=None, lr=1.3, epochs=1, batch_size=None, shuffle=False)
    assert "L503" in doctor.diagnosis.codes


def test_a_loss_that_falls_and_climbs_again_is_found():
    doctor, noise = Doctor(quiet=True), np.random.default_rng(5).standard_normal(64)
    louder = At(200, lambda trainer: setattr(trainer.optimizer, "lr_scale", 55.0))
    fitted(doctor, louder, lr=0.01, t=T + noise, batch_size=4, epochs=20)
    assert "L503" in doctor.diagnosis.codes, doctor.diagnosis
