"""A training that is killed, any number of times, ends with the bits of one that is not."""

import random
import subprocess
import sys

import pytest

from tests.integration import killed_training
from tests.integration.killed_training import DATA, OPTIMIZERS, compare, killed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [0, 5, 10, 15])  # each kind of data
def test_killed_training_ends_with_the_same_bits(scenario):
    same, kills, _ = compare(scenario, 2, seed=scenario)
    assert same and kills >= 1


@pytest.mark.slow
@pytest.mark.parametrize("scenario", range(len(DATA) * len(OPTIMIZERS)))
def test_every_optimizer_with_every_kind_of_data(scenario):
    same, kills, _ = compare(scenario, 4, seed=100 + scenario)
    assert same and kills >= 3


def test_a_training_that_fails_by_itself_is_no_kill(tmp_path, monkeypatch):
    code = "import sys; print('begins', flush=True); sys.stdout.close(); sys.exit(1)"

    def launch(*_):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        process.send_signal = lambda number: process.wait()  # it comes too late
        return process

    monkeypatch.setattr(killed_training, "launch", launch)
    with pytest.raises(AssertionError, match="a training failed by itself, with 1"):
        killed(0, 3, random.Random(0), tmp_path)
