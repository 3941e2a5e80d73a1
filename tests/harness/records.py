"""Linux's answers of earlier runs, by their sums: where Krait gives the recorded answer, Linux is not asked again.

A record has three words: the name of a case, the sum of what determines Linux's answer (the case's sources, the
machine, the Linux kernel), and the sum of the answer. It holds for as long as the second is right. An answer of Krait
that is not the recorded one is not wrong by that alone: Linux is asked. KRAIT_ASK_LINUX=1 asks it about everything,
and KRAIT_RECORD=1 asks about what is not recorded and writes it down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tests.harness.kept import sum_of
from tests.harness.kernels import LINUX
from tools.lock import exclusively

_INCLUDE = re.compile(rb'^#include "([^"]+)"', re.MULTILINE)


def sources_of(path: Path) -> list[bytes]:
    """A C file, and those beside it that it includes, also through others."""
    found: dict[Path, bytes] = {}
    left = [path]
    while left:
        each = left.pop()
        if each not in found and each.exists():
            found[each] = each.read_bytes()
            left += [each.parent / name.decode() for name in _INCLUDE.findall(found[each])]
    return [found[each] for each in sorted(found)]


def linux_sum() -> bytes:
    """What stands for the Linux kernel, which has been fetched, and its command line."""
    return sum_of([LINUX.path.read_bytes(), LINUX.parameters.encode()]).encode()


class Records:
    """The records of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writes = os.environ.get("KRAIT_RECORD") == "1"
        self._reads = os.environ.get("KRAIT_ASK_LINUX") != "1"
        self._known = _read(path)
        self._noted: dict[str, tuple[str, str]] = {}

    def knows(self, name: str, key: str) -> bool:
        """Whether there is a record."""
        return self._reads and name in self._known and self._known[name][0] == key

    def holds(self, name: str, key: str, answer: str) -> bool:
        """Whether Linux gave this answer when it was asked."""
        return self.knows(name, key) and self._known[name][1] == sum_of([answer.encode()])

    def note(self, name: str, key: str, answer: str) -> None:
        """Linux gave this answer. Call `save` in the end."""
        self._noted[name] = (key, sum_of([answer.encode()]))

    def save(self, names: Iterable[str] | None = None) -> None:
        """Write what was noted, to the records of others; of the names that there are (all, if none are given)."""
        with exclusively(f"tests/{self.path.parent.name}-records"):
            records = _read(self.path) | self._noted
            wanted = records.keys() if names is None else records.keys() & set(names)
            new = self.path.with_suffix(".new")
            new.write_text("".join(f"{name} {' '.join(records[name])}\n" for name in sorted(wanted)))
            new.rename(self.path)


def _read(path: Path) -> dict[str, tuple[str, str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: (key, answer) for name, key, answer in (line.split() for line in lines)}
