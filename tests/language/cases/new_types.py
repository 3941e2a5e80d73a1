"""NewType, type aliases and Final: names without cost."""

from __future__ import annotations

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
    print(Inode(7) + 1, [Pid(3), Pid(4)][1])


if __name__ == "__main__":
    main()
