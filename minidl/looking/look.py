"""`look`: a language model reads a text, and everything that can be seen of it is gathered in a `Look`."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np

from minidl.arguments import positive_int
from minidl.data import Batch
from minidl.errors import ArgumentError
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.looking.activations import activations, cell_values, traceable
from minidl.looking.flow import reach
from minidl.looking.following import Follower, following
from minidl.looking.gates import GATES, Gate, gates
from minidl.looking.pictures import SHARE, SIGNED, Scale
from minidl.looking.properties import REMEMBERED, properties
from minidl.losses import CrossEntropy, Loss, SoftmaxCrossEntropy
from minidl.names import offer
from minidl.text import Vocab

READ, LEAST = 20_000, 5_000  # symbols: with so many a correlation holds; large nets read fewer, for they take long
WORK = 1e10  # weights times symbols: some seconds
WINDOW, ROWS = 100, 16  # of the gradient's way back
WORTH_SHOWING = 0.3  # a correlation below it is not seen in the colours


class Shown(NamedTuple):
    """What a text is coloured by: a cell, a gate of a cell, or the mean of a gate over all cells."""

    layer: str
    cell: int | None
    gate: str | None
    what: str  # the same in words
    values: Array  # [T]
    scale: Scale
    follows: str | None = None  # the property that the cell was found to follow

    @property
    def title(self) -> str:
        """Layer, cell and quantity, in words."""
        return f"{self.layer}, {self.what}"


class Look(NamedTuple):
    """What a net did while it read a text; `minidl.looking.Report` shows it."""

    pieces: list[str]  # the symbols that were read, T
    activations: dict[str, dict[str, Array]]  # by layer and letter, [T, H]
    properties: dict[str, Array]  # by name, [T]
    followers: dict[str, list[Follower]]  # by property
    reach: dict[str, Array]  # by layer, norms by lag; empty for a net that is no language model, or too short a text

    def gates(self, layer: str) -> dict[str, Gate]:
        """The gates of a layer."""
        return gates(self.activations[layer])

    def layer(self, name: str | None = None) -> str:
        """The path of a layer that was looked into; the only one where no name is given."""
        known = [*self.activations]
        if name is None:
            if len(known) > 1:
                raise ArgumentError(f"There are several layers to look into, {', '.join(known)}: name one of them.")
            return known[0]
        if name not in known:
            hint = offer(name, known, "")
            raise ArgumentError(f"The net has no recurrent layer {name!r}: {hint}.")
        return name

    def of(self, layer: str | None = None) -> Look:
        """The same of one layer alone."""
        if layer is None:
            return self
        kept = {self.layer(layer): self.activations[layer]}
        norms = {path: self.reach[path] for path in kept if path in self.reach}
        return self._replace(activations=kept, followers=following(kept, self.properties), reach=norms)

    def shown(self, layer: str | None = None, cell: int | None = None, gate: str | None = None) -> Shown:
        """What a text is to be coloured by.

        Args:
            layer: its path; None for the only one.
            cell: tanh(c) of this cell (h, where there is no c), or with `gate` its gate; None for the mean over all.
            gate: i, f or o of an LSTM, r or z of a GRU.

        Raises:
            ArgumentError: for a layer, a cell or a gate that is not there, with those that are.
        """
        path = self.layer(layer)
        traced = self.activations[path]
        cells = next(iter(traced.values())).shape[1]
        if cell is not None and not 0 <= cell < cells:
            raise ArgumentError(f"Layer {path!r} has the cells 0 to {cells - 1}, got {cell}: name one of them.")
        known = [letter for letter in GATES if letter in traced]
        if gate is not None and gate not in known:
            has = f"has the gates {' '.join(known)}" if known else "has no gates"
            raise ArgumentError(f"Layer {path!r} {has}, got {gate!r}: {'name one' if known else 'name a cell'}.")
        if cell is None and gate is None:
            raise ArgumentError("A cell or a gate is expected to colour the text by, got neither: name one.")
        if gate is not None:
            name, values, scale = f"{GATES[gate]} {gate}", traced[gate], SHARE
        else:
            name, values, scale = "tanh(c)" if "c" in traced else "h", cell_values(traced), SIGNED
        if cell is None:
            values = values.mean(axis=1)
            low, high = float(values.min()), float(values.max())  # which lie close together
            if high > low:
                scale = Scale(low, high, f"{low:.2f}", f"{high:.2f}")
            return Shown(path, cell, gate, f"mean {name} of all cells", values, scale)
        values = values[:, cell]
        size = float(abs(values).max())
        if size > 1:  # h of a layer with ReLU has no bounds
            scale = Scale(-size, size, f"{-size:.2g}", f"+{size:.2g}")
        return Shown(path, cell, gate, f"cell {cell}, {name}", values, scale)

    def best(self, count: int = 2) -> list[Shown]:
        """The cells that follow something best, of those properties that have to be remembered, if any is followed."""
        found = [(name, one) for name, followers in self.followers.items() for one in followers[:1]]
        found.sort(key=lambda pair: (abs(pair[1].r) < WORTH_SHOWING, pair[0] not in REMEMBERED, -abs(pair[1].r)))
        cells: dict[tuple[str, int], Shown] = {}
        for name, one in found:
            cells.setdefault((one.layer, one.cell), self.shown(one.layer, one.cell)._replace(follows=name))
        return list(cells.values())[:count]

    def excerpt(self, count: int, shown: Shown) -> slice:
        """So many symbols of the text at most, whole lines: where the property, or else the cell, changes most."""
        T = len(self.pieces)
        if count >= T:
            return slice(0, T)
        lines = [t for t in range(T - count + 1) if t == 0 or self.pieces[t - 1].endswith("\n")]
        if len(lines) == 1:  # a text without line breaks
            lines = list(range(0, T - count + 1, max(1, count // 4)))
        much = shown.values
        if shown.follows is not None:  # in halves, or a few long lines would count for more than many short ones
            p = self.properties[shown.follows]
            much = p > np.median(p)

        def worth_seeing(begin: int) -> float:
            part = slice(begin, begin + count)
            variety = len(zlib.compress("".join(self.pieces[part]).encode()))  # the rules of a table are dull
            return float(much[part].std()) * variety

        begin = max(lines, key=worth_seeing)
        ends = (t for t in range(begin + count, begin + count // 2, -1) if self.pieces[t - 1].endswith("\n"))
        return slice(begin, next(ends, begin + count))


def look(net: Layer, text: str, vocab: Vocab | None = None, read: int | None = None) -> Look:
    """Let a language model read a text, and see what its cells, gates and gradients do.

    Args:
        net: a built net, ids [B, T] -> ...; a saved language model has its vocabulary with it.
        text: what it is to read.
        vocab: of the net; None for `net.vocab`.
        read: how many symbols of the text are read, the last ones; None for 20,000, and fewer for a large net.

    Raises:
        ArgumentError: for a net without a vocabulary or without a recurrent layer, an empty text, characters that the
            vocabulary does not have.

    Example:
        >>> from minidl.looking import look
        >>> from minidl.models import char_lm
        >>> text = 'He said "no", and she said "yes".\\n' * 3
        >>> vocab = minidl.CharVocab.of(text)
        >>> net = char_lm(len(vocab), 8)
        >>> _ = net.build((None,))
        >>> seen = look(net, text, vocab)
        >>> list(seen.activations), len(seen.pieces), [one.layer for one in seen.followers["inside quotes"]]
        (['lstm'], 102, ['lstm', 'lstm', 'lstm'])
    """
    if read is not None:
        positive_int("look", "read", read)
    traceable(net)
    vocab = getattr(net, "vocab", None) if vocab is None else vocab
    if vocab is None:
        raise ArgumentError(
            "look expects a vocabulary, to turn text into ids, and the net has none: is it a language model?"
        )
    if read is None:
        weights = sum(p.value.size for p in net.params.values() if p.value.ndim > 1)
        read = min(READ, max(LEAST, int(WORK / max(weights, 1)) // 1000 * 1000))
    ids = vocab.encode(text)[-read:]
    if not len(ids):
        raise ArgumentError("look expects some text, got none: give at least a word.")
    pieces = [vocab.piece(int(id), int(ids[t - 1]) if t else None) for t, id in enumerate(ids)]
    told = properties(pieces)
    found = {
        path: traced
        for path, traced in activations(net, ids).items()
        if all(len(a) == len(ids) for a in traced.values())
    }
    if not found:
        raise ArgumentError("look expects a recurrent layer with a step for each symbol, the net's have other steps.")
    return Look(pieces, found, told, following(found, told), reach_on(net, ids))


def reach_on(net: Layer, ids: Array) -> dict[str, Array]:
    """The gradient's reach in windows of a text; nothing where the net does not predict the next symbol."""
    time = min(WINDOW, len(ids) - 1)
    rows = min(ROWS, (len(ids) - 1) // time) if time else 0
    if not rows or net.out_shape is None or len(net.out_shape) != 2:
        return {}
    cut = ids[-(rows * time + 1) :].astype(np.int64)
    batch = Batch(cut[:-1].reshape(rows, time), cut[1:].reshape(rows, time))
    return reach(net, loss_of(net, batch.x[:1]), batch) if net.out_shape[1] > cut.max() else {}


def loss_of(net: Layer, x: Any) -> Loss:
    """The cross-entropy that suits the outputs: probabilities, or scores."""
    if CrossEntropy().on(net)[0] is not net:
        return CrossEntropy()
    y = net.predict(x)
    return CrossEntropy() if (y >= 0).all() and abs(y.sum(axis=-1) - 1).max() < 1e-3 else SoftmaxCrossEntropy()
