"""A net that remembers: the first symbol of a sequence, named after 10 others, with a training loop in plain sight.

An LSTM with peepholes reads a symbol that matters and 10 that do not, and must name the first at the end.
"""

import argparse

import numpy as np

import minidl

SYMBOLS, LENGTH = 8, 10


def draw(rng: np.random.Generator, rows: int) -> minidl.Batch:
    """Random sequences; the target is their first symbol."""
    ids = rng.integers(0, SYMBOLS, (rows, LENGTH + 1))
    return minidl.Batch(ids, ids[:, 0])


def main(steps: int) -> float:
    net = minidl.Sequential(
        [
            minidl.Embedding(SYMBOLS, 16),
            minidl.LSTM(32, peephole=True),
            minidl.Dense(SYMBOLS),
            minidl.Softmax(),
        ],
        name="first_net",
    )
    net.build((None,), seed=0)
    net.summary()
    loss, optimizer, rng = minidl.CrossEntropy(), minidl.Adam(1e-2), np.random.default_rng(0)
    test = draw(np.random.default_rng(1), 500)
    share = 0.0
    print(f"\n step   loss   |grad|   right\n{'':5s} {np.log(SYMBOLS):6.3f}   by chance, ln {SYMBOLS}")
    for step in range(1, steps + 1):
        net.zero_grads()
        result = minidl.loss_and_grads(net, loss, draw(rng, 64))
        norm = minidl.clip_norm(net.params, 1.0)
        optimizer.step(net.params)
        if step % max(1, steps // 8) == 0:
            share, _ = minidl.accuracy(net(test.x), test.t)
            print(f"{step:5d} {float(result.value):6.3f} {norm:8.3f} {100 * share:6.1f} %")
    return share


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few steps only")
    main(steps=8 if parser.parse_args().smoke else 400)
