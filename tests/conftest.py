"""Settings of the test run."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

# The arrays of the tests are small: a second BLAS thread only waits for the first, and for other programs' threads.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - the variables have to be set before NumPy is loaded
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

import minidl  # noqa: E402
from minidl.kernels.backend import backend, machine_code  # noqa: E402
from minidl.kernels.threads import libraries, pool, team  # noqa: E402

ROOT = Path(__file__).parent.parent

# Two runs of `default` or of `ci` draw the same examples. `nightly` draws at random, and prints how to reproduce a
# failure. Choose one with HYPOTHESIS_PROFILE=ci or --hypothesis-profile=ci; a test that costs much takes a fraction of
# the examples (tests/examples.py). Nothing is timed: a busy machine is slow, not wrong.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("default", derandomize=True, database=None, max_examples=25, **UNTIMED)
settings.register_profile("ci", derandomize=True, database=None, max_examples=300, **UNTIMED)
settings.register_profile("nightly", derandomize=False, database=None, max_examples=2000, print_blob=True, **UNTIMED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items):
    """Refuse test ids that differ between processes: the workers of pytest-xdist would not agree on the tests."""
    for item in items:
        if " at 0x" in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid} holds the address of an object. Pass ids= to parametrize.")


@pytest.fixture(scope="session", autouse=True)
def default_sigint():
    """Let Ctrl-C raise KeyboardInterrupt, here and in child processes.

    Jobs that a shell starts in the background, nohup and some CI runners inherit SIGINT as ignored, and Python then
    installs no handler. A child process gets the default action back where its parent has a handler.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def pytest_sessionstart(session):
    """Compile before the tests begin, so that no command among them says that it does.

    The workers of pytest-xdist start after that and load from the disk: nothing is compiled twice, and none of them
    writes while another one reads. float64 is compiled in a process of its own: that takes half of the time.
    """
    worker = hasattr(session.config, "workerinput")
    if find_spec("numba") and not worker and not session.config.option.collectonly:
        program = "from tests.conftest import compile_kernels; compile_kernels('float64')"
        with setting("MINIDL_KERNELS", "numba"):
            other = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.DEVNULL)
            compile_kernels("float32")
            assert other.wait() == 0


def compile_kernels(dtype):
    """Call each compiled kernel that a command may need."""
    recurrent = [kind(3, return_sequences=True) for kind in (minidl.LSTM, minidl.GRU, minidl.SimpleRNN)]
    net = minidl.Sequential([minidl.Embedding(5, 4), *recurrent, minidl.Dense(5)])
    net.build((None,), dtype=np.dtype(dtype))
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
