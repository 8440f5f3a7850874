"""`--model char_lm`: a character model of plain text."""

from __future__ import annotations

import argparse
import math
from typing import Any

from minidl.cli.tasks.language import LanguageTask, Texts, others_of, parts_of, say_long
from minidl.cli.tasks.task import from_models
from minidl.container import Container
from minidl.corpus import Corpus, char_corpora
from minidl.metrics import bits_per_character
from minidl.text import CharVocab, language_reference, read_text


class CharLM(LanguageTask):
    """Characters of any script, those of all files; losses in bits."""

    unit = "bits"
    measure = "bits per character"
    symbols = "chars"
    each = "character"

    def read(self, args: argparse.Namespace) -> Texts:
        say_long(args)
        if args.paths:
            corpora = char_corpora([args.paths, *others_of(args)])
        else:
            texts = [language_reference(), *map(read_text, others_of(args))]
            corpora = [Corpus.of(text, CharVocab("".join(texts))) for text in texts]
        vocab, ids = corpora[0].vocab, parts_of(args, self.each, corpora)
        words = vocab.decode(ids[1][:40])
        prompt = (words.rsplit(" ", 1)[0] or words) if args.prompt is None else args.prompt
        return Texts(vocab, *ids, prompt)

    def net(self, args: argparse.Namespace, V: int) -> Container:
        peephole = False if args.peephole == "none" else args.peephole
        net: Container = from_models("char_lm")(V, args.units, args.layers, peephole=peephole, dropout=args.dropout)
        return net

    def figure(self, loss: float) -> float:
        return bits_per_character(loss)

    def verdict(self, figures: dict[str, Any]) -> str:
        bits = figures["loss"]
        return f"{bits:z.3f} bits ({bits * math.log(2):z.3f} nats) per character"


TASK = CharLM()
