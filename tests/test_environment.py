"""The test run does not depend on what it inherits."""

import os
import re
import signal
import subprocess
import sys

import pytest

CHILD = "import signal; assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
IGNORING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.executable, sys.argv[1:])
"""


def test_ctrl_c_interrupts_the_tests_and_their_children():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert subprocess.run([sys.executable, "-c", CHILD]).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no ignored signals to inherit")
def test_ctrl_c_interrupts_where_sigint_is_inherited_as_ignored():
    test = f"{__file__}::{test_ctrl_c_interrupts_the_tests_and_their_children.__name__}"
    pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test]
    done = subprocess.run([sys.executable, "-c", IGNORING, *pytest_run], capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_names_of_tests_are_the_same_in_each_process(request):
    """An address in a name is another one in each worker of pytest-xdist, which then refuses to begin."""
    assert not [item.nodeid for item in request.session.items if re.search(r" at 0x[0-9a-f]+", item.nodeid)]
