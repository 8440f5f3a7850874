"""Whole networks, each a function that puts layers together; installed as `minidl.models`."""

from minidl.models.char_lm import char_lm
from minidl.models.word_lm import RECIPES, Recipe, word_lm

__all__ = ["RECIPES", "Recipe", "char_lm", "word_lm"]
