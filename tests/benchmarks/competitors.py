"""Who takes part, in which processes: what each needs to be installed, and the thread settings it may choose from."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import NamedTuple


class Setting(NamedTuple):
    """A thread setting: what the tables call it, and its environment."""

    label: str
    env: dict[str, str]


class Competitor(NamedTuple):
    """A peer, or minidl with one of its kernels."""

    title: str
    module: str  # in peers/
    needs: list[str]  # modules that have to be there
    settings: list[Setting]
    env: dict[str, str]
    tasks: list[str]
    layers: tuple[str, ...] = ("LSTM",)


# what the settings decide is not inherited from the shell
DECIDED = [
    "BENCH_CORES", "BENCH_THREADS", "BENCH_XLA", "MINIDL_KERNELS", "MINIDL_THREADS", "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS",
]  # fmt: skip
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
AFFINITY = hasattr(os, "sched_setaffinity")

DEFAULT = Setting("default", {})
ONE_BLAS = Setting("BLAS 1", {"OPENBLAS_NUM_THREADS": "1"})
TEAM = Setting(f"BLAS 1 x {CORES}", {"OPENBLAS_NUM_THREADS": "1", "MINIDL_THREADS": str(CORES)})
ONE_CORE = Setting("1 core", {"BENCH_CORES": "1"})
XLA = Setting("XLA", {"BENCH_XLA": "1"})
XLA_ONE_CORE = Setting("XLA, 1 core", XLA.env | ONE_CORE.env)


def counted(name: str, variable: str) -> list[Setting]:
    """All cores, or one thread."""
    return [Setting(f"{name} {count}", {variable: str(count)}) for count in dict.fromkeys([CORES, 1])]


MINIDL = [DEFAULT, TEAM, ONE_BLAS] if CORES > 1 else [DEFAULT]
FAMILY = "LSTM", "GRU", "SimpleRNN"
OWN_TASKS = ["training", "generation", "inference", "peepholes"]
COMPETITORS = {
    "minidl": Competitor("minidl", "minidl_net", [], MINIDL, {"MINIDL_KERNELS": "numpy"}, OWN_TASKS, FAMILY),
    "fast": Competitor("minidl fast", "minidl_net", ["numba"], MINIDL, {"MINIDL_KERNELS": "numba"}, OWN_TASKS, FAMILY),
    "torch": Competitor(
        "PyTorch",
        "torch_net",
        ["torch"],
        counted("OMP", "OMP_NUM_THREADS"),
        {},
        ["training", "generation", "inference"],
        FAMILY,
    ),
    "jax": Competitor("JAX", "jax_net", ["jax"], [DEFAULT, ONE_CORE] if AFFINITY else [DEFAULT], {}, ["training"]),
    "keras": Competitor(
        "Keras",
        "keras_net",
        ["keras", "tensorflow"],
        [DEFAULT, XLA, XLA_ONE_CORE] if AFFINITY else [DEFAULT, XLA],
        {"TF_CPP_MIN_LOG_LEVEL": "3"},
        ["training"],
    ),
    "onnxruntime": Competitor(
        "ONNX Runtime",
        "onnx_net",
        ["onnx", "onnxruntime"],
        counted("threads", "BENCH_THREADS"),
        {},
        ["inference"],
    ),
    "gemms": Competitor("GEMMs alone", "gemms", [], [DEFAULT, ONE_BLAS] if CORES > 1 else [DEFAULT], {}, ["training"]),
}
KERNELS = ["minidl", "fast"]  # minidl's own


def takes_part(name: str, task: str, layer: str) -> bool:
    """Whether this competitor does the task with nets of such layers."""
    return task in COMPETITORS[name].tasks and layer in COMPETITORS[name].layers


def missing(name: str) -> list[str]:
    """The modules that this competitor lacks."""
    return [module for module in COMPETITORS[name].needs if find_spec(module) is None]


def environment(name: str, setting: Setting) -> dict[str, str]:
    """What a process of this competitor runs in."""
    inherited = {key: value for key, value in os.environ.items() if key not in DECIDED}
    return inherited | COMPETITORS[name].env | setting.env
