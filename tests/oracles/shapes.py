"""The sizes at which LSTMs are compared with those of other projects."""

from typing import NamedTuple


class Shape(NamedTuple):
    """The sizes of a case, and how long each row is."""

    B: int
    T: int
    D: int
    H: int
    lengths: tuple[int, ...]

    def __str__(self) -> str:
        return f"B{self.B}-T{self.T}-D{self.D}-H{self.H}"


SHAPES = [
    Shape(B=1, T=1, D=1, H=1, lengths=(1,)),
    Shape(B=3, T=1, D=2, H=4, lengths=(1, 1, 1)),
    Shape(B=1, T=5, D=3, H=2, lengths=(3,)),
    Shape(B=2, T=6, D=3, H=1, lengths=(1, 6)),
    Shape(B=4, T=7, D=1, H=3, lengths=(7, 1, 4, 2)),
    Shape(B=5, T=4, D=6, H=5, lengths=(2, 3, 1, 3, 2)),  # every row ends before T
    Shape(B=3, T=20, D=5, H=16, lengths=(13, 20, 7)),
    Shape(B=9, T=12, D=17, H=33, lengths=(12, 1, 11, 2, 10, 3, 9, 4, 8)),  # beyond one vector register
]
