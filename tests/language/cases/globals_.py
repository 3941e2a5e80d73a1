"""Module level: constants folded, objects frozen at import and changed at run time, rebinding through global."""

# keeps: 2 objects

from __future__ import annotations

from typing import Final

LIMIT: Final = 5 * 4
SQUARES: Final = [n * n for n in range(6)]
NAMES: Final[dict[bytes, int]] = {b"a": 1, b"bb": 2, b"ccc": 3}
TEXT: Final = "text of " + str(LIMIT)
TABLE: Final[dict[int, bytes]] = {n: b"x" * n for n in range(20)}

counter: int = 3
enabled: bool = False


class Registry:
    entries: list[int]
    total: int
    parent: Registry | None

    def __init__(self, parent: Registry | None) -> None:
        self.entries = []
        self.total = 0
        self.parent = parent

    def add(self, value: int) -> None:
        self.entries.append(value)
        self.total += value


ROOT: Final = Registry(None)
CHILD: Final = Registry(ROOT)
CHILD.add(100)

current: Registry = ROOT


def register(value: int) -> int:
    """Run at import, as decorators are."""
    ROOT.add(value)
    return value


FIRST: Final = register(11)


def bump() -> int:
    global counter
    counter += 1
    return counter


def switch() -> None:
    global current, enabled
    current = CHILD
    enabled = not enabled


def main() -> None:
    print(LIMIT, SQUARES[5], len(SQUARES), NAMES[b"ccc"], TEXT, FIRST)
    print(bump(), bump(), counter)
    print(len(TABLE), len(TABLE[19]), TABLE[3] == b"xxx", b"zz" in NAMES)
    ROOT.add(7)
    SQUARES.append(36)
    NAMES[b"dddd"] = 4
    print(ROOT.total, len(ROOT.entries), len(SQUARES), SQUARES[6], NAMES[b"dddd"], len(NAMES))
    print(current is ROOT, CHILD.parent is ROOT, ROOT.parent is None)
    switch()
    print(current is CHILD, current.total, enabled, current.entries[0])
    for name in NAMES:
        print(len(name), NAMES[name])
    del NAMES[b"a"]
    print(b"a" in NAMES, len(NAMES))


if __name__ == "__main__":
    main()
