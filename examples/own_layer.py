"""Write a layer by hand, and let minidl prove it, or say what is wrong with it.

The layer is a gate: y = x * sigmoid(x W + b). Its first backward has one sign wrong and forgets the path through
x itself; the report says so, and the mended one passes every check that the built-in layers pass.
"""

import argparse

import numpy as np

from minidl import Layer
from minidl.checking import check_layer, gradcheck


class Gate(Layer):
    """y = x * s, s = sigmoid(x W + b)."""

    def setup(self, in_shape, rng, dtype):
        D = in_shape[-1]
        self.W = self.add_param("W", (rng.standard_normal((D, D)) / np.sqrt(D)).astype(dtype))
        self.b = self.add_param("b", np.zeros(D, dtype))
        return in_shape

    def forward(self, x, *, rng=None):
        s = 1 / (1 + np.exp(-(x @ self.W.value + self.b.value)))
        return x * s, (x, s)

    def backward(self, dy, cache):
        x, s = cache
        dz = dy * x * s * (1 - s)
        self.W.grad += x.T @ dz
        self.b.grad += dz.sum(axis=0)
        return dy * s + dz @ self.W.value.T


class SickGate(Gate):
    def backward(self, dy, cache):
        x, s = cache
        dz = -dy * x * s * (1 - s)  # the sign
        self.W.grad += x.T @ dz
        self.b.grad += dz.sum(axis=0)
        return dy * s  # x reaches y through s as well


def main() -> None:
    for gate in SickGate(), Gate():
        print(check_layer(gate, (4,)), end="\n\n")
        gate.build((4,))
        print(gradcheck(gate), end="\n\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="the same: it takes less than a second")
    parser.parse_args()
    main()
