"""The trials: by heart, on a small part of a batch; the largest rate that is stable; targets that nobody looks at."""

import copy

import numpy as np
import pytest

import minidl
from minidl import LSTM, SGD, Adam, Batch, ClipNorm, Dense, Embedding, Graph, MeanSquaredError, Sequential
from minidl import SoftmaxCrossEntropy as SCE
from minidl.doctor.climbing import beginning_of
from minidl.doctor.constant import best_constant
from minidl.doctor.trials import (
    ROWS,
    STEPS,
    UPDATES,
    by_heart,
    ignores_targets,
    largest_stable_rate,
    smaller,
    trial,
)

RNG = np.random.default_rng(2)
MSE = MeanSquaredError()


def language_net(V=6, H=12, every_step=True, seed=0):
    net = Sequential([Embedding(V, 6), LSTM(H, return_sequences=every_step), Dense(V)])
    net.build((None,), seed=seed)
    return net


def dense(*in_shape, units=1):
    net = Dense(units)
    net.build(in_shape)
    return net


def snapshot(net):
    return {name: (p.value.tobytes(), p.grad.tobytes()) for name, p in net.params.items()}


# -- by heart -------------------------------------------------------------------------------------


def test_a_net_that_can_learns_a_few_rows_by_heart():
    ids = RNG.integers(0, 6, (32, 13))
    net, batch = language_net(), Batch(ids[:, :-1], ids[:, 1:])
    before = snapshot(net)
    heart = by_heart(net, SCE(), [batch])
    assert snapshot(net) == before
    assert heart.rows == ROWS and heart.steps is None and heart.updates < UPDATES
    share = np.bincount(batch.t[:ROWS].ravel()) / batch.t[:ROWS].size
    assert heart.constant == pytest.approx(-(share[share > 0] * np.log(share[share > 0])).sum())
    assert heart.last < 0.3 * heart.constant < heart.first


def test_a_net_that_cannot_gets_more_updates_and_a_lower_rate_before_it_is_given_up():
    """Equal inputs have different targets."""
    x, t = np.ones((4, 2)), np.array([[1.0], [-1.0], [3.0], [-3.0]])
    heart = by_heart(dense(2), MSE, [Batch(x, t)])
    assert heart.updates > UPDATES and not heart.known and heart.constant == pytest.approx(5.0)
    assert heart.last > 0.99 * heart.constant


def test_a_net_whose_gradients_are_lost_learns_nothing():
    class Cut(minidl.Layer):
        def forward(self, x, *, rng=None):
            return x, None

        def backward(self, dy, cache):
            return np.zeros_like(dy)

    net = Sequential([Dense(8), Cut(), Dense(1)])
    net.build((3,), seed=0)
    net.params["dense_2.b"].trainable = net.params["dense_2.W"].trainable = False
    x = RNG.standard_normal((8, 3))
    heart = by_heart(net, MSE, [Batch(x, x[:, :1])])
    assert heart.last == heart.first and heart.updates > UPDATES and not heart.known


def test_dropout_is_left_out():
    net = Sequential([Dense(32), minidl.Tanh(), minidl.Dropout(0.9), Dense(1)])
    net.build((3,), seed=0)
    heart = by_heart(net, MSE, [Batch(RNG.standard_normal((8, 3)), RNG.standard_normal((8, 1)))])
    assert heart.last < 0.3 * heart.constant and heart.updates < UPDATES


def test_a_loss_that_is_not_finite_ends_it():
    heart = by_heart(dense(2), MSE, [Batch(np.ones((4, 2)), np.array([[np.inf]] * 4))])
    assert heart.updates == 1 and not np.isfinite(heart.last)


# -- a part of a batch ----------------------------------------------------------------------------


def test_a_few_rows_and_steps_of_outputs_at_every_step():
    ids = RNG.integers(0, 6, (32, 41))
    mask, weight = RNG.random((32, 40)) < 0.9, RNG.random((32, 40))
    batch = Batch(ids[:, :-1], ids[:, 1:], weight=weight, mask=mask, start=False)
    small, steps = smaller(language_net(), SCE(), batch)
    assert steps == STEPS
    for ours, theirs in zip(small[:4], batch[:4], strict=True):
        np.testing.assert_array_equal(ours, theirs[:ROWS, :STEPS])
    assert small.start is True


def test_weights_by_row_stay_and_one_weight_for_all():
    ids = RNG.integers(0, 6, (32, 41))
    net = language_net()
    by_row = smaller(net, SCE(), Batch(ids[:, :-1], ids[:, 1:], weight=np.arange(32.0)[:, None]))[0]
    assert by_row.weight.shape == (ROWS, 1)
    rows = Batch(ids[:, :-1], ids[:, 1:], weight=np.r_[np.ones(2), np.zeros(30)])
    small, steps = smaller(net, SCE(), rows)
    assert steps == STEPS
    np.testing.assert_array_equal(small.weight, [1, 1, 0, 0])


def test_of_a_padded_batch_the_padding_says_nothing():
    ids = RNG.integers(0, 6, (8, 13))
    mask = np.arange(12) < RNG.integers(3, 13, (8, 1))
    padded = np.where(mask, ids[:, :-1], 99), np.where(mask, ids[:, 1:], 99)
    net = language_net()
    ours, theirs = (by_heart(net, SCE(), [Batch(x, t, mask=mask)]) for x, t in (padded, (ids[:, :-1], ids[:, 1:])))
    assert ours == theirs and ours.last < 0.3 * ours.constant


def test_of_outputs_of_the_last_step_all_steps_are_kept():
    ids = RNG.integers(0, 6, (32, 40))
    small, steps = smaller(language_net(every_step=False), SCE(), Batch(ids, ids[:, 0]))
    assert steps is None and small.x.shape == (ROWS, 40) and small.t.shape == (ROWS,)


def test_of_several_inputs_all_steps_are_kept():
    net = Graph(inputs=["a", "b"], outputs="out")
    net.add("sum", LSTM(4, return_sequences=True), "a")
    net.add("both", minidl.Concatenate(), "sum", "b")
    net.add("out", Dense(1), "both")
    a, b = RNG.standard_normal((2, 32, 20, 3))
    net.build(((None, 3), (None, 3)))
    mask = np.ones((32, 20), bool)
    small, steps = smaller(net, MSE, Batch((a, b), np.zeros((32, 20, 1)), mask=(mask, None)))
    assert steps is None and [x.shape for x in small.x] == [(ROWS, 20, 3)] * 2
    assert small.mask[0].shape == (ROWS, 20) and small.mask[1] is None
    assert by_heart(net, MSE, [Batch((a, b), np.ones((32, 20, 1)))]).rows == ROWS


def test_a_net_for_a_fixed_number_of_steps_keeps_them():
    net = Sequential([LSTM(4, return_sequences=True), Dense(1)])
    net.build((20, 2))
    small, steps = smaller(net, MSE, Batch(np.ones((8, 20, 2)), np.ones((8, 20, 1))))
    assert steps is None and small.x.shape == (ROWS, 20, 2)


def test_lists_will_do():
    small, _ = smaller(dense(2), MSE, Batch([[1.0, 2.0]] * 9, [[1.0]] * 9))
    assert np.shape(small.x) == (ROWS, 2) and np.shape(small.t) == (ROWS, 1)


# -- the best constant output ---------------------------------------------------------------------


def lowest(loss, t, size, weight=None, mask=None):
    """The lowest loss of one output for all positions, by gradient descent."""
    t = np.asarray(t)
    positions = t.shape[:-1] if t.shape[-1:] == (size,) else t.shape
    c = np.zeros(size)
    for _ in range(1000):
        value, dy, _ = loss(np.broadcast_to(c, (*positions, size)).copy(), t, weight, mask)
        c -= (0.5 if isinstance(loss, MeanSquaredError) else 4.0) * dy.reshape(-1, size).sum(axis=0)
    return float(value)


@pytest.mark.parametrize("ignored", [None, 2])
def test_the_best_constant_of_classes(ignored):
    t, loss = RNG.integers(0, 4, (5, 6)) ** 2 // 3, SCE(ignore_index=ignored)
    mask, weight = np.arange(6) < RNG.integers(2, 7, (5, 1)), RNG.integers(0, 2, (5, 6))
    net = language_net(4)
    batch = Batch(t, t, weight=weight, mask=mask)
    assert best_constant(net, loss, [batch]) == pytest.approx(lowest(loss, t, 4, weight, mask), abs=5e-3)


def test_the_best_constant_of_one_hot_vectors_of_bits_and_of_numbers():
    ids = RNG.integers(0, 3, 40)
    hot, bits, numbers = np.eye(3)[ids], RNG.integers(0, 2, (40, 3)) * [1, 0, 1], RNG.standard_normal((40, 3))
    net, x = dense(2, units=3), np.ones((40, 2))
    for loss, t in (SCE(), hot), (minidl.BinaryCrossEntropy(from_logits=True), bits), (MSE, numbers), (MSE, hot):
        assert best_constant(net, loss, [Batch(x, t)]) == pytest.approx(lowest(loss, t, 3), abs=5e-3), loss


def test_the_best_constant_of_one_class_is_zero():
    assert 0 <= best_constant(dense(2, units=3), SCE(), [Batch(np.ones((4, 2)), [1] * 4)]) < 1e-9


def test_of_a_loss_of_somebodys_own_it_is_that_of_the_mean_output_and_unknown_where_nothing_counts():
    class Absolute(minidl.Loss):
        def positions(self, y, t):
            return abs(y - t).mean(axis=-1), np.sign(y - t) / y.shape[-1]

    net, batch = dense(2), Batch(RNG.standard_normal((4, 2)), np.ones((4, 1)))
    mean = net.predict(batch.x).mean(axis=0)
    assert best_constant(net, Absolute(), [batch]) == pytest.approx(abs(mean - 1).item(), rel=1e-5)
    assert np.isnan(best_constant(dense(2), MSE, [batch._replace(weight=np.zeros(4))]))


# -- a short training -----------------------------------------------------------------------------


def test_a_trial_changes_nothing_and_is_the_training_itself():
    ids = RNG.integers(0, 6, (4, 13))
    batches = [Batch(ids[:, :-1], ids[:, 1:], start=False)] * 3
    net, rule, clip = language_net(), Adam(1e-2), ClipNorm(0.5)
    before = snapshot(net), copy.deepcopy(vars(rule)), copy.deepcopy(vars(clip))
    course, trainer = trial(net, SCE(), batches, rule, [clip, minidl.EarlyStopping()], steps=7, seed=3)
    assert (snapshot(net), vars(rule), vars(clip)) == before
    assert course.updates == trainer.step == 7
    twin = minidl.Trainer(net, SCE(), Adam(1e-2), [ClipNorm(0.5)], seed=3, quiet=True)
    twin.fit(batches, steps=7)
    assert [v.tobytes() for v in (p.value for p in trainer.params.values())] == [
        p.value.tobytes() for p in twin.params.values()
    ]


def test_a_trial_ends_at_what_is_not_finite():
    x = RNG.standard_normal((8, 2))
    course, trainer = trial(dense(2), MSE, [Batch(x, x[:, :1])], SGD(1e6), steps=50)
    assert trainer.stop_reason == "not finite" and course.updates < 20


# -- the largest stable rate ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.03, 1.0, 20.0])
@pytest.mark.parametrize("above", [3.0, 900.0])
def test_the_largest_stable_rate_of_a_quadratic(scale, above):
    """Theory: 2 over the largest eigenvalue of the Hessian; each rate tried is sqrt(10) below the one before."""
    x = scale * RNG.standard_normal((64, 3))
    net, batch = dense(3), Batch(x, x.sum(axis=1, keepdims=True))
    inputs = np.c_[x, np.ones(len(x))]
    limit = 2 / np.linalg.eigvalsh(2 * inputs.T @ inputs / len(x)).max()
    before = snapshot(net)
    largest = largest_stable_rate(net, MSE, [batch], SGD(above * limit))
    assert limit / 10**0.5 * 0.99 <= largest < limit
    assert snapshot(net) == before


def test_of_a_schedule_the_top_is_told():
    x = RNG.standard_normal((64, 3))
    net, batch = dense(3), Batch(x, x.sum(axis=1, keepdims=True))

    def warm_up(step):
        return 50.0 * min(1.0, step / 10)

    largest = largest_stable_rate(net, MSE, [batch], SGD(warm_up))
    assert 0.1 < largest < 1.5


def test_no_rate_is_stable_where_the_gradient_points_the_wrong_way():
    class Upwards(MeanSquaredError):
        def positions(self, y, t):
            value, dy = super().positions(y, t)
            return value, -dy / (1e-30 + abs(dy)) * 1e12

    x = RNG.standard_normal((16, 3))
    assert largest_stable_rate(dense(3), Upwards(), [Batch(x, x[:, :1])], SGD(1e3)) is None


def test_the_losses_before_the_first_update():
    x = RNG.standard_normal((30, 2))
    batches = [Batch(x[k : k + 2], x[k : k + 2, :1]) for k in range(0, 30, 2)]
    net = dense(2)
    wanted = [float(minidl.loss_value(net, MSE, b)[0]) for b in batches[:12]]
    beginning = beginning_of(net, MSE, batches)
    assert beginning.mean == pytest.approx(np.mean(wanted)) and beginning.spread == pytest.approx(np.std(wanted))
    assert beginning.constant == best_constant(net, MSE, batches)


# -- targets that nobody looks at -----------------------------------------------------------------


class Blind(minidl.Loss):
    """The gradient is that of the output alone."""

    def targets(self, y, t):
        return t if t.shape == y.shape else np.zeros_like(y)

    def positions(self, y, t):
        return (y**2).mean(axis=-1), 2 * y / y.shape[-1]


@pytest.mark.parametrize("t", [[[1.0], [2.0]], [[0.0], [1.0]], [[0.3], [0.4]], [[-1.0], [0.0]]])
def test_a_gradient_that_does_not_change_with_the_targets(t):
    batch = Batch(np.array([[1.0, 2.0], [0.5, -1.0]]), np.array(t))
    net = dense(2)
    before = snapshot(net)
    assert ignores_targets(net, Blind(), batch) and not ignores_targets(net, MSE, batch)
    assert snapshot(net) == before and batch.t.tolist() == t


def test_targets_of_ids_and_of_one_class():
    ids = RNG.integers(0, 6, (4, 8))
    net = language_net()
    assert not ignores_targets(net, SCE(), Batch(ids, ids))
    assert ignores_targets(net, Blind(), Batch(ids, ids))
    assert not ignores_targets(net, Blind(), Batch(ids, np.zeros_like(ids)))  # no other class is known


def test_a_net_without_a_gradient_says_nothing():
    net = dense(2)
    for p in net.params.values():
        p.trainable = False
    assert not ignores_targets(net, Blind(), Batch(np.ones((2, 2)), np.ones((2, 1))))
