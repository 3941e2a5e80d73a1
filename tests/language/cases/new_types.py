"""NewType, type aliases and Final: names without cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NewType

Pid = NewType("Pid", int)
Inode = NewType("Inode", int)

INIT: Final = Pid(1)


class Process:
    pid: Pid
    parent: Pid

    def __init__(self, pid: Pid, parent: Pid) -> None:
        self.pid = pid
        self.parent = parent

    def describe(self) -> str:
        return f"{self.pid} of {self.parent}"


Parent = NewType("Parent", Process)


def child_of(parent: Parent, pid: Pid) -> Process:
    assert parent.describe() != ""
    return Process(pid, parent.pid)


class Rule:
    def permits(self, parent: Parent) -> bool:
        return parent.pid == INIT


class Ancestors(Rule):
    """An override may take what the new type is made of, and more."""

    def __init__(self) -> None:
        self.last: Parent | None = None
        self.seen: list[Parent] = []

    def permits(self, parent: Process) -> bool:
        self.last = Parent(parent)
        self.seen.append(Parent(parent))
        return super().permits(self.last) or parent.parent == INIT


def pid_of(parent: Parent) -> Pid:
    return parent.pid


def total(parents: list[Parent], number: Callable[[Parent], Pid]) -> int:
    return sum([int(number(parent)) for parent in parents])


def lookup(table: dict[Pid, Process], pid: Pid) -> Process | None:
    return table.get(pid)


def main() -> None:
    table: dict[Pid, Process] = {}
    for number in range(1, 5):
        table[Pid(number)] = Process(Pid(number), Pid(number // 2))
    found = lookup(table, INIT)
    assert found is not None
    print(found.pid, found.parent, lookup(table, Pid(9)) is None)
    first = Parent(found)
    print(child_of(first, Pid(9)).describe(), first is found)
    rule = Ancestors()
    rules: list[Rule] = [Rule(), rule]
    second = Parent(table[Pid(2)])
    for each in rules:
        print(each.permits(first), each.permits(second))
    print(rule.last is second, isinstance(rule.last, Process), total(rule.seen, pid_of))
    last = rule.last
    print(-1 if last is None else last.pid, {first: 1, second: 2}[second])
    print(Inode(7) + 1, [Pid(3), Pid(4)][1])


if __name__ == "__main__":
    main()
