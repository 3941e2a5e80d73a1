"""A type error that is ignored has its reason after it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IGNORED = re.compile(r"# type: ignore")
REASON = re.compile(r"# type: ignore\[[\w, -]+\]  # \S")


def test_every_ignored_error_has_a_reason() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("compiler", "kernel", "arch")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if IGNORED.search(line) and not REASON.search(line)
    ]
    assert bare == []
