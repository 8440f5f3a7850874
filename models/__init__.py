"""Whole networks, each a function that puts layers together; installed as `minidl.models`."""

from minidl.models.char_lm import char_lm
from minidl.models.tagger import tagger
from minidl.models.text_classifier import text_classifier

__all__ = ["char_lm", "tagger", "text_classifier"]
