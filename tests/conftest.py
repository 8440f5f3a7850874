"""Settings of the test run."""

import os
from contextlib import contextmanager
from importlib.util import find_spec

# The arrays of the tests are small: a second BLAS thread only waits for the first, and for other programs' threads.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - the variables have to be set before NumPy is loaded
import pytest  # noqa: E402

import minidl  # noqa: E402
from minidl.kernels.backend import backend, machine_code  # noqa: E402
from minidl.kernels.threads import libraries, pool, team  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels():
    """Compile before the tests begin, so that no command among them says that it does."""
    if find_spec("numba"):
        with setting("MINIDL_KERNELS", "numba"):
            for dtype in np.float32, np.float64:
                recurrent = [kind(3, return_sequences=True) for kind in (minidl.LSTM, minidl.GRU, minidl.SimpleRNN)]
                net = minidl.Sequential([minidl.Embedding(5, 4), *recurrent, minidl.Dense(5)])
                net.build((None,), dtype=dtype)
                batch = minidl.Batch(np.zeros((2, 3), int), np.ones((2, 3), int))
                minidl.Trainer(net, minidl.SoftmaxCrossEntropy(), quiet=True).fit([batch])
                list(minidl.generate(net, [1, 2], 2))


@pytest.fixture(scope="module", params=["numpy", "numba"] if find_spec("numba") else ["numpy"])
def kernels(request):
    """Run a module's tests on each implementation of the kernels."""
    with setting("MINIDL_KERNELS", request.param):
        yield request.param


@pytest.fixture(scope="module")
def two_threads():
    """Let kernels share their work, however few threads the BLAS has."""
    with setting("MINIDL_THREADS", "2"):
        yield


@contextmanager
def setting(name, value):
    """An environment variable of minidl's, read anew."""
    before = os.environ.get(name)
    try:
        os.environ[name] = value
        for read in (backend, machine_code, libraries, team, pool):
            read.cache_clear()
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
        for read in (backend, machine_code, libraries, team, pool):
            read.cache_clear()
