"""Mistakes of the gradients of weights: the product, what is kept of each step, factors, the output layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minidl.checking.naming.mistake import Mistake, listed
from minidl.checking.naming.textbook import BACKWARD, Pieces, outer
from minidl.inputs import Array


def weight_mistakes() -> Iterator[Mistake]:
    """The gradient of a matrix, from its input and the delta."""
    wrong: dict[str, tuple[str, Callable[[Array, Array], Any]]] = {
        "is an inner product, one number for the whole matrix": (
            "G109",
            lambda a, d: (a * d).sum() if a.shape == d.shape else np.nan,
        ),
        "is an inner product a row, one number for each": (
            "G109",
            lambda a, d: (a * d).sum(axis=1).sum() if a.shape == d.shape else np.nan,
        ),
        "is an elementwise product, the same in every row": (
            "G109",
            lambda a, d: (a * d).sum(axis=0) if a.shape == d.shape else np.nan,
        ),
        "is an elementwise product, the same in every column": (
            "G109",
            lambda a, d: (a * d).sum(axis=0)[:, None] if a.shape == d.shape else np.nan,
        ),
        "has the sum of its input in place of the input": (
            "G109",
            lambda a, d: np.broadcast_to((a.sum(axis=1, keepdims=True) * d).sum(axis=0), (a.shape[1], d.shape[1])),
        ),
        "has the sum of the delta in place of the delta": (
            "G109",
            lambda a, d: np.broadcast_to(
                (a * d.sum(axis=1, keepdims=True)).sum(axis=0)[:, None], (a.shape[1], d.shape[1])
            ),
        ),
        "is the delta alone, the same in every row": (
            "G109",
            lambda a, d: np.broadcast_to(d.sum(axis=0), (a.shape[1], d.shape[1])),
        ),
        "is one number, the product of the sums": ("G109", lambda a, d: (a.sum(axis=1) * d.sum(axis=1)).sum()),
        "is transposed": ("G103", lambda a, d: d.T @ a if a.shape[1] == d.shape[1] else np.nan),
    }
    for letters in ["Wh"], ["Wx"], ["Wx", "Wh"]:
        for how, (code, product) in wrong.items():
            for gates in [*"ifog", "ifo", "ifog"]:
                pieces = {
                    f"{letter}_{k}": lambda q, k=k, product=product, a="x" if letter == "Wx" else "h_": product(
                        getattr(q, a), q.dz[k]
                    )
                    for letter in letters
                    for k in gates
                }
                where = " and ".join(letters)
                yield Mistake(
                    code,
                    f"d{where.replace(' and ', ' and d')} of {listed(gates)} {how}",
                    f"{where} of {listed(gates)}",
                    pieces,
                )
    yield Mistake(
        "G103",
        "dh comes back through Wh as it is, not transposed",
        "Wh",
        {"dh_prev": lambda q: sum(q.dz[k] @ q.w[f"Wh_{k}"] for k in "ifog")},
    )
    for k in "ifog":
        rest = "ifog".replace(k, "")
        yield Mistake(
            "G103",
            f"dh comes back through Wh_{k} as it is, not transposed",
            f"Wh_{k}",
            {
                "dh_prev": lambda q, k=k, rest=rest: (
                    sum(q.dz[j] @ q.w[f"Wh_{j}"].T for j in rest) + q.dz[k] @ q.w[f"Wh_{k}"]
                )
            },
        )
    yield Mistake(
        "G103",
        "dx comes back through Wx as it is, not transposed",
        "Wx",
        {"dx": lambda q: sum(square(q.dz[k], q.w[f"Wx_{k}"]) for k in "ifog")},
    )
    for how, (_, product) in list(wrong.items())[:-1]:
        for gates in [*"ifo", "ifo"]:
            yield Mistake(
                "G109",
                f"dp of {listed(gates)} {how}",
                f"p of {listed(gates)}",
                {
                    f"p_{k}": lambda q, k=k, product=product: (
                        product(q.seen[k], q.dz[k]) if q.w[f"p_{k}"].ndim == 2 else np.nan
                    )
                    for k in gates
                },
            )
    yield Mistake(
        "G111",
        "ids that occur twice in a batch are counted once: dW[ids] += ... keeps the last of them",
        "Wx",
        {f"Wx_{k}": (lambda q, k=k: last_rows(q.x, q.dz[k])) for k in "ifog"},
    )
    new_h = {f"Wh_{k}": (lambda q, k=k: outer(q.o * q.tc, q.dz[k])) for k in "ifog"}
    yield Mistake("G101", "dWh is computed with the new h, but Wh multiplied the h of the step before", "Wh", new_h)
    for k in "ifog":
        yield Mistake(
            "G101",
            f"dWh_{k} is computed with the new h, but Wh multiplied the h of the step before",
            f"Wh_{k}",
            {f"Wh_{k}": new_h[f"Wh_{k}"]},
        )
        rest = "ifog".replace(k, "")
        yield Mistake(
            "G101",
            f"what comes back through Wx_{k} is missing in dx",
            "dx",
            {"dx": lambda q, rest=rest: sum(q.dz[j] @ q.w[f"Wx_{j}"].T for j in rest)},
        )


def factor_mistakes() -> Iterator[Mistake]:
    """Constant factors: of all gradients, of some, of a path."""
    factors: dict[str, Callable[[int, int], float]] = {
        "-1": lambda T, B: -1.0,
        "1/T": lambda T, B: 1 / T,
        "1/B": lambda T, B: 1 / B,
        "1/(T B)": lambda T, B: 1 / (T * B),
        "T": lambda T, B: float(T),
        "B": lambda T, B: float(B),
        "T B": lambda T, B: float(T * B),
        "2": lambda T, B: 2.0,
        "1/2": lambda T, B: 0.5,
    }
    parts: dict[str, Callable[[str], bool]] = {
        "all gradients": lambda name: True,
        "the gradients of all weights": lambda name: name not in ("x", "h0", "c0"),
        "dx": "x".__eq__,
        "dh0 and dc0": lambda name: name in ("h0", "c0"),
    }
    parts |= {f"d{letter}": of_gates(letter) for letter in ("Wx", "Wh", "b", "p")}
    parts |= {f"d{name} of the output layer": name.__eq__ for name in ("W", "b")}
    for told, factor in factors.items():
        for where, fits in parts.items():
            yield Mistake(
                "G102",
                f"{where} {'are' if 'gradients' in where or ' and ' in where else 'is'} off by the factor {told}",
                where,
                {"scale": lambda name, T, B, factor=factor, fits=fits: factor(T, B) if fits(name) else 1.0},
            )
    for number, told in (-1.0, "-1"), (2.0, "2"), (0.5, "1/2"):
        for k in "ifog":
            yield Mistake("G102", f"the delta of {k} is off by the factor {told}", k, scaled(f"slope_{k}", number))
        yield Mistake("G102", f"what the cell gets from h is off by the factor {told}", "dc", scaled("dtc", number))
        yield Mistake(
            "G102", f"what is handed back through Wh is off by the factor {told}", "dh", scaled("dh_prev", number)
        )
        yield Mistake("G102", f"what the cell hands back is off by the factor {told}", "dc", scaled("dc_prev", number))
        yield Mistake("G102", f"dy is off by the factor {told}", "dy", scaled("dy", number))


def of_gates(letter: str) -> Callable[[str], bool]:
    """Whether a name is that of the gates' arrays of a letter: Wx_i, not W."""
    return lambda name: name.startswith(f"{letter}_")


def scaled(name: str, factor: float) -> Pieces:
    """A piece times a factor."""
    piece = BACKWARD[name]
    return {name: lambda q: factor * piece(q)}


def last_rows(x: Array, dz: Array) -> Array:
    """The gradient of rows looked up by id (x one-hot), where the last row of the batch with an id wins."""
    dW = np.zeros((x.shape[1], dz.shape[1]))
    for row, share in zip(x, dz, strict=True):
        dW[row.astype(bool)] = share
    return dW


def square(dz: Array, W: Array) -> Any:
    """dz W where that has a shape."""
    return dz @ W if W.shape[0] == W.shape[1] else np.nan


def embedding_mistakes() -> Iterator[Mistake]:
    """The rows of an embedding that ids look up, one-hot [B, T, V], and the dx that comes back to them."""

    def kept(order: str) -> Callable[[Array, Array], Array]:
        def gradient(rows: Array, dx: Array) -> Array:
            dE = np.zeros((rows.shape[2], dx.shape[2]))
            if order == "rows":  # of a batch, step by step: the steps add up, what stands side by side does not
                for t in range(rows.shape[1]):
                    dE += last_rows(rows[:, t], dx[:, t])
                return dE
            ids, flat = rows.reshape(-1, rows.shape[2]), dx.reshape(-1, dx.shape[2])
            if order == "steps":
                ids, flat = (np.swapaxes(a, 0, 1).reshape(-1, a.shape[2])[::-1] for a in (rows, dx))
            return last_rows(ids, flat)

        return gradient

    what = "ids that occur more than once are counted once in the embedding's gradient"
    yield Mistake("G111", f"{what}: dE[ids] += dx keeps the last of them", "E", {"E": kept("all")})
    yield Mistake(
        "G111", f"{what} where they stand in one batch: dE[ids] += dx keeps the last", "E", {"E": kept("rows")}
    )
    yield Mistake("G111", f"{what}: it is overwritten at each step", "E", {"E": kept("steps")})


def keep_mistakes() -> Iterator[Mistake]:
    """What of each step's share stays in the gradient of a weight."""

    def kept(what: str, fits: Callable[[str], bool], at: Callable[[int, int], bool]) -> Pieces:
        return {"keep": lambda name, t, T: what if fits(name) and at(t, T) else "add"}

    def always(t: int, T: int) -> bool:
        return True

    groups: dict[str, Callable[[str], bool]] = {"all weights": lambda name: True}
    groups["Wx and Wh"] = lambda name: name[:2] in ("Wx", "Wh")
    groups |= {letter: of_gates(letter) for letter in ("Wx", "Wh", "b", "p")}
    groups["all but the biases"] = lambda name: name[0] != "b"
    groups["p_i and p_f"] = lambda name: name in ("p_i", "p_f")
    groups["Wh, p_i and p_f"] = lambda name: name[:2] == "Wh" or name in ("p_i", "p_f")
    groups |= {f"Wx_{k} and Wh_{k}": {f"Wx_{k}", f"Wh_{k}"}.__contains__ for k in "ifog"}
    groups["the LSTM"] = lambda name: "_" in name
    groups["the output layer"] = lambda name: "_" not in name
    groups |= {f"{name} of the output layer": name.__eq__ for name in ("W", "b")}
    single = {
        f"{letter}_{k}": f"{letter}_{k}".__eq__
        for letter in ("Wx", "Wh", "b", "p")
        for k in "ifog"
        if letter + k != "pg"
    }
    gates = {f"gate {k}": (lambda name, k=k: name[-1] == k) for k in "ifog"}
    for where, fits in (groups | gates | single).items():
        yield Mistake(
            "G111",
            f"the gradient of {where} is overwritten at each step, where steps should add up",
            where,
            kept("set", fits, always),
        )
        yield Mistake(
            "G113",
            f"only the last step contributes to the gradient of {where}",
            where,
            kept("lose", fits, lambda t, T: t < T - 1),
        )
        yield Mistake(
            "G112",
            f"step 0 contributes nothing to the gradient of {where}, though the initial state is not 0",
            where,
            kept("lose", fits, lambda t, T: t == 0),
        )
        yield Mistake(
            "G113",
            f"the last step contributes nothing to the gradient of {where}",
            where,
            kept("lose", fits, lambda t, T: t == T - 1),
        )
    for where, fits in single.items():
        yield Mistake("G101", f"{where} gets no gradient", where, kept("lose", fits, always))


def head_mistakes() -> Iterator[Mistake]:
    """The output layer and the loss."""
    yield Mistake(
        "G110",
        "the error is p, the target is left out: p - onehot(target) belongs there",
        "the loss",
        {"error": lambda q: q.factor * q.p},
    )
    yield Mistake(
        "G110", "the error that enters is the constant 1", "the loss", {"error": lambda q: np.ones_like(q.error)}
    )
    yield Mistake(
        "G102",
        "the sign of the error is wrong: target - p where p - target belongs",
        "the loss",
        {"error": lambda q: -q.error},
    )
    yield Mistake(
        "G102",
        "the gradient is that of the sum, the loss is a mean",
        "the loss",
        {"error": lambda q: q.error / q.factor},
    )
    yield Mistake("G102", "the error is twice too large", "the loss", {"error": lambda q: 2 * q.error})
    yield Mistake("G102", "the error is half of what it should be", "the loss", {"error": lambda q: q.error / 2})
    yield Mistake("G102", "the error is divided by the number of steps", "the loss", {"error": lambda q: q.error / q.T})
    yield Mistake(
        "G107", "the error is multiplied with p (1 - p) too", "the loss", {"error": lambda q: q.error * q.p * (1 - q.p)}
    )
    yield Mistake(
        "G113",
        "only the error of the last step enters",
        "the loss",
        {"error": lambda q: q.error if q.t == q.T - 1 else 0 * q.error},
    )
    yield Mistake(
        "G109",
        "dW of the output layer is an inner product",
        "W",
        {"W": lambda q: np.full_like(q.W, (q.h.sum(axis=1) * q.error.sum(axis=1)).sum())},
    )
    yield Mistake(
        "G109",
        "dW of the output layer is the error alone, the same in every row",
        "W",
        {"W": lambda q: np.broadcast_to(q.error.sum(axis=0), q.W.shape)},
    )
    yield Mistake(
        "G114",
        "dW of the output layer is computed with h of the step before",
        "W",
        {"W": lambda q: outer(q.h_before, q.error)},
    )
    yield Mistake("G103", "dW of the output layer is transposed", "W", {"W": lambda q: square_turned(q)})
    yield Mistake(
        "G103",
        "dh comes back through W as it is, not transposed",
        "W",
        {"dh_out": lambda q: q.error @ q.W if q.W.shape[0] == q.W.shape[1] else np.nan},
    )
    yield Mistake("G101", "nothing comes back through the output layer", "W", {"dh_out": lambda q: 0 * q.h})


def square_turned(q: Any) -> Any:
    """dW transposed, where that has W's shape."""
    return outer(q.error, q.h) if q.W.shape[0] == q.W.shape[1] else np.nan
