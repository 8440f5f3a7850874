"""Learn from much text without labels, then from a few words with labels: layers move from one net into another.

Three made-up languages have the same letters, and syllables of their own. A character model reads 600 sentences and
guesses the next letter; nobody tells it that there are languages. Its embedding and its LSTM then go into a classifier
that sees 24 words with the name of their language: frozen, or trained on at a tenth of the rate.
"""

import argparse

import numpy as np

import minidl
from minidl import LSTM, Adam, CrossEntropy, Dense, Embedding, LastStep, PaddedBatches, Sequential, Softmax, Trainer

LANGUAGES = {
    "Sami": ["ka", "to", "mi", "re", "su", "no"],
    "Lute": ["ko", "ta", "me", "ri", "sa", "nu"],
    "Omre": ["ki", "tu", "ma", "ro", "se", "ne"],
}
VOCAB = minidl.CharVocab(" aeioukmnrst")


def draw(rng: np.random.Generator, rows: int, words: int) -> tuple[list[np.ndarray], list[int]]:
    """Sentences of some words of two or three syllables, and which language each is in."""
    texts, labels = [], []
    for _ in range(rows):
        label = int(rng.integers(len(LANGUAGES)))
        syllables = list(LANGUAGES.values())[label]
        texts.append(" ".join("".join(rng.choice(syllables, rng.integers(2, 4))) for _ in range(words)))
        labels.append(label)
    return [VOCAB.encode(text) for text in texts], labels


def language_model(sentences: list[np.ndarray], epochs: int) -> Sequential:
    """A net that has learned which letter comes next."""
    net = Sequential([Embedding(len(VOCAB), 12), LSTM(48, return_sequences=True), Dense(len(VOCAB)), Softmax()])
    batches = PaddedBatches([s[:-1] for s in sentences], [s[1:] for s in sentences], by_length=True)
    history = Trainer(net, CrossEntropy(), Adam(1e-2), [minidl.ClipNorm(1.0)], quiet=True).fit(batches, epochs=epochs)
    bits = minidl.bits_per_character(history["loss"][-1])
    print(f"the character model needs {bits:.2f} bits a letter, from {len(sentences)} sentences")
    return net


def classify(embedding: minidl.Layer, lstm: minidl.Layer, epochs: int, factor: float = 1.0) -> float:
    """Learn languages from 24 words, on layers that may know something already; returns the accuracy on 500 others."""
    net = Sequential([embedding, lstm, LastStep(), Dense(len(LANGUAGES)), Softmax()], name="classifier")
    optimizer = Adam(1e-2, lr_factors={"embedding.*": factor, "lstm.*": factor})
    trainer = Trainer(net, CrossEntropy(), optimizer, metrics=[minidl.accuracy], quiet=True)
    trainer.fit(PaddedBatches(*draw(np.random.default_rng(1), 24, 1), 8), epochs=epochs)
    return trainer.evaluate(PaddedBatches(*draw(np.random.default_rng(2), 500, 1)))["accuracy"]


def main(epochs: int) -> None:
    sentences, _ = draw(np.random.default_rng(0), 600, 4)
    model = language_model(sentences, epochs)
    embedding, lstm = model["embedding"], model["lstm"]
    print(f"the language of a word, learned from 24; {100 / len(LANGUAGES):.0f} % of 500 others are right by chance")
    share = classify(Embedding(len(VOCAB), 12), LSTM(48, return_sequences=True), 2 * epochs)
    print(f"  new layers                   {100 * share:5.1f} %")
    model.freeze("embedding.*").freeze("lstm.*")
    print(f"  reused, frozen               {100 * classify(embedding, lstm, 2 * epochs):5.1f} %")
    model.unfreeze()
    print(f"  reused, at a tenth the rate  {100 * classify(embedding, lstm, 2 * epochs, 0.1):5.1f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few epochs only")
    main(epochs=1 if parser.parse_args().smoke else 20)
