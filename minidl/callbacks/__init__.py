"""The callbacks, one concept a file. `Console` is fetched when it is first used, for it needs rich."""

from typing import TYPE_CHECKING, Any

from minidl.callbacks.base import Callback
from minidl.callbacks.checkpoint import Checkpoint
from minidl.callbacks.clipping import AdaptiveClip, ClipNorm, ClipValue
from minidl.callbacks.logs import CSVLog, JSONLog
from minidl.callbacks.sample import SampleText
from minidl.callbacks.saving import SaveBest
from minidl.callbacks.stopping import EarlyStopping, NanGuard, ReduceLROnPlateau
from minidl.callbacks.summing import SumOverTime
from minidl.callbacks.time_budget import TimeBudget
from minidl.equivalents import missing_name

if TYPE_CHECKING:
    from minidl.callbacks.console import Console

__all__ = [
    "AdaptiveClip",
    "CSVLog",
    "Callback",
    "Checkpoint",
    "ClipNorm",
    "ClipValue",
    "Console",
    "EarlyStopping",
    "JSONLog",
    "NanGuard",
    "ReduceLROnPlateau",
    "SampleText",
    "SaveBest",
    "SumOverTime",
    "TimeBudget",
]


def __getattr__(name: str) -> Any:
    if name == "Console":
        from minidl.callbacks.console import Console

        return Console
    raise missing_name(__name__, name)
