"""What stands behind the LSTM: nothing, an output layer, a softmax, a loss; its backward pass, in pieces as well."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from minidl.checking.naming.forwards import Head, outputs
from minidl.checking.naming.textbook import Pass, Pieces, outer
from minidl.inputs import Array

HEAD: dict[str, Any] = {
    "error": lambda q: q.error,  # of the scores, or of h where there is no output layer
    "W": lambda q: outer(q.h, q.error),
    "b": lambda q: q.error.sum(axis=0),
    "dh_out": lambda q: q.error @ q.W.T,
}


def head_backward(
    head: Head, run: Pass, weights: Mapping[Any, Array], dy: Array | None, target: Array | None, pieces: Pieces
) -> tuple[Array, dict[Any, Array]]:
    """The gradient of h [B, T, H] and those of the output layer, from dy or from the target of a loss."""
    G = HEAD | dict(pieces)
    out = outputs(run, weights)
    kind = head.kind.removeprefix("squares of ")
    W = weights.get((-1, "W"))
    T = run.h.shape[1]
    total = {key: np.zeros_like(w) for key, w in weights.items() if key in ((-1, "W"), (-1, "b"))}
    dh = np.zeros_like(run.h)
    last_only = "T" not in head.layout.axes
    keep = G.get("keep", lambda name, t, T: "add")
    for t in range(T - 1 if last_only else 0, T):
        at = 0 if last_only else t
        q = SimpleNamespace(t=t, T=T, W=W, h=run.h[:, t], factor=head.factor)
        q.h_before = run.steps[-1][t].h_
        q.p = out.get("softmax", run.h)[:, t]
        if target is not None:
            q.target = target[:, at]
            q.error = head.factor * ((q.p if kind == "cross-entropy" else out[kind][:, t]) - q.target)
        elif dy is not None:
            q.target = None
            q.error = dy[:, at]
        if kind == "softmax":
            q.error = q.p * (q.error - (q.error * q.p).sum(axis=-1, keepdims=True))
        q.error = G["error"](q)
        if kind == "h":
            dh[:, t] = q.error
            continue
        for key in total:
            what = keep(key[1], t, T)
            if what == "set":
                # the loop runs backwards, so what is left is the share of the first step
                total[key] = G[key[1]](q) if t == 0 or last_only else total[key]
            elif what == "add":
                total[key] = total[key] + G[key[1]](q)
        dh[:, t] = G["dh_out"](q)
    return dh, total
