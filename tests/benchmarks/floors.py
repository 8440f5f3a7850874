"""The floors: what minidl is to reach at least, with NumPy and SciPy only, and with the extra `fast`."""

from __future__ import annotations

from tasks import SIZES

# peer's time / minidl's, by task, row and peer
AGAINST_TORCH = {
    ("training", "1x100"): {"minidl": 0.8, "fast": 1.5},
    ("training", "2x128"): {"minidl": 0.8, "fast": 1.2},
    ("training", "2x512"): {"minidl": 0.9, "fast": 1.0},
    ("training", "2x200"): {"minidl": 0.95, "fast": 1.1},
    ("training", "2x650"): {"minidl": 0.85, "fast": 1.0},
    ("training", "gru-1x128"): {"fast": 1.0},
    ("training", "gru-2x128"): {"fast": 1.0},
    ("training", "rnn-1x128"): {"fast": 1.0},
    ("training", "rnn-2x128"): {"fast": 1.0},
    ("generation", "1x100"): {"minidl": 6, "fast": 15},
    ("generation", "2x128"): {"minidl": 5, "fast": 12},
    ("generation", "2x512"): {"minidl": 6, "fast": 8},
}
AGAINST_COMPILERS = {"minidl": 1.1, "fast": 1.4}  # a training step against JAX and Keras
MANY_ROWS = 20  # the batch from which the first of the two holds

GEMM_SHARE = {"2x512": {"minidl": 80, "fast": 88}}  # percent, at least
PEEPHOLE_COST = {"minidl": 8, "fast": 4}  # percent, at most
MEMORY = 1.0  # of torch's, at most


def ratio_floor(task: str, row: str, peer: str, kernel: str) -> float | None:
    """What peer / minidl is to reach; None where nothing is asked."""
    if peer == "torch":
        return AGAINST_TORCH.get((task, row), {}).get(kernel)
    if peer in ("jax", "keras") and task == "training" and row in SIZES:
        return AGAINST_COMPILERS[kernel] if kernel == "fast" or SIZES[row].batch >= MANY_ROWS else None
    return None


def share_floor(row: str, kernel: str) -> float | None:
    """The percentage of a training step that the GEMMs alone are to be; None where nothing is asked."""
    return GEMM_SHARE.get(row, {}).get(kernel)


def peephole_ceiling(row: str, kernel: str) -> float | None:
    """The percentage that peepholes may cost; None where nothing is asked."""
    return PEEPHOLE_COST[kernel] if row in SIZES else None


def memory_ceiling(row: str) -> float | None:
    """What minidl's memory over torch's may be; None where nothing is asked."""
    return MEMORY if row in SIZES else None
