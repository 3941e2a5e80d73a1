"""Objects in frames that a trap leaves: what they refer to is as free as before. Compiled only: it counts objects."""

from __future__ import annotations

from typing import Literal

from kernel.lang import Array, final, noinline, u64
from kernel.mm.host import objects_in_use


@final
class Target:
    def __init__(self, number: int) -> None:
        self.number = number


@final
class Holder:
    """Lies in a frame, and refers to what does not."""

    target: Target | None

    def __init__(self, target: Target) -> None:
        self.target = target
        self.other: Target | None = None


class Cleared:
    words: int

    def __init__(self) -> None:
        self.words = 0


CLEARED = Cleared()


@noinline
def clear() -> None:
    words: Array[u64, Literal[2048]] = Array()
    words.fill(u64(0))
    for word in words:
        CLEARED.words += int(word)


@noinline
def product(holder: Holder, factor: int) -> int:
    target = holder.target
    return (target.number if target is not None else 0) * factor


@noinline
def plain(target: Target, factor: int) -> int:
    """The holder is dead where both ways meet again, or where a trap comes."""
    total = 0
    if factor > 1:
        total = product(Holder(target), factor)
    return total + product(Holder(target), 1 << 61)


@noinline
def looping(targets: list[Target], factor: int) -> int:
    total = 0
    for target in targets:
        holder = Holder(target)
        if target.number > 1:
            holder.other = targets[0]
        total += product(holder, factor)
    return total


@noinline
def guarded(targets: list[Target], factor: int) -> int:
    """One holder is alive in the clean-up, the other dead; there are ways without either."""
    total = 0
    holder: Holder | None = None
    if len(targets) > 2:
        holder = Holder(targets[2])
    try:
        if factor > 2:
            total += looping(targets, factor) + product(Holder(targets[1]), factor)
        return total + plain(targets[3], factor)
    finally:
        if holder is not None:
            print("finally", product(holder, 2))


@noinline
def attempt() -> None:
    targets = [Target(number) for number in range(5)]
    print(guarded(targets, 0), guarded(targets[:1] + targets, 1), guarded(targets, 3))
    targets[3].number = 1 << 40
    print(guarded(targets, 3))


@noinline
def tell() -> None:
    live = objects_in_use()
    print("objects", CLEARED.words + live)


def main() -> None:
    clear()
    tell()
    try:
        attempt()
    finally:
        clear()
        tell()
