"""Checks of the whole content of a checkpoint, made before any of it is put into a trainer.

`check_state` needs the file alone, `check_fit` compares it with the trainer that is to resume from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minidl.errors import ModelFormatError
from minidl.figures import name_of
from minidl.file_values import (
    Check,
    anything,
    array,
    arrays,
    attributes,
    count,
    dict_of,
    entries,
    finite,
    flag,
    list_of,
    number,
    optional,
    positive,
    refuse,
    same_form,
    size,
    text,
)
from minidl.inputs import Array
from minidl.layer import Layer
from minidl.optimizer import Optimizer
from minidl.parameter import Parameter
from minidl.trainer import Trainer


def word(what: str, value: Any) -> Any:
    """Check a string, a number or None."""
    if value is not None and not isinstance(value, bool | int | float | str):
        raise refuse(what, "a string or a number", value)
    return value


def open_row(what: str, value: Any) -> Any:
    """Check the row of an epoch that is under way: callbacks may have put anything into it."""
    if type(value) is not dict:
        raise refuse(what, "a dict", value)
    for name, check in ROW.items():
        if name in value:
            check(f"{what} {name!r}", value[name])
    return value


def row(what: str, value: Any) -> Any:
    """Check the row of an epoch that is over."""
    for name in ALWAYS:
        if name not in open_row(what, value):
            raise refuse(what, f"a row with {', '.join(ALWAYS)}", sorted(value))
    return value


def means(what: str, value: Any) -> Any:
    """Check the sums of an epoch: each has a weight."""
    entries(what, value, {
        "sums": dict_of(number), "weights": dict_of(number), "count": count, "metrics": dict_of(dict_of(anything)),
    })  # fmt: skip
    if value["sums"].keys() != value["weights"].keys():
        raise refuse(what, "sums that have a weight each", value)
    return value


ALWAYS = "epoch", "step", "rate", "seconds", "targets_per_second"  # in the row of every epoch
ROW: dict[str, Check] = {
    "epoch": count, "step": count, "loss": number, "valid_loss": number, "rate": size, "seconds": size,
    "targets_per_second": size,
}  # fmt: skip
PLACE: dict[str, Check] = {
    "epoch": count, "step": count, "batches_seen": count, "groups_done": count, "epoch_open": flag,
    "first_epoch": count, "first_step": count, "value": number, "values": list_of(number),
}  # fmt: skip
STATE: dict[str, Check] = {
    "what": dict_of(word),
    "machine": dict_of(word),
    "place": lambda what, value: entries(what, value, PLACE),
    "call": positive,
    "call is over": flag,
    "ended": optional(text),
    "elapsed": finite,
    "history": list_of(row),
    "row": open_row,
    "means": means,
    "carried": anything,  # until the net is known
    "last batch": optional(count),
    "optimizer": lambda what, value: entries(what, value, OPTIMIZER),
    "callbacks": dict_of(dict_of(anything)),
}
OPTIMIZER: dict[str, Check] = {
    "steps": count,
    "lr_scale": size,
    "state": dict_of(dict_of(anything)),
    "lr": optional(size),
}


def check_state(state: Any, facts: Any) -> dict[str, Any]:
    """Refuse what no training writes, as far as the file alone shows it; returns the state.

    Raises:
        ModelFormatError: with the reason.
    """
    entries("training", state, STATE)
    place, rows = state["place"], state["history"]
    if facts != {"step": place["step"], "epoch": place["epoch"]}:
        raise ModelFormatError("its header has another step or epoch than its training.")
    if place["first_epoch"] > place["epoch"] or place["first_step"] > place["step"]:
        raise ModelFormatError("its training begins after the epoch or the step that it is at.")
    if [one["epoch"] for one in rows] != sorted({one["epoch"] for one in rows}) or len(rows) > place["epoch"]:
        raise ModelFormatError("its history does not have one row for each epoch, in order.")
    if place["epoch_open"] and state["row"].get("epoch") != place["epoch"]:
        raise ModelFormatError("its row is not that of the epoch under way.")
    found: dict[str, Any] = state
    return found


def check_fit(trainer: Trainer, weights: Mapping[str, Array], state: dict[str, Any]) -> None:
    """Refuse a checkpoint that does not fit the trainer's net, optimizer and metrics.

    Raises:
        ModelFormatError: with the reason.
    """
    params = trainer.net.params
    if weights.keys() != params.keys():
        raise ModelFormatError("its weights are not those of the net.")
    for name, p in params.items():
        array(f"weight {name!r}", weights[name], p.value.shape, p.value.dtype)
    check_carried(trainer.net, state["carried"])
    check_slots(trainer.optimizer, params, state["optimizer"]["state"])
    place, rows = state["place"], state["history"]
    for metric in map(name_of, trainer.metrics):
        for one in rows:
            for name in metric, f"valid_{metric}":
                number(f"history {name!r}", one.get(name, 0.0))
    own = [one for one in rows if one["epoch"] > place["first_epoch"]]
    if trainer.validation is not None and not trainer.over and any("valid_loss" not in one for one in own):
        raise ModelFormatError("its history lacks the validation of an epoch.")
    sums = {"loss", *map(name_of, trainer.metrics)}
    if not trainer.over and not set(state["means"]["sums"]) <= sums:
        raise ModelFormatError("its sums are of other metrics than the trainer's.")
    for name, kept in state["means"]["metrics"].items():
        copied = trainer.means.metrics.get(name)
        if copied is not None:
            attributes(f"metric {name!r}", kept, vars(copied), {})
        elif not trainer.over:
            raise ModelFormatError("its metrics are others than the trainer's.")


def check_carried(net: Layer, state: Any) -> None:
    """Refuse a state that a recurrent net does not have; nothing is made of its sizes."""
    if state is not None:
        same_form("carried state", state, net.initial_state(1))


def check_slots(optimizer: Optimizer, params: Mapping[str, Parameter], state: Any) -> None:
    """Refuse the memory of another optimizer, or of another net."""
    if type(state) is not dict or not state.keys() <= params.keys():
        raise ModelFormatError("its optimizer remembers parameters that the net does not have.")
    for name, slots in state.items():
        arrays(f"optimizer of {name!r}", slots, optimizer.slots(params[name].value))
