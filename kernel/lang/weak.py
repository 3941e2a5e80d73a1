"""References that keep nothing alive."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

T = TypeVar("T")


class Weak(Generic[T]):
    """A reference that does not count. `weak(obj)` makes one."""

    def __init__(self, target: T) -> None:
        self._reference = weakref.ref(target)

    def get(self) -> T | None:
        """The object, or None once it is gone."""
        return self._reference()


def weak(target: T) -> Weak[T]:
    """A weak reference to an object."""
    return Weak(target)
