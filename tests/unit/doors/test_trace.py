"""How `trace=` shows results."""

import pytest

from kernel.doors import trace
from kernel.lib.log import log


@pytest.mark.parametrize(
    ("result", "shown"),
    [(0, "f() = 0"), (-2, "f() = -1 ENOENT (2)"), (-38, "f() = -1 ENOSYS (38)"), (4096, "f() = 4096"),
     (0x7FFF_0000_0000, "f() = 0x7fff00000000")],
)  # fmt: skip
def test_results(result: int, shown: str) -> None:
    trace.report_result("f()", result)
    record = log.record(log.next_sequence - 1)
    assert record is not None
    assert record.text == shown.encode()
