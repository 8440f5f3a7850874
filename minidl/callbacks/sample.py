"""`SampleText`: what a language model writes, after each epoch."""

from __future__ import annotations

from typing import Any, ClassVar

from minidl.arguments import positive_int
from minidl.callbacks.base import Callback
from minidl.errors import NonFiniteError
from minidl.generation import generate_text
from minidl.trainer import Trainer


class SampleText(Callback):
    """Let the net go on from a prompt at the end of each epoch, and put the text into the row as `sample`.

    Args:
        vocab: a `CharVocab` or `WordVocab`, what the net was trained with.
        prompt: the text to go on from.
        length: how many symbols are written.
        temperature: below 1 the net keeps to what is likely.
        seed: the same in each epoch, so that the samples can be compared.

    Example:
        >>> vocab = minidl.CharVocab.of("hello world")
        >>> sample = minidl.SampleText(vocab, prompt="hello")
    """

    writes: ClassVar[tuple[str, ...]] = ("sample",)

    def __init__(self, vocab: Any, prompt: str, length: int = 200, temperature: float = 0.7, seed: int = 0) -> None:
        self.vocab, self.prompt, self.temperature, self.seed = vocab, prompt, temperature, seed
        self.length = positive_int("SampleText", "length", length)

    def on_fit_start(self, trainer: Trainer) -> None:
        self.write(trainer, 1)  # a prompt or a net that will not do is found before the training

    def on_epoch_end(self, trainer: Trainer) -> None:
        try:
            trainer.row["sample"] = self.write(trainer, self.length)
        except NonFiniteError:  # a net that went wrong has nothing to say; to stop it is not for a sample
            trainer.row["sample"] = ""

    def write(self, trainer: Trainer, length: int) -> str:
        """Some symbols behind the prompt."""
        options: dict[str, Any] = {"temperature": self.temperature, "seed": self.seed}
        return "".join(generate_text(trainer.net, self.vocab, self.prompt, length, **options))
