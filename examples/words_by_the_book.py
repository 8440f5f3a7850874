"""A word model trained by a published recipe, to the letter: Zaremba, Sutskever & Vinyals 2014, the small one.

Two layers of 200 cells, weights drawn from ±0.1, forget bias 0, no dropout; windows of 20 words in 20 rows, the state
carried; SGD on the sum of a window's losses at rate 1, halved after each epoch from the fifth on, clipped to a norm of
5; 13 epochs. On the Penn Treebank, which may not be shipped, that gives perplexities of 37.99 on the words that it is
trained on, 121.39 in validation and 115.91 in the test. Here it reads the language reference of Python.
"""

import argparse

from minidl.models import RECIPES

from minidl import (
    SGD,
    ClipNorm,
    CrossEntropy,
    StepLR,
    SumOverTime,
    TextStream,
    Trainer,
    WordVocab,
    ngram_bits,
    perplexity,
)
from minidl.callbacks import Console
from minidl.text import language_reference


def main(smoke: bool) -> None:
    lines = language_reference()[: 60_000 if smoke else None].splitlines(keepends=True)
    cuts = len(lines) * 8 // 10, len(lines) * 9 // 10
    texts = ["".join(part) for part in (lines[: cuts[0]], lines[cuts[0] : cuts[1]], lines[cuts[1] :])]
    recipe = RECIPES["zaremba-small"]._replace(epochs=2) if smoke else RECIPES["zaremba-small"]
    vocab = WordVocab.of(texts[0], limit=10_000, end_of_line="<eos>")
    train, valid, test = map(vocab.encode, texts)
    windows = TextStream(train, recipe.batch_size, recipe.time, drop_last=True)
    each = len(windows)
    optimizer = SGD(StepLR(recipe.lr, every=each, factor=recipe.decay, hold=(recipe.hold - 1) * each))
    counted = {name: 2**bits for name, bits in ngram_bits(train, valid, len(vocab), order=3).items()}
    print(f"{len(train):,} words, {len(vocab):,} different ones; perplexities of counting in validation:")
    print("   ".join(f"{name} {figure:,.0f}" for name, figure in counted.items()) + "\n")

    net = recipe.net(len(vocab))
    net.build((None,), seed=0)
    callbacks = [SumOverTime(), ClipNorm(recipe.clip), Console(perplexity=True, symbols="words", baselines=counted)]
    trainer = Trainer(net, CrossEntropy(), optimizer, callbacks)
    begun = trainer.evaluate(TextStream(valid, recipe.batch_size, recipe.time))["loss"]
    print(f"before the first update {perplexity(begun):,.0f}: about as many as there are words, {len(vocab):,}\n")
    trainer.fit(windows, epochs=recipe.epochs, validation=TextStream(valid, recipe.batch_size, recipe.time))
    print(f"\ntest {perplexity(trainer.evaluate(TextStream(test, 1, recipe.time))['loss']):,.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a part of the text, and two epochs")
    main(parser.parse_args().smoke)
