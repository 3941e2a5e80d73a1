"""Instructions that a wrong compiler might have chosen: the tests must see each."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """In a function of a package: the instruction that stands there, what shall, and the file whose tests must fail."""

    package: str
    function: str
    before: str
    after: str
    tests: str

    def apply(self, modules: dict[str, str]) -> None:
        """Alter the modules' IR."""
        text = modules[self.package]
        start = re.search(rf'^define [^\n]*@"{re.escape(self.function)}"\(', text, re.MULTILINE)
        assert start is not None, f"{self.function} is not in {self.package}"
        end = text.index("\n}", start.start())
        body, count = re.subn(self.before, self.after, text[start.start() : end])
        assert count > 0, body
        modules[self.package] = text[: start.start()] + body + text[end:]


CHANGES = {
    "shift": Change(
        "kernel.net.link", "kernel.net.link.checksum.fold", r"= ashr i64 (.*), 16\b", r"= ashr i64 \1, 15",
        "tests/unit/net/link/test_checksum.py",
    ),
    "comparison": Change(
        "kernel.tty", "kernel.tty.discipline._is_control", r"icmp slt i64 (.*), 32\b", r"icmp slt i64 \1, 2",
        "tests/unit/tty/test_discipline.py",
    ),
}  # fmt: skip
