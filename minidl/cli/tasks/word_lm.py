"""`--model word_lm`: a word model of plain text; with --preset, trained by a published recipe."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from minidl.callbacks import SumOverTime
from minidl.cli.options import count, value_of
from minidl.cli.tasks.language import LanguageTask, Texts, others_of, parts_of, say_long
from minidl.cli.tasks.task import Job, from_models
from minidl.container import Container
from minidl.corpus import Corpus, cut_lines, word_corpora, word_corpus
from minidl.data import TextStream
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.metrics import perplexity
from minidl.optimizer import Optimizer
from minidl.optimizers import SGD
from minidl.schedules import StepLR
from minidl.text import WordVocab, language_reference

END = "<eos>"  # of a line


def recipe_of(preset: str) -> Any:
    """A published recipe by its name."""
    return from_models("RECIPES")[preset]


class WordLM(LanguageTask):
    """The words of the text that is trained on, an end at each line; losses as perplexities."""

    defaults: ClassVar[dict[str, Any]] = {"units": 200, "dropout": 0.2, "peephole": "none", "window": 32, "lr": 4e-3}
    unit = "perplexity"
    measure = "perplexity"
    symbols = "words"
    each = "word"

    def add_arguments(self, add: Callable[..., Any]) -> None:
        super().add_arguments(add)
        add("--vocab-size", metavar="N", type=count, default=10_000, help="words that are known; the rest are <unk>")
        recipes = [*from_models("RECIPES")]
        add("--preset", choices=recipes, help="SGD and epochs by this recipe (default: Adam, --minutes)")

    def defaults_of(self, given: Sequence[str]) -> dict[str, Any]:
        preset = value_of("--preset", given)
        if preset is None or preset not in from_models("RECIPES"):
            return self.defaults
        recipe = recipe_of(preset)
        same = {name: getattr(recipe, name) for name in ("units", "layers", "dropout", "lr", "clip")}
        return self.defaults | same | {"batch": recipe.batch_size, "window": recipe.time}

    def length_of(self, args: argparse.Namespace) -> tuple[str, float]:
        return self.length if args.preset is None else ("epochs", recipe_of(args.preset).epochs)

    def read(self, args: argparse.Namespace) -> Texts:
        if args.vocab_size < 3:
            raise ArgumentError(
                f"--vocab-size expects at least 3 words, <unk> and {END} included, got {args.vocab_size}."
            )
        say_long(args)
        options: dict[str, Any] = {"limit": args.vocab_size, "end_of_line": END}
        held = isinstance(args.valid, str)  # else words of the part that is held out are not known
        if args.paths:
            corpora = (
                [word_corpus(args.paths, **options)] if held else [*word_corpora(args.paths, args.valid, **options)]
            )
        else:
            text = language_reference()
            parts = [text] if held else cut_lines(text, args.valid)
            learned = WordVocab.of(parts[0], **options)
            corpora = [Corpus.of(part, learned) for part in parts]
        vocab = corpora[0].vocab
        assert isinstance(vocab, WordVocab)
        corpora += [word_corpus(path, vocab) for path in others_of(args)]
        ids = parts_of(args, self.each, corpora)
        words = " ".join(vocab.decode(ids[1][:99]).split()[:5]) or "\n"  # nothing but empty lines
        prompt = words if args.prompt is None else args.prompt
        return Texts(vocab, *ids, prompt)

    def net(self, args: argparse.Namespace, V: int) -> Container:
        peephole = False if args.peephole == "none" else args.peephole
        net: Container
        if args.preset is None:
            net = from_models("word_lm")(V, args.units, args.layers, peephole, args.dropout, tie=True)
        else:
            recipe = recipe_of(args.preset)
            net = recipe._replace(units=args.units, layers=args.layers, dropout=args.dropout).net(V, peephole)
        return net

    def job(self, args: argparse.Namespace) -> Job:
        job = super().job(args)
        job.facts["preset"] = args.preset
        if args.preset is not None:
            job.callbacks = [SumOverTime(), *job.callbacks]
            job.keep_best = False  # its rate falls until the last epoch, which is the one that was published
        return job

    def stream(self, ids: Array, args: argparse.Namespace) -> TextStream:
        return TextStream(ids, args.batch, args.window, drop_last=args.preset is not None)

    def optimizer(self, args: argparse.Namespace, steps: int, steps_per_epoch: int) -> Optimizer:
        if args.preset is None:
            return super().optimizer(args, steps, steps_per_epoch)
        recipe = recipe_of(args.preset)
        held = (recipe.hold - 1) * steps_per_epoch
        return SGD(StepLR(args.lr, steps_per_epoch, recipe.decay, held))

    def figure(self, loss: float) -> float:
        return perplexity(loss)

    def verdict(self, figures: dict[str, Any]) -> str:
        return f"perplexity {figures['loss']:z,.2f} ({math.log(figures['loss']):z.3f} nats per word)"


TASK = WordLM()
