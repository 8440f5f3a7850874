"""`diagnose`: what it finds in one call, that it changes nothing, and what it says of wrong arguments."""

import pickle
import warnings

import numpy as np
import pytest

import minidl
from minidl import GRU, LSTM, SGD, Adam, Batch, ClipNorm, Dense, Dropout, Embedding, Graph, Sequential, diagnose
from minidl import MeanSquaredError as MSE
from minidl import SoftmaxCrossEntropy as SCE

V = 7
RNG = np.random.default_rng(4)
IDS = np.cumsum(RNG.integers(1, 3, (8, 61)), axis=1) % V  # the next one is one or two more


def stream():
    """Windows of 12 steps whose state is carried."""
    x, t = IDS[:, :-1], IDS[:, 1:]
    return [Batch(x[:, k : k + 12], t[:, k : k + 12], start=k == 0) for k in range(0, 60, 12)]


def net_of(*more, built=True):
    net = Sequential([Embedding(V, 8), *more, LSTM(12, return_sequences=True), Dense(V)])
    if built:
        net.build((None,), seed=0)
    return net


def legacy():
    """The state of the global Generator."""
    return np.random.get_state()[1].tobytes()  # noqa: NPY002


def arrays_of(batches):
    return [a.tobytes() for b in batches for a in (b.x, b.t)]


# -- what is found --------------------------------------------------------------------------------


def test_a_healthy_training_has_no_finding_and_its_figures():
    diagnosis = diagnose(net_of(), SCE(), stream(), Adam(1e-2), steps=40)
    assert diagnosis.ok and diagnosis.findings == []
    assert diagnosis.facts["looked at"] == "5 batches of 8 rows"
    assert diagnosis.facts["trial"] == "40 updates with Adam, rate 0.01"
    assert diagnosis.facts["by heart"].startswith("4 rows: loss 2.0")
    assert len(diagnosis.curves["loss"]) == len(diagnosis.curves["norm"]) == 40
    assert diagnosis.curves["loss"][-1] < diagnosis.curves["loss"][0]


def test_without_an_optimizer_nothing_is_said_of_rates():
    diagnosis = diagnose(net_of(), SCE(), stream())
    assert diagnosis.curves == {} and "trial" not in diagnosis.facts and diagnosis.ok


def test_a_rate_that_is_too_high_comes_with_one_that_is_not():
    diagnosis = diagnose(net_of(), SCE(), stream(), SGD(3000.0), steps=60)
    assert diagnosis.codes == ["L503"] and "is stable at" in diagnosis.findings[0].evidence
    rate = float(diagnosis.findings[0].remedy.split("lr=")[1].split(",")[0])
    assert diagnose(net_of(), SCE(), stream(), SGD(rate), steps=60).ok


def test_a_trial_that_ends_in_nan():
    x = RNG.standard_normal((32, 3))
    net = Dense(1)
    net.build((3,))
    (finding,) = diagnose(net, MSE(), (x, x[:, :1]), SGD(1e9), steps=60).findings
    assert finding.code == "L503" and "a number is not finite" in finding.evidence


def test_spoiled_data_come_first_and_alone():
    x = RNG.standard_normal((8, 3))
    x[3, 1] = np.nan
    said = []
    diagnosis = diagnose(Dense(1), MSE(), (x, x[:, :1]), SGD(1e9), progress=said.append)
    assert diagnosis.codes == ["D403"] and said == ["the data"] and "left out" in diagnosis.facts


def test_numbers_that_are_not_finite_end_it():
    net = net_of()
    net.params["lstm.Wh"].value[2, 3] = np.nan
    before = net.params["lstm.Wh"].value.tobytes()
    diagnosis = diagnose(net, SCE(), stream(), Adam(1e-2))
    assert diagnosis.codes == ["N701"] and "lstm" in diagnosis.findings[0].where and diagnosis.curves == {}
    assert net.params["lstm.Wh"].value.tobytes() == before


def test_targets_that_reach_no_gradient():
    class Blind(minidl.Loss):
        def positions(self, y, t):
            return (y**2).mean(axis=-1), 2 * y / y.shape[-1]

    x = RNG.standard_normal((32, 3))
    diagnosis = diagnose(Sequential([Dense(4), Dense(1)]), Blind(), (x, x[:, :1] + 1))
    assert "T606" in diagnosis.codes
    (finding,) = [f for f in diagnosis.findings if f.code == "T606"]
    assert (
        finding.where == "the loss"
        and "when the targets of the first batch are exchanged for others" in finding.evidence
    )


def test_a_small_batch_that_cannot_be_learned():
    diagnosis = diagnose(Dense(1), MSE(), [Batch(np.ones((4, 2)), np.array([[1.0], [-1.0], [2.0], [-2.0]]))])
    (finding,) = [f for f in diagnosis.findings if f.code == "L502"]
    assert "350 updates" in finding.evidence and "a constant output has 2.5" in finding.evidence
    assert not diagnosis.ok


def test_padding_does_not_make_a_batch_hard_to_learn():
    """Of 13 steps 2 are real; the padding would say that a constant output has nearly no loss."""
    ids = RNG.integers(1, V, (8, 14))
    mask = np.arange(13) < 2
    x, t = np.where(mask, ids[:, :-1], 0), np.where(mask, ids[:, 1:], 0)
    batches = [Batch(x, t, mask=np.broadcast_to(mask, x.shape))]
    assert "L502" not in diagnose(net_of(), SCE(), batches).codes


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_a_loss_of_somebodys_own_on_small_numbers_is_learned_by_heart(scale):
    """The variance of the targets is no bound for a loss that is not their square."""

    class Absolute(minidl.Loss):
        def positions(self, y, t):
            return abs(y - t).mean(axis=-1) / scale, np.sign(y - t) / y.shape[-1] / scale

    x = RNG.standard_normal((16, 3))
    net = Sequential([Dense(16), minidl.Tanh(), Dense(1)])
    assert "L502" not in diagnose(net, Absolute(), (x, scale * np.sign(x[:, :1]))).codes


def test_what_clips_is_used_and_judged():
    (finding,) = diagnose(net_of(), SCE(), stream(), SGD(1.0), callbacks=[ClipNorm(1e-3)], steps=40).findings
    assert finding.code == "T605" and "40 of 40 updates were clipped" in finding.evidence


def test_other_callbacks_take_no_part():
    class Explodes(minidl.Callback):
        def on_fit_start(self, trainer):
            raise RuntimeError("not here")

    assert diagnose(net_of(), SCE(), stream(), Adam(1e-2), callbacks=[Explodes()], steps=5).ok


def test_an_overlap_with_the_validation():
    assert "D405" in diagnose(net_of(), SCE(), stream(), validation=stream()).codes
    held = [Batch(b.x[:, ::-1].copy(), b.t[:, ::-1].copy()) for b in stream()[:1]]
    assert "D405" not in diagnose(net_of(), SCE(), stream(), validation=held).codes


def test_a_history_says_what_its_curves_say():
    history = minidl.History()
    history.rows += [{"loss": a, "valid_loss": b} for a, b in [(3, 3), (2, 2), (1, 2.4), (0.5, 3), (0.2, 3.5)]]
    assert diagnose(net_of(), SCE(), stream(), history=history).codes == ["T607"]
    assert diagnose(net_of(), SCE(), stream(), history=minidl.History()).codes == []


def test_a_net_that_has_had_its_training_should_know_more():
    """It gives the frequencies, where the id before tells the next one but for two."""
    net, t = net_of(), np.concatenate([b.t for b in stream()])
    net.params["dense.W"].value[...] = 0
    net.params["dense.b"].value[...] = np.log(np.bincount(t.ravel(), minlength=V) / t.size)
    assert "L505" in diagnose(net, SCE(), stream(), trained=True).codes
    assert "L505" not in diagnose(net, SCE(), stream()).codes


# -- nets of all kinds ----------------------------------------------------------------------------


def test_a_graph_with_two_outputs_and_a_loss_of_its_own():
    class Both(minidl.Loss):
        def positions(self, y, t):
            raise NotImplementedError

        def __call__(self, y, t, weight=None, mask=None):
            parts = [MSE()(a, b) for a, b in zip(y, t, strict=True)]
            return sum(p[0] for p in parts), tuple(p[1] for p in parts), float(len(y[0]))

    net = Graph(inputs="x", outputs=("a", "b"))
    net.add("lstm", LSTM(6, return_sequences=True), "x")
    net.add("a", Dense(1), "lstm")
    net.add("last", minidl.LastStep(), "lstm")
    net.add("b", Dense(2), "last")
    x = RNG.standard_normal((8, 10, 3))
    batches = [Batch(x, (x[..., :1], x[:, -1, :2]))]
    diagnosis = diagnose(net, Both(), batches, Adam(1e-2), steps=30)
    assert diagnosis.ok and diagnosis.facts["looked at"] == "1 batch of 8 rows"
    assert diagnosis.facts["by heart"].startswith("4 rows: ")


def test_several_inputs_padding_and_dropout():
    net = Graph(inputs=["a", "b"], outputs="out")
    net.add("gru", GRU(6, return_sequences=True), "a")
    net.add("drop", Dropout(0.2), "gru")
    net.add("both", minidl.Concatenate(), "drop", "b")
    net.add("out", Dense(1), "both")
    a, b = RNG.standard_normal((2, 8, 20, 3))
    mask = np.arange(20) < RNG.integers(5, 21, (8, 1))
    batches = [Batch((a, b), a[..., :1] + b[..., :1], mask=(mask, mask))]
    assert diagnose(net, MSE(), batches, Adam(1e-2), steps=30).ok
    assert net.in_shape is None


def test_plain_arrays():
    x = RNG.standard_normal((100, 3))
    diagnosis = diagnose(Dense(1), MSE(), (x, x.sum(axis=1)), SGD(0.05))
    assert diagnosis.ok and diagnosis.facts["looked at"] == "4 batches of 32 rows"


def test_an_iterator_is_gone_through_once():
    assert diagnose(net_of(), SCE(), iter(stream()), Adam(1e-2), steps=12).ok


# -- nothing is changed ---------------------------------------------------------------------------


def test_nothing_given_is_changed():
    net, batches, rule = net_of(Dropout(0.3)), stream(), Adam(1e-2)
    clip, held = ClipNorm(0.5), stream()[:2]
    trainer = minidl.Trainer(net, SCE(), rule, [clip], quiet=True)
    history = trainer.fit(batches, epochs=2, validation=held)
    state, around = trainer.state, legacy()
    rule.lr_scale = 0.5
    things = {
        "params": [(n, p.value, p.grad, p.trainable) for n, p in net.params.items()],
        "rule": vars(rule), "clip": vars(clip), "rows": history.rows, "state": state,
    }  # fmt: skip
    before, data = pickle.dumps(things), arrays_of(batches + held)
    given = {"validation": held, "callbacks": [clip], "history": history, "trained": True, "steps": 30}
    diagnose(net, SCE(), batches, rule, **given)
    assert pickle.dumps(things) == before and arrays_of(batches + held) == data
    assert legacy() == around
    rule.lr_scale = 1e4  # so high that rates are searched
    before = pickle.dumps(things)
    assert "L503" in diagnose(net, SCE(), batches, rule, **given).codes
    assert pickle.dumps(things) == before and arrays_of(batches + held) == data


def test_a_net_that_is_not_built_stays_so():
    net = net_of(built=False)
    diagnosis = diagnose(net, SCE(), stream(), Adam(1e-2), steps=10, seed=5)
    assert net.in_shape is None and not net.params
    again = net_of(built=False)
    again.build((None,), seed=5)
    assert diagnose(again, SCE(), stream(), Adam(1e-2), steps=10, seed=5).as_json() == diagnosis.as_json()


def test_two_calls_say_the_same():
    for rule in Adam(1e-2), SGD(3000.0):
        one, two = (diagnose(net_of(Dropout(0.3)), SCE(), stream(), rule, steps=30).as_json() for _ in range(2))
        assert one == two


def test_it_is_silent(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        diagnose(net_of(), SCE(), stream(), SGD(1e30), steps=30)
        diagnose(net_of(), SCE(), stream(), SGD(3000.0), steps=30)
    assert capsys.readouterr() == ("", "")


def test_it_tells_what_it_does():
    said = []
    diagnose(net_of(), SCE(), stream(), SGD(3000.0), steps=30, progress=said.append)
    assert said[0] == "the data" and "a trial of 30 updates" in said and said[-1] == "a rate that stays stable"


# -- wrong arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"net": "net"}, "net"),
        ({"net": LSTM}, "net"),
        ({"loss": "mse"}, "loss"),
        ({"loss": MSE}, "loss"),
        ({"batches": []}, "data"),
        ({"batches": [1, 2]}, "Batch"),
        ({"batches": iter([])}, "data"),
        ({"validation": []}, "validation"),
        ({"validation": [3]}, "validation"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"optimizer": Adam}, "optimizer"),
        ({"steps": 0}, "steps"),
        ({"steps": 2.5}, "steps"),
        ({"seed": -1}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"batches": 7}, "7"),
        ({"batches": None}, "None"),
        ({"callbacks": ClipNorm(1.0)}, "callbacks"),
        ({"history": [1]}, "history"),
        ({"vocab": 3}, "vocab"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
@pytest.mark.parametrize("built", [True, False], ids=["built", "unbuilt"])
def test_wrong_arguments_are_told_in_one_line(arguments, words, built):
    good = {"net": net_of(built=built), "loss": SCE(), "batches": stream(), "optimizer": Adam(1e-2), "steps": 3}
    with pytest.raises(minidl.ArgumentError) as caught:
        diagnose(**(good | arguments))
    assert "\n" not in str(caught.value) and words in str(caught.value)


def test_targets_that_do_not_fit_are_told_in_one_line():
    with pytest.raises(minidl.errors.MinidlError) as caught:
        diagnose(net_of(), SCE(), [Batch(IDS, IDS[:, 0])])
    assert "\n" not in str(caught.value)
