"""A training that is killed, any number of times, ends with the bits of one that is not."""

import sys

import pytest

from tests.integration.killed_training import DATA, OPTIMIZERS, compare

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")


@pytest.mark.parametrize("scenario", [0, 4, 5])  # each kind of data
def test_killed_trainings_end_with_the_same_bits(scenario):
    same, kills, _ = compare(scenario, 3, seed=scenario)
    assert same and kills >= 1


@pytest.mark.slow
@pytest.mark.parametrize("scenario", range(len(DATA) * len(OPTIMIZERS)))
def test_every_optimizer_with_every_kind_of_data(scenario):
    same, kills, _ = compare(scenario, 4, seed=100 + scenario)
    assert same and kills >= 3
