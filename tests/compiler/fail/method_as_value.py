"""A bound method is no value."""

from collections.abc import Callable


class Box:
    def size(self) -> int:
        return 1


def main(box: Box) -> int:
    size: Callable[[], int] = box.size
    return size()
