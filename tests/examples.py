"""The number of Hypothesis examples of tests that cost more than most."""

from hypothesis import settings


def fewer_examples(divisor: int) -> settings:
    """Decorate a test that runs a fraction of the examples of the selected profile, and at least one."""
    return settings(max_examples=max(1, settings().max_examples // divisor))
