"""An encoder-decoder with attention that learns to write strings backwards, in less than a minute.

The encoder reads the string; the decoder starts from the state in which the encoder ended, and before each letter that
it writes it looks back at all that the encoder said. In training it is given the letters that are right so far; in the
end it has to live with its own.
"""

import argparse
import string
import time

import numpy as np

from minidl import (
    LSTM,
    Adam,
    Attention,
    Callback,
    ClipNorm,
    Concatenate,
    Dense,
    Embedding,
    Graph,
    SoftmaxCrossEntropy,
    Trainer,
    accuracy,
)

LETTERS = string.ascii_lowercase
GO = len(LETTERS)  # what the decoder is given before its first letter


def reverser(units: int) -> Graph:
    net = Graph(inputs=("source", "target"), name="reverser")
    net.add("read", Embedding(len(LETTERS), 16), "source")
    net.add("encoder", LSTM(units, return_sequences=True), "read")
    net.add("written", Embedding(len(LETTERS) + 1, 16), "target")
    net.add("decoder", LSTM(units, return_sequences=True), "written", state="encoder")
    net.add("attention", Attention(), "decoder", "encoder")
    net.add("both", Concatenate(), "decoder", "attention")
    net.add("scores", Dense(len(LETTERS)), "both")
    return net


def strings(count: int, length: int, rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    source = rng.integers(0, len(LETTERS), (count, length))
    t = source[:, ::-1]
    return (source, np.concatenate([np.full((count, 1), GO), t[:, :-1]], axis=1)), t


def write(net: Graph, source: np.ndarray) -> np.ndarray:
    """Letter by letter: each step is given what was written before it."""
    target = np.full((len(source), 1), GO)
    for _ in range(source.shape[1]):
        letters = net((source, target))[:, -1:].argmax(axis=-1)
        target = np.concatenate([target, letters], axis=1)
    return target[:, 1:]


class StopWhenRight(Callback):
    """End the training when all letters of the validation are right."""

    def on_epoch_end(self, trainer: Trainer) -> None:
        if trainer.row["valid_accuracy"] > 0.999:
            trainer.stop("every letter of the validation is right")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that it runs")
    smoke = parser.parse_args().smoke
    rng = np.random.default_rng(0)
    x, t = strings(500 if smoke else 20_000, 10, rng)
    held_out, expected = strings(500, 10, rng)
    net = reverser(16 if smoke else 64)
    callbacks = [ClipNorm(1.0), StopWhenRight()]
    trainer = Trainer(net, SoftmaxCrossEntropy(), Adam(5e-3), callbacks, metrics=[accuracy])
    began = time.perf_counter()
    trainer.fit(x, t, epochs=1 if smoke else 15, batch_size=64, validation=(held_out, expected))
    print(f"\ntrained for {time.perf_counter() - began:.0f} seconds")
    written = write(net, held_out[0])
    for source, letters in zip(held_out[0][:3], written[:3], strict=True):
        print("".join(LETTERS[k] for k in source), "->", "".join(LETTERS[k] for k in letters))
    print(f"{(written == expected).all(axis=1).mean():.1%} of 500 new strings are reversed without a mistake")


if __name__ == "__main__":
    main()
