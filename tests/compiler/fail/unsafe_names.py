"""An unsafe primitive stays one, whatever module it is reached through."""

from kernel.mm import heap
from kernel.mm.heap import load_i64


def read(address: int) -> int:
    return load_i64(address)


def read_more(address: int) -> int:
    return heap.load_i64(address)
