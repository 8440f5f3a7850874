"""The hooks of a callback: which there are, and what other frameworks call them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from minidl.arguments import check_list
from minidl.errors import ArgumentError

HOOKS = "on_fit_start", "on_epoch_start", "on_grads_ready", "on_step_end", "on_epoch_end", "on_fit_end"
EQUIVALENTS = {  # of Keras and Lightning
    "on_train_begin": "on_fit_start",
    "on_train_start": "on_fit_start",
    "on_fit_begin": "on_fit_start",
    "on_train_end": "on_fit_end",
    "on_epoch_begin": "on_epoch_start",
    "on_train_epoch_start": "on_epoch_start",
    "on_train_epoch_end": "on_epoch_end",
    "on_test_end": "on_epoch_end",
    "on_validation_end": "on_epoch_end",
    "on_validation_epoch_end": "on_epoch_end",
    "on_batch_end": "on_step_end",
    "on_train_batch_end": "on_step_end",
    "on_step": "on_step_end",
    "on_after_backward": "on_grads_ready",
    "on_before_optimizer_step": "on_grads_ready",
}


def check_hooks(owner: str, attributes: Iterable[tuple[str, Any]]) -> None:
    """Refuse methods that look like hooks and would never be called."""
    for name, value in attributes:
        if name.startswith("on_") and name not in HOOKS and callable(value):
            close = EQUIVALENTS.get(name) or next(iter(difflib.get_close_matches(name, HOOKS, 1)), None)
            hint = f"Write {close}(self, trainer)." if close else f"The hooks are {', '.join(HOOKS)}."
            raise ArgumentError(f"{owner} has a method {name!r}, which no Trainer calls. {hint}")


def check_callbacks(callbacks: Any) -> None:
    """Refuse what is no list of callbacks, such as a class, or an object without hooks or with hooks of other names."""
    check_list("Trainer", "callbacks", callbacks)
    for callback in callbacks:
        if isinstance(callback, type) or not any(hasattr(callback, hook) for hook in HOOKS):
            raise ArgumentError(
                f"Trainer expects callbacks to be instances with hooks such as on_epoch_end, got {callback!r}."
            )
        names = [name for name in dir(callback) if name.startswith("on_")]
        check_hooks(type(callback).__name__, [(name, getattr(callback, name)) for name in names])
