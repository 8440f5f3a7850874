"""Whole networks, each a function that puts layers together; installed as `minidl.models`."""

from minidl.models.char_lm import char_lm
from minidl.models.forecaster import forecaster

__all__ = ["char_lm", "forecaster"]
