"""Whose docstring is this? A text classifier learns to tell the words of NumPy, SciPy and Python apart.

The docstrings are those that are installed here. Equal ones stay on one side of the split, and the vocabulary is that
of the part that is trained on; words that it does not have are `<unk>`.
"""

import argparse
import ast
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import scipy
from minidl.models import text_classifier

from minidl import (
    Adam,
    ClipNorm,
    CrossEntropy,
    EarlyStopping,
    PaddedBatches,
    Trainer,
    WordVocab,
    accuracy,
    pad,
    split_rows,
    tokenize,
)

FOLDERS = {"numpy": np.__file__, "scipy": scipy.__file__, "python": ast.__file__}
LONGEST = 60  # words that are read of a docstring
NEW = [
    "Return the sum of the elements along an axis.",
    "Compute the survival function of the distribution at x.",
    "Open the file and return a stream; raises OSError upon failure.",
]


def docstrings(file: str) -> Iterator[str]:
    """The first paragraphs of what is documented in a package."""
    for path in sorted(Path(file).parent.rglob("*.py")):
        if {"site-packages", "tests", "test", "idlelib", "lib2to3"} & {*path.parts[len(Path(file).parent.parts) :]}:
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (told := ast.get_docstring(node)):
                first = " ".join(told.split("\n\n")[0].split())
                if len(first) > 30:
                    yield first


def main(smoke: bool) -> None:
    rng, texts, labels = np.random.default_rng(0), [], []
    for label, file in enumerate(FOLDERS.values()):
        found = sorted({*islice(docstrings(file), 200 if smoke else None)})
        chosen = rng.permutation(len(found))[: 100 if smoke else 2000]
        texts += [found[k] for k in chosen]
        labels += [label] * len(chosen)
    t = np.array(labels)
    words = [tokenize(text.lower())[:LONGEST] for text in texts]
    train, held = split_rows([" ".join(row) for row in words], 0.2, labels)
    vocab = WordVocab.of(" ".join(" ".join(words[n]) for n in train), min_count=2)
    ids = [vocab.encode(" ".join(row)) for row in words]
    batches, validation = (
        PaddedBatches([ids[n] for n in rows], t[rows], 32, shuffle=rows is train) for rows in (train, held)
    )
    counts = np.bincount(t[held])
    print(f"{len(train):,} docstrings to train on, {len(held):,} held out, {len(vocab):,} words")
    print(f"always {list(FOLDERS)[counts.argmax()]!r} would be {counts.max() / counts.sum():.1%} right\n")

    net = text_classifier(len(vocab), len(FOLDERS), units=32, dropout=0.3)
    trainer = Trainer(net, CrossEntropy(), Adam(4e-3), [ClipNorm(5.0), EarlyStopping(2)], metrics=[accuracy])
    began = time.perf_counter()
    trainer.fit(batches, epochs=2 if smoke else 10, validation=validation)
    right = trainer.evaluate(validation)["accuracy"]
    print(f"\n{right:.1%} of those held out are told right, after {time.perf_counter() - began:.0f} seconds")
    x, mask = pad([vocab.encode(" ".join(tokenize(text.lower()))) for text in NEW])
    for text, p in zip(NEW, net.predict(x, mask=mask), strict=True):
        print(f"{list(FOLDERS)[p.argmax()]:7} {p.max():4.0%}  {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="some docstrings, and little training")
    main(parser.parse_args().smoke)
