"""`Curve`, `Motion` and `Course`: figures of a run against plain lists, and a training that does not notice them."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minidl
from minidl.doctor.course import RECENT, Course
from minidl.doctor.curves import POINTS, Curve
from minidl.doctor.motion import DENSE, EVERY, Motion
from minidl.parameter import Parameter

RNG = np.random.default_rng(0)


# -- Curve ----------------------------------------------------------------------------------------


def curve_of(values):
    curve = Curve()
    for value in values:
        curve.add(value)
    return curve


@given(st.integers(1, 5000), st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_a_curve_is_the_means_of_stretches(count, seed, lost):
    rng = np.random.default_rng(seed)
    values = rng.normal(3.0, 2.0, count)
    values[rng.random(count) < lost] = rng.choice([math.nan, math.inf, -math.inf])
    curve, kept = curve_of(values.tolist()), values[np.isfinite(values)]
    assert curve.count == len(kept) and len(curve.values) <= POINTS
    if not len(kept):
        return
    width = 1
    while -(-len(kept) // width) > POINTS or len(kept) // width >= POINTS:
        width *= 2
    means = [kept[k : k + width].mean() for k in range(0, len(kept), width)]
    np.testing.assert_allclose(curve.values, means, rtol=1e-9, atol=1e-9)
    assert curve.first == pytest.approx(kept[:5].mean()) and curve.highest == kept.max()
    eighth = max(1, len(means) // 8)
    assert curve.last == pytest.approx(np.mean(means[-eighth:]))
    assert curve.best == pytest.approx(min(np.mean(means[k : k + eighth]) for k in range(len(means) - eighth + 1)))


def test_a_curve_of_nothing():
    for curve in Curve(), curve_of([math.nan, math.inf]):
        assert curve.values == [] and curve.count == 0
        assert math.isnan(curve.first) and math.isnan(curve.last) and math.isnan(curve.best)
        assert curve.highest == -math.inf


def test_a_curve_does_not_grow():
    curve, most = Curve(), 0
    for k in range(20_000):
        curve.add(k)
        most = max(most, len(curve.values))
    assert most <= POINTS and len(curve.values) >= POINTS // 2


# -- Motion ---------------------------------------------------------------------------------------


def params_of(**values):
    return {name: Parameter(np.array(value, np.float64)) for name, value in values.items()}


def test_motion_by_hand():
    """Three updates of W by -0.1 times its gradient; b stands still under a gradient, E has none."""
    params, motion = params_of(W=[[3.0, 4.0]], b=[1.0, 1.0], E=[[2.0]]), Motion()
    grads = [3.0, 0.0], [3.0, 3.0], [0.0, -1.0]
    cosines, ratios = [], []
    for k, grad in enumerate(grads):
        params["W"].grad[...] = grad
        params["b"].grad[...] = 1.0
        motion.before(params)
        size = np.linalg.norm(params["W"].value)
        params["W"].value -= 0.1 * params["W"].grad
        motion.after(params)
        ratios.append(0.1 * np.linalg.norm(grad) / size)
        if k:
            cosines.append(np.dot(grads[k - 1], grad) / np.linalg.norm(grads[k - 1]) / np.linalg.norm(grad))
    assert motion.samples == 3
    assert motion.ratios["W"].values == pytest.approx(ratios)
    assert motion.turns["W"].values == pytest.approx(cosines) == [math.sqrt(0.5), -math.sqrt(0.5)]
    assert motion.turns["b"].values == pytest.approx([1.0, 1.0]) and motion.turns["E"].values == []
    assert motion.still == {"W": 0, "b": 3, "E": 3} and motion.silent == {"W": 0, "b": 0, "E": 3}
    assert motion.ratios["b"].values == [0.0] * 3


def test_motion_of_one_still_sample_among_others():
    params, motion = params_of(W=[1.0]), Motion()
    for grad in 1.0, 0.0, 1.0:
        params["W"].grad[...] = grad
        motion.before(params)
        params["W"].value -= 0.25 * grad
        motion.after(params)
    assert motion.still == motion.silent == {"W": 1}
    assert motion.turns["W"].values == []  # of a gradient of 0 there is no direction


def test_motion_of_a_parameter_that_is_zero_and_of_gradients_that_are_not_finite():
    params, motion = params_of(W=[0.0, 0.0]), Motion()
    for grad in 1.0, math.inf, math.nan, 1.0:
        params["W"].grad[...] = grad
        with np.errstate(all="raise"):
            motion.before(params)
            motion.after(params)
    assert motion.ratios["W"].values == [] and motion.turns["W"].values == []


def test_frozen_parameters_are_left_out():
    params, motion = params_of(W=[1.0], b=[1.0]), Motion()
    params["b"].trainable = False
    motion.before(params)
    motion.after(params)
    assert [*motion.ratios] == [*motion.still] == [*motion.values] == ["W"]


def test_motion_samples_the_first_steps_and_few_of_the_others():
    wanted = [step for step in range(4 * EVERY) if Motion().wants(step)]
    assert wanted == [*range(DENSE), *range(EVERY, 4 * EVERY, EVERY)]


# -- Course ---------------------------------------------------------------------------------------


class Probe(minidl.Callback):
    """Notes what a course is to know, with plain lists."""

    def __init__(self):
        self.losses, self.norms, self.rates, self.batches = [], [], [], []

    def on_grads_ready(self, trainer):
        self.norms.append(math.sqrt(sum(float((p.grad.astype(float) ** 2).sum()) for p in trainer.params.values())))
        self.rates.append(trainer.optimizer.rate)
        self.batches += trainer.group

    def on_step_end(self, trainer):
        self.losses.append(statistics.fmean(trainer.values))


def dense_run(*callbacks, lr=0.02, **options):
    x = RNG.standard_normal((64, 3))
    trainer = minidl.Trainer(
        minidl.Dense(1), minidl.MeanSquaredError(), minidl.SGD(lr), callbacks, quiet=True, **options
    )
    trainer.fit(x, x.sum(axis=1), epochs=8, batch_size=4)
    return trainer


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_course_knows_the_run(accumulate):
    probe, course = Probe(), Course()
    dense_run(probe, course, accumulate=accumulate, lr=lambda step: 0.02 / (1 + abs(step - 10)))
    updates = len(probe.losses)
    assert course.updates == updates > 40 and course.losses.count == updates
    assert course.losses.values == pytest.approx(curve_of(probe.losses).values)
    assert course.lengths.values == pytest.approx(curve_of(probe.norms).values)
    assert course.recent_norms == pytest.approx(probe.norms[-RECENT:])
    assert course.rate == probe.rates[-1] and course.highest_rate == max(probe.rates) == 0.02
    kept = min(len(course.batches), len(probe.batches) // 8)  # of one epoch
    for ours, theirs in zip(course.batches, probe.batches[:kept], strict=True):
        assert (ours.x == theirs.x).all() and (ours.t == theirs.t).all()
        assert not np.shares_memory(ours.x, theirs.x)  # data may be made in one buffer again and again
    assert course.motion.samples == sum(course.motion.wants(k) for k in range(updates)) < updates
    assert course.fired == 0


def test_a_course_has_the_norms_before_clipping_and_counts_what_was_clipped():
    probe, course = Probe(), Course()
    dense_run(probe, minidl.ClipNorm(0.5), course)
    assert course.recent_norms == pytest.approx(probe.norms[-RECENT:], rel=1e-5)
    assert course.fired == sum(norm > 0.5 for norm in probe.norms) > 0
    assert course.updates > course.fired


def test_a_course_of_gradients_that_are_not_finite():
    course = Course()
    x = np.array([[np.nan], [1.0]])
    trainer = minidl.Trainer(minidl.Dense(1), minidl.MeanSquaredError(), callbacks=[course], quiet=True)
    with np.errstate(all="ignore"):
        trainer.fit(x, x, epochs=2)
    assert course.updates == 2 and course.recent_norms == [math.inf] * 2 and course.losses.count == 0


# -- the training does not notice -----------------------------------------------------------------


def streamed(*callbacks):
    """Embedding, dropout, LSTM; Adam, clipping, two batches an update, state that is carried."""
    ids = np.random.default_rng(3).integers(0, 7, 600)
    layers = minidl.Embedding(7, 5), minidl.Dropout(0.2), minidl.LSTM(6, return_sequences=True), minidl.Dense(7)
    net = minidl.Sequential([*layers])
    trainer = minidl.Trainer(
        net,
        minidl.SoftmaxCrossEntropy(),
        minidl.Adam(0.01),
        [*callbacks, minidl.ClipNorm(0.3)],
        accumulate=2,
        seed=4,
        quiet=True,
    )
    stream = minidl.TextStream(ids, 3, 8)
    trainer.fit(stream, epochs=2, validation=stream)
    trainer.fit(stream, steps=9)
    return trainer


@pytest.mark.parametrize("watching", [Course, lambda: minidl.Doctor(quiet=True)], ids=["Course", "Doctor"])
def test_a_training_has_the_same_bits_with_it(watching, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain, watched = streamed(), streamed(watching())
    assert watched.step == plain.step > 20 and [*watched.params] == [*plain.params]
    for name, p in plain.params.items():
        assert p.value.tobytes() == watched.params[name].value.tobytes(), name
        assert p.grad.tobytes() == watched.params[name].grad.tobytes(), name
        for slot, a in plain.optimizer.state[name].items():
            assert a.tobytes() == watched.optimizer.state[name][slot].tobytes(), (name, slot)
    figures = [{k: v for k, v in row.items() if "second" not in k} for row in plain.history.rows]
    assert figures == [{k: v for k, v in row.items() if "second" not in k} for row in watched.history.rows]
    ours, theirs = plain.state, watched.state
    assert ours["lstm"].c.tobytes() == theirs["lstm"].c.tobytes()
    assert not [*tmp_path.iterdir()]
