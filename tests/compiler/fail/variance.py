"""Objects can be changed, so their types are invariant."""

from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Box(Generic[T_co]):
    def __init__(self, value: T_co) -> None:
        self.value = value
