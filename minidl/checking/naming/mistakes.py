"""The mistakes that people make in an LSTM by hand: small edits of the textbook, each with the code that names it.

`FORWARD_MISTAKES` change `textbook.FORWARD`; where a backward pass can fit a changed forward, `fitting` holds its
pieces. `BACKWARD_MISTAKES` change `textbook.BACKWARD` or `head.HEAD`.
"""

from minidl.checking.naming.flow_mistakes import cell_mistakes, time_mistakes
from minidl.checking.naming.forward_mistakes import forward_mistakes
from minidl.checking.naming.gate_mistakes import delta_mistakes, slope_mistakes
from minidl.checking.naming.mistake import Mistake
from minidl.checking.naming.weight_mistakes import (
    embedding_mistakes,
    factor_mistakes,
    head_mistakes,
    keep_mistakes,
    weight_mistakes,
)

FORWARD_MISTAKES: list[Mistake] = list(forward_mistakes())
BACKWARD_MISTAKES: list[Mistake] = [  # what is more common comes first: it wins where two explain the same
    *time_mistakes(),
    *cell_mistakes(),
    *slope_mistakes(),
    *delta_mistakes(),
    *weight_mistakes(),
    *factor_mistakes(),
    *keep_mistakes(),
    *embedding_mistakes(),
    *head_mistakes(),
]
