"""The flusher thread, which outlives whatever befalls it."""

from __future__ import annotations

import pytest

from kernel.cache import writeback
from kernel.lang import EIO, Errno
from kernel.lib import log
from kernel.sched.wait import WaitQueue


class Over(Exception):
    """The test has seen enough."""


def test_the_flusher_goes_on_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for its work, nor for its timer, nor for a line of the log."""
    steps: list[str] = []

    def sleep(queue: WaitQueue, deadline_ns: int, interruptible: bool = True) -> bool:
        steps.append("sleep")
        if len(steps) == 1:
            raise MemoryError
        if len(steps) > 8:
            raise Over
        return True

    def flush() -> None:
        steps.append("flush")
        if steps.count("flush") == 1:
            raise MemoryError
        raise Errno(EIO)

    def error(message: str) -> None:
        if message.startswith("flusher: error "):
            raise MemoryError

    monkeypatch.setattr(WaitQueue, "sleep_until", sleep)
    monkeypatch.setattr(WaitQueue, "pause", lambda queue, duration_ns: steps.append("pause"))
    monkeypatch.setattr(writeback, "flush_round", flush)
    monkeypatch.setattr(log, "error", error)
    with pytest.raises(Over):
        writeback._flush_forever(0)
    assert steps[:6] == ["sleep", "pause", "sleep", "flush", "pause", "sleep"] and steps.count("flush") == 3
