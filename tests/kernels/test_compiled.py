"""What only the compiled kernels have: tiles of matrices, a tanh of their own, a cache on disk."""

import importlib
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from minidl.kernels import machine_code

pytest.importorskip("numba")

from minidl.kernels.compiled import lstm
from minidl.kernels.compiled.adam import adam
from minidl.kernels.compiled.tiles import packed, packed_product

FOLDER = Path(importlib.import_module("minidl.kernels.compiled").__file__).parent


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gru", ["rows", "tiles", "tanh"]),
        ("lstm", ["rows", "tiles", "tanh"]),
        ("lstm_step", ["lstm", "rows", "tiles", "tanh"]),
        ("simple_rnn", ["rows", "tiles", "tanh"]),
        ("softmax", ["exp"]),
    ],
)
def test_a_changed_part_is_compiled_anew(name, parts):
    built_on = importlib.import_module(f"minidl.kernels.compiled.{name}").BUILT_ON
    now = f"{zlib.crc32(b''.join((FOLDER / f'{part}.py').read_bytes() for part in parts)):08x}"
    assert built_on == now, f'write BUILT_ON = "{now}" in {name}.py: numba looks at that file alone'


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("M", [1, 2, 3, 4, 5, 6, 7, 13, 25, 50, 101])
@pytest.mark.parametrize(("K", "N"), [(1, 1), (3, 7), (16, 16), (40, 33), (520, 130), (1030, 64), (5, 80)])
def test_a_product_by_tiles(M, K, N, dtype):
    rng = np.random.default_rng(0)
    a, W = rng.standard_normal((M, K)).astype(dtype), rng.standard_normal((K, N)).astype(dtype)
    for matrix in W, np.asfortranarray(W):
        c = np.full((M, N), np.nan, dtype)
        packed_product(a, matrix, c)
        exact = a.astype(np.longdouble) @ W.astype(np.longdouble)
        bound = K * np.finfo(dtype).eps * (abs(a).astype(np.float64) @ abs(W).astype(np.float64))
        assert (abs(c - exact) <= bound).all()


def test_packing_keeps_every_entry():
    W = np.arange(3 * 20, dtype=np.float32).reshape(3, 20)
    B = packed(W)
    assert B.shape == (2, 3, 16)
    np.testing.assert_array_equal(B.transpose(1, 0, 2).reshape(3, 32)[:, :20], W)
    assert not B[1, :, 4:].any()


def test_tanh_is_right_to_the_last_digits():
    x = np.concatenate([np.linspace(-12, 12, 200_001), np.geomspace(1e-40, 1e38, 2_001)]).astype(np.float32)
    y = x.copy()
    lstm.tanh_row(y)
    exact = np.tanh(x.astype(np.float64))
    normal = abs(x) > np.finfo(np.float32).tiny
    assert abs(y / np.where(normal, exact, 1) - 1)[normal & (x != 0)].max() < 5e-7
    assert (abs(y) <= 1).all() and (y[abs(x) > 9.1] == np.sign(x[abs(x) > 9.1])).all()
    edge = np.array([np.nan, np.inf, -np.inf, -0.0] * 16, np.float32)
    with np.errstate(invalid="ignore"):
        lstm.tanh_row(edge)
    np.testing.assert_array_equal(edge[:4], [np.nan, 1, -1, 0])


def test_adam_is_compiled():
    x, g, m, v = (np.full(3, value) for value in (1.0, 2.0, 0.0, 0.0))
    adam(x, g, m, v, 0.9, 0.999, 0.1, 1e-8, 1.0)
    np.testing.assert_allclose((x, m, v), ([1 - 0.1 * 0.2 / (0.004**0.5 + 1e-8)] * 3, [0.2] * 3, [0.004] * 3))


def test_it_is_the_package_that_the_backend_loads(kernels):
    assert (machine_code("lstm", np.dtype("f")) is lstm) == (kernels == "numba")


COMPILES = """
import sys, numpy as np
from minidl.kernels import add_rows
for dtype in sys.argv[1:]:
    add_rows(np.zeros((3, 2), dtype), np.array([0, 1]), np.ones((2, 2), dtype))
"""


def said(cache, *dtypes):
    """What a process prints that uses one kernel, with its cache in a folder of its own."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache), "MINIDL_KERNELS": "numba"}
    done = subprocess.run([sys.executable, "-c", COMPILES, *dtypes], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr


@pytest.mark.slow
def test_compilation_is_announced_when_it_happens_and_only_then(tmp_path):
    first = said(tmp_path, "float32")
    assert "minidl compiles kernels for float32" in first and f"later runs load them from {tmp_path}" in first
    assert said(tmp_path, "float32") == ""
    for path in tmp_path.rglob("*.nbi"):  # as after an update of numba
        path.unlink()
    again = said(tmp_path, "float64", "float32")  # another dtype has kernels of its own
    assert "for float64" in again and again.count("\n") == 1
