"""Where do the commas go? A tagger reads words without a mark between them, and says what belongs behind each.

The text is the language reference that every Python ships; its last tenth is held out. A mark is a tag of the word
before it: nothing, a comma, or an end of the sentence.
"""

import argparse
import re
import time

import numpy as np
from minidl.models import tagger

from minidl import Adam, ClipNorm, CrossEntropy, EarlyStopping, PaddedBatches, Trainer, WordVocab, accuracy
from minidl.text import language_reference

MARKS = ["", ",", "."]
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*|[.,]")
LENGTH = 40  # words that are read at a time


def tagged(text: str) -> tuple[list[list[str]], list[list[int]]]:
    """Rows of words, and the mark behind each word."""
    words, tags = [], []
    for paragraph in re.split(r"\n\s*\n", text):
        if not re.match(r"\s*[A-Z].*\.\s*$", paragraph, re.DOTALL):  # code, grammar, headings
            continue
        for token in WORD.findall(paragraph.replace("“", "").replace('"', "")):
            if token not in MARKS:
                words.append(token.lower())
                tags.append(0)
            elif words:
                tags[-1] = MARKS.index(token)
    at = range(0, len(words) - LENGTH, LENGTH)
    return [words[k : k + LENGTH] for k in at], [tags[k : k + LENGTH] for k in at]


def written(words: list[str], tags: np.ndarray) -> str:
    """Words with their marks."""
    return " ".join(word + MARKS[tag] for word, tag in zip(words, tags, strict=True))


def main(smoke: bool) -> None:
    words, tags = tagged(language_reference()[: 60_000 if smoke else None])
    cut = len(words) * 9 // 10
    vocab = WordVocab.of(" ".join(" ".join(row) for row in words[:cut]), min_count=2)
    x, t = [vocab.encode(" ".join(row)) for row in words], [np.array(row) for row in tags]
    train = PaddedBatches(x[:cut], t[:cut], 16)
    held = PaddedBatches(x[cut:], t[cut:], 16, shuffle=False)
    counts = np.bincount(np.concatenate(t[cut:]), minlength=len(MARKS))
    print(f"{cut * LENGTH:,} words to train on, {counts.sum():,} held out, {len(vocab):,} different ones")
    print(f"no mark behind any of them would be {counts[0] / counts.sum():.1%} right\n")

    net = tagger(len(vocab), len(MARKS), units=48, dropout=0.3)
    trainer = Trainer(net, CrossEntropy(), Adam(4e-3), [ClipNorm(5.0), EarlyStopping(2)], metrics=[accuracy])
    began = time.perf_counter()
    trainer.fit(train, epochs=2 if smoke else 15, validation=held)
    guess, true = net.predict(np.stack(x[cut:])).argmax(axis=-1), np.stack(t[cut:])
    print(f"\n{(guess == true).mean():.1%} of the words have the right mark, {time.perf_counter() - began:.0f} seconds")
    for tag, name in (1, "commas"), (2, "ends of sentences"):
        found, there, right = (guess == tag).sum(), (true == tag).sum(), ((guess == tag) & (true == tag)).sum()
        print(f"{name}: {right} of {there} found, {found - right} where there is none")
    print(f"\n{written(words[cut], guess[0])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a part of the text, and little training")
    main(parser.parse_args().smoke)
