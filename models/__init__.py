"""Whole networks, each a function that puts layers together; installed as `minidl.models`."""

from minidl.models.char_lm import char_lm
from minidl.models.forecaster import forecaster
from minidl.models.seq2seq import seq2seq
from minidl.models.tagger import tagger
from minidl.models.text_classifier import text_classifier
from minidl.models.word_lm import RECIPES, Recipe, word_lm

__all__ = ["RECIPES", "Recipe", "char_lm", "forecaster", "seq2seq", "tagger", "text_classifier", "word_lm"]
