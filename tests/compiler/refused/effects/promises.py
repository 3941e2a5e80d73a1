"""A promise binds whoever overrides the method, and whoever implements the protocol."""

from __future__ import annotations

from typing import Protocol

from kernel.lang import inline, irq, nosleep, sleeps


@sleeps
def wait() -> None:
    pass


class Quick:
    @nosleep
    def run(self) -> None:
        pass


class Slow(Quick):
    def run(self) -> None:
        wait()


class Handler(Protocol):
    @irq
    def handle(self) -> int: ...


class Maker:
    def __init__(self) -> None:
        self.made: list[int] = []

    def handle(self) -> int:
        self.made.append(1)
        return len(self.made)


def run(quick: Quick, handler: Handler) -> int:
    quick.run()
    return handler.handle()


def use() -> int:
    return run(Slow(), Maker())


@inline
def countdown(number: int) -> int:
    return 0 if number == 0 else 1 + countdown(number - 1)
