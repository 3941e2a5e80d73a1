"""u64 and int are two types."""

from kernel.lang import u64


def main(big: u64) -> int:
    count: int = big
    return count
