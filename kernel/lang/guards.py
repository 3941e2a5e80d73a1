"""Which lock guards what: declarations for the compiler. Under CPython they only record their arguments.

The compiler reads the notes from the imported modules and enforces them (docs/language/locks.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

ALL_FIELDS = "*"
RANKS: dict[type, int] = {}  # of the classes of locks
GUARDS: dict[type, dict[str, str]] = {}  # by class: the field that holds the lock, by the names of guarded fields
ATOMIC: dict[type, frozenset[str]] = {}  # by class: the fields that are read without a lock
OWN: dict[type, frozenset[str]] = {}  # by struct: those of them that only the running thread stores


def ranked(rank: int) -> Callable[[type[T]], type[T]]:
    """Declares the rank of a class of locks in the order of taking them: from 1 on, the lowest first. The kernel
    lock is 0.
    """

    def note(cls: type[T]) -> type[T]:
        RANKS[cls] = rank
        return cls

    return note


def guarded_by(lock: str, *fields: str) -> Callable[[type[T]], type[T]]:
    """The lock in the field `lock` of each object guards the named fields of it, or all that the class declares."""

    def note(cls: type[T]) -> type[T]:
        GUARDS.setdefault(cls, {}).update(dict.fromkeys(fields or (ALL_FIELDS,), lock))
        return cls

    return note


def atomic(*fields: str) -> Callable[[type[T]], type[T]]:
    """Each of these fields is one word, stored under the kernel lock and read by anybody: always whole, but perhaps
    changed by the time it is used. Two of them may be from different times. An object found through one is as it was
    when it was stored, or newer, and lives as long as the section that found it.
    """

    def note(cls: type[T]) -> type[T]:
        ATOMIC[cls] = frozenset(fields)
        return cls

    return note


def own(*fields: str) -> Callable[[type[T]], type[T]]:
    """Of a struct that is a part of a thread: each of these fields is a number that only the thread itself stores, with
    or without the kernel lock, and anybody reads as if it were `@atomic`.
    """

    def note(cls: type[T]) -> type[T]:
        OWN[cls] = frozenset(fields)
        return cls

    return note


def holds(*locks: str) -> Callable[[F], F]:
    """Callers hold these locks, each a parameter and fields of it: "self.lock"."""
    return lambda function: function
