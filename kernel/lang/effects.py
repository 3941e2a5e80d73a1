"""Decorators that tell the compiler something about a function. Under CPython they change nothing.

`@irq`, `@nosleep`, `@noalloc` and `@noraise` are promises that the compiler proves over the whole program; `@sleeps`
marks a primitive that sleeps. `@export` and `@extern` name C symbols. See docs/language.md, "Effects".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


def irq(function: F) -> F:
    """Runs in interrupt context: neither sleeps nor allocates, nor does anything that it calls."""
    return function


def nosleep(function: F) -> F:
    """Never sleeps."""
    return function


def noalloc(function: F) -> F:
    """Never allocates."""
    return function


def noraise(function: F) -> F:
    """Never raises."""
    return function


def sleeps(function: F) -> F:
    """Sleeps: callers must not be `@nosleep`."""
    return function


def inline(function: F) -> F:
    """Always inlined."""
    return function


def noinline(function: F) -> F:
    """Never inlined."""
    return function


def wrapping(function: F) -> F:
    """Arithmetic of this function wraps instead of trapping. Each use needs a reason: CPython is exact."""
    return function


def export(symbol: str) -> Callable[[F], F]:
    """An entry point with a C symbol: called from assembly, hardware or the run-time. Must not raise."""
    return lambda function: function


def extern(symbol: str) -> Callable[[F], F]:
    """A function that assembly defines under a C symbol. The Python body is its simulation under CPython."""
    return lambda function: function
