"""Trainings with a fault."""

import numpy as np

import minidl
from minidl import SGD, Adam, Batch, ClipNorm, CrossEntropy, Dense, Embedding, MeanSquaredError, Sequential
from minidl.checking import check_loss
from tests.trainings import sick_tasks
from tests.trainings.case import Training, built, diagnosed, ids, language_model, lstm, series, streams, watched

CE, MSE = CrossEntropy(), MeanSquaredError()


def windows(rows=8, steps=24):
    """The text's windows as a list."""
    return list(streams(rows, steps)[0])


# -- data -------------------------------------------------------------------------------------------


def positions():
    batches = [b._replace(x=np.tile(np.arange(b.x.shape[1]), (len(b.x), 1))) for b in windows()]
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3), vocab=ids()[1])


def same_as_inputs():
    return diagnosed(language_model(lstm()), CE, [b._replace(t=b.x) for b in windows()], Adam(3e-3))


def shifted_backwards():
    batches = [b._replace(x=b.t, t=b.x) for b in windows()]
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3))


def shifted_by_two():
    text = ids()[0]
    train = [Batch(text[k : k + 192].reshape(8, 24), text[k + 2 : k + 194].reshape(8, 24)) for k in range(0, 4000, 192)]
    return diagnosed(language_model(lstm()), CE, train, Adam(3e-3))


def token_out_of_range():
    batches = windows()
    x = batches[1].x.copy()
    x[3, 5] = len(ids()[1]) + 2
    batches[1] = batches[1]._replace(x=x)
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3))


def missing_value():
    x = series()
    x[40, 7, 1] = np.nan
    return diagnosed(Sequential([lstm(16), minidl.LastStep(), Dense(1)]), MSE, (x, series()[:, -1, :1]), Adam(1e-2))


def constant_inputs():
    x = np.full_like(series(), 2.5)
    return diagnosed(Sequential([minidl.LSTM(16), Dense(1)]), MSE, (x, series()[:, -1, :1]), Adam(1e-2))


def unscaled_features():
    x = series() * np.array([1.0, 4e4, 1.0], np.float32) + np.array([0, 2e5, 0], np.float32)
    return diagnosed(Sequential([minidl.LSTM(16), Dense(1)]), MSE, (x, x[:, -1, :1]), Adam(1e-2))


def shuffled_windows_that_carry():
    batches = windows()
    order = np.random.default_rng(0).permutation(len(batches))
    batches = [batches[k]._replace(start=j == 0) for j, k in enumerate(order)]
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3))


def rows_that_change_places():
    batches = [Batch(np.roll(b.x, k, 0), np.roll(b.t, k, 0), start=b.start) for k, b in enumerate(windows())]
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3))


def state_thrown_away():
    return diagnosed(language_model(lstm()), CE, [b._replace(start=True) for b in windows()], Adam(3e-3))


def validation_from_training():
    batches = windows()
    return diagnosed(language_model(lstm()), CE, batches, Adam(3e-3), validation=batches[3:9])


# -- loss -------------------------------------------------------------------------------------------


class SummedOverSteps(minidl.SoftmaxCrossEntropy):
    """As it stands in many a script: the sum over all steps, the mean over the rows."""

    def __call__(self, y, t, weight=None, mask=None):
        value, dy, total = super().__call__(y, t, weight, mask)
        return value * y.shape[1], dy * y.shape[1], total


class Summed(MeanSquaredError):
    """The sum over the rows."""

    def __call__(self, y, t, weight=None, mask=None):
        value, dy, total = super().__call__(y, t, weight, mask)
        return value * len(y), dy * len(y), total


class SummedGradient(minidl.SoftmaxCrossEntropy):
    """The value is a mean, the gradient a sum."""

    def __call__(self, y, t, weight=None, mask=None):
        value, dy, total = super().__call__(y, t, weight, mask)
        return value, dy * y.shape[1], total


class ConstantError(MeanSquaredError):
    """A backward pass that begins with 1, whatever the target."""

    def positions(self, y, t):
        each, _ = super().positions(y, t)
        return each, np.ones_like(y)


def scores(*layers):
    """A language model without a softmax."""
    V = len(ids()[1])
    return Sequential([Embedding(V, 16), *layers, Dense(V)])


def summed_over_steps():
    return diagnosed(scores(lstm()), SummedOverSteps(), windows(), SGD(0.1), callbacks=[minidl.ClipValue(6.0)])


def summed_over_rows():
    x = series()
    return diagnosed(Sequential([minidl.LSTM(16), Dense(1)]), Summed(), (x, x[:, -1, :1]), SGD(0.05))


def summed_gradient():
    return diagnosed(scores(lstm()), SummedGradient(), windows(), SGD(0.5))


def large_scores():
    net = built(language_model(lstm()))
    net.params["dense.W"].value[...] *= 200
    return diagnosed(net, CE, windows(), Adam(3e-3))


def outputs_out_of_reach():
    x = series()
    net = Sequential([minidl.LSTM(16), Dense(1), minidl.Tanh()])
    return diagnosed(net, MSE, (x, 4 * np.sign(x[:, 0, :1])), Adam(1e-2))


def frozen_below_a_dead_layer():
    net = built(Sequential([minidl.LSTM(16), Dense(8), minidl.ReLU(), Dense(1)]), (None, 3))
    net.params["dense.b"].value[...] = -50
    x = series()
    return diagnosed(net, MSE, (x, x[:, -1, :1]), Adam(1e-3))


def rate_too_high():
    return diagnosed(language_model(lstm()), CE, windows(), SGD(60.0))


def rate_too_high_for_adam():
    return diagnosed(language_model(lstm()), CE, windows(), Adam(1.0))


def rate_too_high_for_regression():
    x = series()
    return watched(Sequential([minidl.LSTM(16), Dense(1)]), MSE, x, SGD(100.0), t=x[:, -1, :1], epochs=30)


def still_at_the_beginning():
    return diagnosed(built(language_model(lstm())), CE, windows(), trained=True)


def inputs_do_not_reach_the_output():
    net = built(language_model(lstm()))
    net.params["embedding.E"].value[...] = 0
    net["embedding"].freeze()
    minidl.Trainer(net, CE, Adam(1e-2), quiet=True).fit(streams()[0], steps=150)
    return diagnosed(net, CE, windows(), None, trained=True)


def gradient_carried():
    def loss(params, x, target, state):
        h = state[0]
        hs = [h]
        for t in range(len(x)):
            h = np.tanh(x[t] @ params["Wx"] + h @ params["Wh"])
            hs.append(h)
        error = h @ params["V"] - target
        grads = {name: np.zeros_like(p) for name, p in params.items()}
        grads["V"] = np.outer(h, error)
        dh = params["V"] @ error
        for t in reversed(range(len(x))):
            dz = dh * (1 - hs[t + 1] ** 2)
            grads["Wx"] += np.outer(x[t], dz)
            grads["Wh"] += np.outer(hs[t], dz)
            dh = params["Wh"] @ dz
        return 0.5 * float(error @ error), grads, (dh,)

    rng = np.random.default_rng(0)
    params = {"Wx": rng.normal(size=(3, 5)), "Wh": rng.normal(size=(5, 5)) / 3, "V": rng.normal(size=(5, 2))}
    return check_loss(loss, params, rng.normal(size=(6, 3)), rng.normal(size=2), (rng.normal(size=5),)).findings


# -- training ---------------------------------------------------------------------------------------


def exploding():
    net = built(language_model(minidl.SimpleRNN(32, activation=minidl.ReLU(), return_sequences=True)))
    net.params["simple_rnn.Wh"].value[...] *= 2.2
    return diagnosed(net, CE, windows(), Adam(1e-4))


def vanishing():
    return diagnosed(language_model(lstm(forget_bias=-4.0)), CE, windows(), Adam(3e-3))


def vanishing_in_a_plain_net():
    net = built(Sequential([minidl.SimpleRNN(16), Dense(1)]), (None, 3))
    net.params["simple_rnn.Wh"].value[...] *= 0.1
    x = series(steps=40)
    return diagnosed(net, MSE, (x, x[:, 0, :1]), Adam(3e-3))


def saturated():
    net = built(language_model(lstm()))
    net.params["lstm.Wx"].value[...] *= 400
    return diagnosed(net, CE, windows(), Adam(1e-3))


def rate_too_low():
    return diagnosed(language_model(lstm()), CE, windows(), Adam(1e-9))


def always_clipped():
    return diagnosed(language_model(lstm()), CE, windows(), SGD(1.0), callbacks=[ClipNorm(1e-3)])


def never_clipped():
    return diagnosed(language_model(lstm()), CE, windows(), Adam(3e-3), callbacks=[ClipNorm(1e4)])


def blind_to_the_target():
    x = series()
    return diagnosed(Sequential([minidl.LSTM(16), Dense(1)]), ConstantError(), (x, x[:, -1, :1]), Adam(1e-3))


class Forgetful(minidl.Layer):
    """A layer whose backward pass forgets its parameter."""

    def setup(self, in_shape, rng, dtype):
        self.W = self.add_param("W", rng.normal(0, 0.3, (in_shape[-1], in_shape[-1])).astype(dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        return x @ self.W.value, None

    def backward(self, dy, cache):
        return dy @ self.W.value.T


def never_moves():
    x = series()
    return diagnosed(Sequential([minidl.LSTM(16), Forgetful(), Dense(1)]), MSE, (x, x[:, -1, :1]), Adam(1e-2))


def overfitting():
    x = series(24)
    t = np.random.default_rng(1).standard_normal((24, 1)).astype(np.float32)
    net = Sequential([minidl.LSTM(48), Dense(1)])
    return watched(net, MSE, x[:16], Adam(1e-2), t=t[:16], epochs=25, validation=(x[16:], t[16:]))


def underfitting():
    x = series(256)
    t = np.random.default_rng(1).standard_normal((256, 1)).astype(np.float32)
    net = Sequential([minidl.LSTM(1), Dense(1)])
    return watched(net, MSE, x, Adam(1e-3), t=t, epochs=12)


# -- numbers that are not finite ----------------------------------------------------------------------


def weight_is_nan():
    net = built(language_model(lstm()))
    net.params["lstm.Wh"].value[3, 40] = np.nan
    return diagnosed(net, CE, windows(), Adam(3e-3))


class RootOfZero(MeanSquaredError):
    """The root of the squared error, whose derivative at 0 has no value."""

    def positions(self, y, t):
        each = np.sqrt(((y - t) ** 2).mean(-1))
        with np.errstate(all="ignore"):
            return each, (y - t) / each[..., None] / y.shape[-1]


def derivative_without_value():
    net = built(Sequential([minidl.LSTM(8), Dense(1)]), (None, 3))
    net.params["dense.W"].value[...] = 0
    x = series()
    return diagnosed(net, RootOfZero(), (x, np.where(np.arange(96) % 2, 0, 1.0)[:, None]), Adam(3e-3))


def spoiled_slot():
    net = built(language_model(lstm()))
    optimizer = Adam(3e-3)
    minidl.Trainer(net, CE, optimizer, quiet=True).fit(streams()[0], steps=3)
    optimizer.state["lstm.Wx"]["v"][2, 7] = np.inf
    return diagnosed(net, CE, windows(), optimizer)


def nan_in_the_middle_of_a_run():
    x = series(256)
    x[200, 3, 1] = np.inf
    return watched(Sequential([minidl.LSTM(8), Dense(1)]), MSE, x, Adam(1e-2), t=x[:, 0, :1], epochs=1, shuffle=False)


CASES = [
    Training("positions", positions, ("D401",), "range(len(inputs)) is fed"),
    Training("same as inputs", same_as_inputs, ("D402",), "targets equal the inputs"),
    Training("shifted backwards", shifted_backwards, ("D402",), "the past is predicted"),
    Training("shifted by two", shifted_by_two, ("D402",), "the next symbol but one"),
    Training("token out of range", token_out_of_range, ("D403",), "an id that the embedding has no row for"),
    Training("missing value", missing_value, ("D403",), "one NaN in the inputs"),
    Training("constant inputs", constant_inputs, ("D403",), "all inputs are 2.5"),
    Training("unscaled features", unscaled_features, ("D403",), "one feature is about 200,000"),
    Training("shuffled windows", shuffled_windows_that_carry, ("D404",), "state carried between shuffled windows"),
    Training("rows change places", rows_that_change_places, ("D404",), "row 0 goes on in row 1"),
    Training("state thrown away", state_thrown_away, ("D404",), "windows go on, start=True"),
    Training("leaky split", validation_from_training, ("D405",), "validation windows are training windows"),
    Training("summed over steps", summed_over_steps, ("L504",), "the loss is a sum over T, rate 0.1"),
    Training("summed over rows", summed_over_rows, ("L504",), "the loss is a sum over B"),
    Training("summed gradient", summed_gradient, ("L504",), "the gradient is a sum over T"),
    Training("large scores", large_scores, ("L501",), "the last layer begins 200 times too large"),
    Training("out of reach", outputs_out_of_reach, ("L502",), "tanh cannot reach 4"),
    Training("dead layer", frozen_below_a_dead_layer, ("T606", "L502"), "every ReLU is off"),
    Training("rate 60", rate_too_high, ("L503",), "SGD(60)"),
    Training("Adam at 1", rate_too_high_for_adam, ("L503",), "Adam(1)"),
    Training("rate 100, watched", rate_too_high_for_regression, ("L503",), "SGD(100), a regression"),
    Training("still untrained", still_at_the_beginning, ("L505",), "hours of training left the loss at ln V"),
    Training("blind net", inputs_do_not_reach_the_output, ("L502", "L505"), "only frequencies were learned"),
    Training("gradient carried", gradient_carried, ("G115",), "dh goes into the next window as h"),
    Training("exploding", exploding, ("T601",), "recurrent weights 2.2 times orthogonal"),
    Training("vanishing", vanishing, ("T602",), "forget bias -4"),
    Training("vanishing, plain", vanishing_in_a_plain_net, ("T602",), "recurrent weights of 0.1"),
    Training("saturated", saturated, ("T603",), "input weights 400 times too large"),
    Training("rate 1e-9", rate_too_low, ("T604",), "Adam(1e-9)"),
    Training("always clipped", always_clipped, ("T605",), "ClipNorm(0.001)"),
    Training("never clipped", never_clipped, ("T605",), "ClipNorm(10,000)"),
    Training("blind to the target", blind_to_the_target, ("T606",), "backward begins with 1"),
    Training("never moves", never_moves, ("T606",), "a gradient is forgotten"),
    Training("overfitting", overfitting, ("T607",), "48 cells for 16 random targets"),
    Training("underfitting", underfitting, ("T607",), "one cell for 256 random targets"),
    Training("a weight is NaN", weight_is_nan, ("N701",), "lstm.Wh[3, 40]"),
    Training("root of 0", derivative_without_value, ("N702",), "0 / 0 in the loss's gradient"),
    Training("spoiled slot", spoiled_slot, ("N703",), "v of lstm.Wx is infinite"),
    Training("infinite input, late", nan_in_the_middle_of_a_run, ("D403", "N701"), "in row 200 of 256"),
    *sick_tasks.CASES,
]
