"""Ints that mypy takes for no ints (kernel/lang/opaque.py): made, compared, used as keys, asked for the int in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NewType

from kernel.lang.opaque import OpaqueInt

if TYPE_CHECKING:

    class Pid(OpaqueInt):
        """The kernel's number of a process."""

else:
    Pid = NewType("Pid", int)

INIT: Final = Pid(1)


class Process:
    def __init__(self, pid: Pid) -> None:
        self.pid: Pid = pid
        self.children: list[Pid] = [pid] * 2


def shown(pid: Pid, base: int) -> int:
    return int(pid) + base


def main() -> None:
    table: dict[Pid, Process] = {}
    for number in range(1, 5):
        table[Pid(number)] = Process(Pid(number))
    found = table.get(INIT)
    assert found is not None
    print(found.pid == INIT, found.pid != Pid(2), Pid(9) in table, shown(found.children[1], 40))


if __name__ == "__main__":
    main()
