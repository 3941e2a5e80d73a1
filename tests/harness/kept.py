"""What Linux answered, kept under build/tests/answers/ until anything that the answer depends on changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from tools.lock import exclusively
from tools.paths import BUILD

ANSWERS = BUILD / "tests" / "answers"


def sum_of(parts: Iterable[bytes]) -> str:
    """What stands for all these parts, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:16]


def answer_path(name: str, parts: Iterable[bytes]) -> Path:
    """Where the answer lies that all these parts determine."""
    return ANSWERS / f"{name}-{sum_of(parts)}"


def kept_answer(name: str, parts: Iterable[bytes], answer: Callable[[], str]) -> str:
    """The kept answer, or else that of `answer`, which is kept then. What `answer` raises is not caught."""
    path = answer_path(name, parts)
    with while_asking(path):
        if not path.exists():
            path.write_text(answer())
        return path.read_text()


def while_asking(path: Path) -> AbstractContextManager[int]:
    """Nobody else asks for this answer meanwhile, or writes it; its folder is there."""
    return exclusively(str(path.relative_to(BUILD)))
