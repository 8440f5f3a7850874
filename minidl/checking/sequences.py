"""Checks of sequences: windows with carried state, rows that start anew, masks and padding.

Each takes a `Subject` and returns None, one sentence that says what is broken, or `DOES_NOT_APPLY`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.checking.structure import is_finite, is_numeric
from minidl.checking.subject import DOES_NOT_APPLY, ROUNDING, Setting, Subject, differing, parts, same, setting
from minidl.inputs import Array
from minidl.nested import leaves, map_arrays


def check_windows(s: Subject) -> str | None:
    """A sequence cut into windows, with the state carried (and dstate handed back), equals one pass."""
    backwards = bool(getattr(s.layer, "go_backwards", False))
    if s.state is None or not s.free_time or not (s.layer.streams or backwards):
        return DOES_NOT_APPLY
    return windows_of(s, backwards) or windows_of(s.other(), backwards)


def windows_of(s: Subject, backwards: bool) -> str | None:
    """`check_windows` for one size of input; a layer that runs backwards gets the last window first."""
    cut = (s.time - 1) // 2
    first, second = [slice(cut), slice(cut, None)][:: -1 if backwards else 1]

    def whole_from(early: Array, late: Array) -> Array:
        return np.concatenate([late, early] if backwards else [early, late], axis=1)

    # y without steps is that of the window that runs last; in a net that pools over steps it is another thing
    y_is_last = getattr(s.layer, "return_sequences", None) is False
    for mask in [None, s.mask()] if s.takes_mask else [None]:
        words = "" if mask is None else "with a mask, "
        whole = s.run(mask=mask)
        s.layer.zero_grads()
        xs, masks = ([map_arrays(lambda a, k=k: a[:, k], of) for k in (first, second)] for of in (s.x, mask))
        y1, middle, cache1 = s.layer.forward_with_state(xs[0], s.state, mask=masks[0])
        y2, state, cache2 = s.layer.forward_with_state(xs[1], middle, mask=masks[1])
        y = whole_from(y1, y2) if s.y_has_steps else y2 if y_is_last else whole.y
        if not same((y, state), (whole.y, whole.state), ROUNDING):
            return f"{words}a sequence cut into two windows with carried state gives another result than one pass."
        if not s.y_has_steps and not y_is_last:
            continue
        dy1, dy2 = (s.dy[:, first], s.dy[:, second]) if s.y_has_steps else (np.zeros_like(s.dy), s.dy)
        dx2, dmiddle = s.layer.backward_with_state(dy2, s.dafter, cache2)
        dx1, dstate = s.layer.backward_with_state(dy1, dmiddle, cache1)
        grads = {name: p.grad for name, p in s.layer.params.items()}
        cut_up = whole._replace(dx=map_arrays(whole_from, dx1, dx2), dstate=dstate, grads=grads)
        names = differing(parts(cut_up), parts(whole), ROUNDING)
        if names:
            return (
                f"{words}gradients over two windows, with dstate handed back, differ from those of one pass in "
                f"{', '.join(names)}."
            )
    return None


def check_start(s: Subject) -> str | None:
    """Rows with start=True begin from the initial state, and nothing flows back from them."""
    if s.state is None:
        return DOES_NOT_APPLY
    rows = np.arange(s.batch) % 2 == 0

    def choose(a: Array, b: Array) -> Array:
        return np.where(rows.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    rest = {name: value for name, value in s.everything.items() if name != "start"}
    settings: list[Setting] = [("", {}), setting(rest)] if rest else [("", {})]
    for words, options in settings:
        fresh, carried = s.run(state=None, **options), s.run(**options)
        mixed, begun = s.run(start=rows, **options), s.run(start=True, **options)
        wanted = map_arrays(choose, (fresh.y, fresh.state), (carried.y, carried.state))
        if not same((mixed.y, mixed.state), wanted, ROUNDING):
            return (
                f"{words}rows with start=True must begin from the initial state, and the other rows from the state "
                f"given."
            )
        if not same(mixed.dstate, map_arrays(lambda d: choose(np.zeros_like(d), d), carried.dstate), ROUNDING):
            return (
                f"{words}the gradient of the incoming state must be 0 in rows with start=True, and as it was in the "
                f"others."
            )
        wanted = parts(fresh) | {"dstate": map_arrays(np.zeros_like, mixed.dstate)}
        if differing(parts(begun), wanted, ROUNDING):
            return f"{words}start=True must be the same as no state at all."
    return None


def check_padding(s: Subject) -> str | None:
    """Padding does not matter: a layer that mixes steps knows the mask, any other works on each step alone.

    For the latter there is nothing more to check, so the check "does not apply" where it finds nothing.
    """
    if not s.has_steps:
        return DOES_NOT_APPLY
    if not s.layer.mixes_steps:
        if not s.free_time and not all(x.ndim == 3 for x in leaves(s.x).values()):
            return DOES_NOT_APPLY  # ids [B, 4] of 4 features, images [B, 28, 28, 1]: a fixed axis that is no time
        return steps_alone(s) or mask_handed_on(s) or DOES_NOT_APPLY
    if s.layer.mask_obstacle is not None:
        return f"a mask must have an effect, but {type(s.layer).__name__} {s.layer.mask_obstacle}"
    for size in s, s.other():
        for check in mask_handed_on, mask_of_ones, padding_filled, padding_kept_out, padding_added:
            message = check(size)
            if message:
                return message
    return None


def steps_alone(s: Subject) -> str | None:
    """A layer that does not get the mask must compute each step from that step alone."""
    name = type(s.layer).__name__
    cure = f"set mixes_steps = True in {name} and use the mask (forward_with_state), or padding changes results"
    if any(y.shape[1:2] != (s.time,) for y in leaves(s.dy).values()):
        return f"y has not the {s.time} steps of x, so the layer mixes them, but mixes_steps is False: {cure}."
    half = s.time // 2
    other = map_arrays(lambda a: np.roll(a, 1, axis=0), s.x)
    for change, keep in (slice(half, None), slice(half)), (slice(half), slice(half, None)):
        x = map_arrays(np.copy, s.x)
        for part, changed in zip(leaves(x).values(), leaves(other).values(), strict=True):
            part[:, change] = changed[:, change]
        for training in False, True:
            one, two = (s.run(x=x_, training=training).y for x_ in (s.x, x))
            one, two = (map_arrays(lambda a, k=keep: a[:, k], y) for y in (one, two))
            if not same(two, one, ROUNDING):
                return f"y at some steps depends on x at other steps, but mixes_steps is False: {cure}."
    return None


def mask_handed_on(s: Subject) -> str | None:
    """hand_on gives the mask itself where y has the steps of x, else None."""
    if not isinstance(s.dy, np.ndarray):
        return None  # several outputs
    mask = s.one_mask()
    handed = s.layer.hand_on(map_arrays(lambda _: mask.copy(), s.x))
    told = "None" if handed is None else f"another array {np.shape(handed)}"
    if s.y_has_other_steps or (handed is not None and np.shape(handed) == s.dy.shape[:2] != mask.shape):
        steps = s.dy.shape[:2]  # a convolution without padding has fewer
        fits = isinstance(handed, np.ndarray) and handed.dtype == bool and handed.shape == steps
        return (
            None if fits else f"y has steps of its own, so hand_on(mask) must return theirs, bools {steps}, got {told}."
        )
    if handed is None:
        lost = s.y_has_steps and s.free_time  # a fixed length may be that of another axis by chance
        return (
            f"y has the steps of x, so hand_on(mask) must return the mask {mask.shape}, got {told}." if lost else None
        )
    if s.dy.shape[1:2] != mask.shape[1:] or (s.free_time and not s.y_has_steps):
        return "y has no steps that could be padding, so hand_on(mask) must return None, got an array."
    if not (isinstance(handed, np.ndarray) and handed.dtype == bool and np.array_equal(handed, mask)):
        return f"y has the steps of x, so hand_on(mask) must return the mask, bools {mask.shape}, got {told}."
    return None


def mask_of_ones(s: Subject) -> str | None:
    """A mask without padding is no mask."""
    names = differing(parts(s.run(mask=map_arrays(np.ones_like, s.mask()))), parts(s.run()), ROUNDING)
    return (
        f"a mask that is True everywhere must be the same as no mask, but {', '.join(names)} differ." if names else None
    )


def padding_filled(s: Subject) -> str | None:
    """What stands in the padding does not matter; a row without a real step is fine."""
    mask = s.mask()
    plain = s.run(mask=mask)
    for filling in (0.0, 1e6, np.nan, np.inf) if any(map(is_numeric, leaves(s.x).values())) else (0, -1, 10**6):

        def fill(x: Array, real: Array, filling: float = filling) -> Array:
            inside = real.reshape(*real.shape, *(1,) * (x.ndim - 2))
            return np.where(inside, x, filling if is_numeric(x) or np.isfinite(filling) else -1).astype(x.dtype)

        filled = s.run(x=map_arrays(fill, s.x, mask), mask=mask)
        names = differing(parts(filled), parts(plain))
        if names:
            return f"what stands in the padding must not matter, but with {filling} there, {', '.join(names)} differ."
    names = [name for name, value in parts(plain).items() if not is_finite(value)]
    if names:
        return (
            f"with a mask, {', '.join(names)} is not finite: is there a division by the number of real steps? A row "
            f"of padding alone has none, divide by np.maximum(count, 1)."
        )
    return None


def padding_kept_out(s: Subject) -> str | None:
    """Nothing comes out of padding: dx is 0 there, and a recurrent layer emits 0 and keeps its state."""
    mask = s.mask()
    plain = s.run(mask=mask)
    if any(dx[~real].any() for dx, real in zip(leaves(plain.dx).values(), with_gradient(plain.dx, mask), strict=True)):
        return "dx must be 0 in the steps that are padding."
    if not s.recurrent or isinstance(mask, tuple):
        return None
    if s.y_has_steps and plain.y[~mask].any():
        return "a recurrent layer must emit 0 in the steps that are padding: np.where(mask[..., None], y, 0)."
    after, before = (map_arrays(lambda a: a[~mask.any(axis=1)], state) for state in (plain.state, s.state))
    if not same(after, before, ROUNDING):
        return (
            "a recurrent layer must keep its state in the steps that are padding, but it changes in a row of padding "
            "alone: h = np.where(mask[:, t, None], new_h, h)."
        )
    return None


def with_gradient(dx: Any, mask: Any) -> list[Array]:
    """The masks of the inputs that have a gradient."""
    pairs = zip(dx, mask, strict=True) if isinstance(dx, tuple) else [(dx, mask)]
    return [real for d, real in pairs if d is not None]


def padding_added(s: Subject) -> str | None:
    """More padding, before or behind, does not matter."""
    if not s.free_time or s.y_has_other_steps or not isinstance(s.dy, np.ndarray):
        return None
    mask = s.mask()
    plain = parts(s.run(mask=mask))
    for count, side, width in (1, "right", (0, 1)), (2, "left", (2, 0)):

        def pad(a: Array, width: tuple[int, int] = width) -> Array:
            return np.pad(a, ((0, 0), width, *((0, 0),) * (a.ndim - 2)))

        x, dy, longer_mask = (map_arrays(pad, part) for part in (s.x, s.dy if s.y_has_steps else None, mask))
        longer = s.run(x=x, dy=dy, mask=longer_mask)
        inside = slice(width[0], width[0] + s.time)
        cut = longer._replace(
            y=longer.y[:, inside] if s.y_has_steps else longer.y, dx=map_arrays(lambda a, k=inside: a[:, k], longer.dx)
        )
        names = differing(parts(cut), plain, ROUNDING)
        if names:
            steps = "one more step" if count == 1 else f"{count} more steps"
            return f"{steps} of padding on the {side} must not matter, but {', '.join(names)} differ."
    return None
