"""A fence is a place where other processors may go on."""

import pytest

from kernel.lang.simulation import memory
from kernel.lib.fences import fence


def test_others_may_go_on_at_a_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(memory, "at_fence", lambda: seen.append(1))
    fence()
    assert seen == [1]
