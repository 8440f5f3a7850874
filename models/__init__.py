"""Whole networks, each a function that puts layers together; installed as `minidl.models`."""

from minidl.models.char_lm import char_lm
from minidl.models.seq2seq import seq2seq
from minidl.models.word_lm import word_lm

__all__ = ["char_lm", "seq2seq", "word_lm"]
