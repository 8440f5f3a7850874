"""Why is my loss climbing? A character model with the faults of a real training, healed one finding at a time.

Window 100, hidden 100, learning rate 0.1, gradients clipped to ±6. Its code runs without a word of complaint; what is
wrong is in the data that it is fed with and in its loss. `minidl.diagnose` looks, and each fault stands beside the line
that mends it.
"""

import argparse
import string
from pydoc_data.topics import topics
from textwrap import fill

import numpy as np

import minidl

WINDOW, HIDDEN = 100, 100
CHANGED = {
    "D401": "x = range(len(inputs))  ->  x = inputs",
    "D402": "targets = ids[at : at + WINDOW]  ->  targets = ids[at + 1 : at + WINDOW + 1]",
    "L504": "the sum over 100 steps at rate 0.1, clipped to ±6  ->  the mean at rate 2, clipped to a norm of 1",
}


class SummedCrossEntropy(minidl.SoftmaxCrossEntropy):
    """The loss of a window is the sum of its steps, as it is often written by hand."""

    def __call__(self, y, t, weight=None, mask=None):
        value, dy, total = super().__call__(y, t, weight, mask)
        return value * total, dy * total, total  # total: how many positions count


def windows(ids: np.ndarray, mended: set[str]) -> list[minidl.Batch]:
    """One row, window after window; the state of one is carried into the next."""
    batches = []
    for at in range(0, len(ids) - WINDOW, WINDOW):
        inputs = ids[at : at + WINDOW]
        targets = ids[at + 1 : at + WINDOW + 1] if "D402" in mended else ids[at : at + WINDOW]
        x = inputs if "D401" in mended else np.array(range(len(inputs)))
        batches.append(minidl.Batch(x[None], targets[None], start=at == 0))
    return batches


def training(ids: np.ndarray, V: int, mended: set[str]) -> tuple:
    """What `diagnose` and `Trainer` are given: net, loss, batches, optimizer, callbacks."""
    body = [minidl.Embedding(V, 32), minidl.LSTM(HIDDEN, return_sequences=True), minidl.Dense(V)]
    loss, optimizer, clip = SummedCrossEntropy(), minidl.SGD(0.1), minidl.ClipValue(6.0)
    if "L504" in mended:
        loss, optimizer, clip = minidl.SoftmaxCrossEntropy(), minidl.SGD(2.0), minidl.ClipNorm(1.0)
    return minidl.Sequential(body), loss, windows(ids, mended), optimizer, [clip]


def bits(ids: np.ndarray, V: int, mended: set[str], epochs: int) -> list[float]:
    """Train, and say after each epoch what a character costs."""
    net, loss, batches, optimizer, callbacks = training(ids, V, mended)
    trainer = minidl.Trainer(net, loss, optimizer, callbacks, quiet=True)
    means = np.array(trainer.fit(batches, epochs=epochs)["loss"]) / (1 if "L504" in mended else WINDOW)
    return [round(float(mean), 2) for mean in means / np.log(2)]


def main(smoke: bool) -> None:
    text = "\n\n".join(topics[name] for name in sorted(topics))[: 12_000 if smoke else 100_000]
    vocab = minidl.CharVocab(string.printable + text)
    ids, V, epochs, mended = vocab.encode(text), len(vocab), 1 if smoke else 5, set()
    counted = minidl.ngram_bits(ids, ids[: len(ids) // 10], V, order=2)
    print(f"{len(text):,} characters, of {V} kinds; a unigram needs {counted['unigram']:.2f} bits for one\n")
    while True:
        print(f"trained like this: {bits(ids, V, mended, epochs)} bits a character, epoch by epoch")
        net, loss, batches, optimizer, callbacks = training(ids, V, mended)
        found = minidl.diagnose(net, loss, batches, optimizer=optimizer, vocab=vocab, callbacks=callbacks).findings
        errors = [finding for finding in found if finding.severity == "error"]
        if not errors:
            print("      nothing is wrong any more")
            return
        first = errors[0]
        if first.code in mended or first.code not in CHANGED:
            raise SystemExit(f"{first.code} remains: {first.title}, {first.evidence}")
        print(fill(f"{first.code}  {first.title}", 100, subsequent_indent=" " * 6))
        print(fill(f"seen: {first.evidence}", 100, initial_indent=" " * 6, subsequent_indent=" " * 12))
        print(fill(f"changed: {CHANGED[first.code]}", 100, initial_indent=" " * 6, subsequent_indent=" " * 15) + "\n")
        mended = mended | {first.code}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a short text, and little training")
    main(parser.parse_args().smoke)
