"""docs/how-to-add-a-system-call.md: its example is as short as it says, and makes the call that it adds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from arch import number_of_call
from kernel.doors import trace
from kernel.doors.table import SYSCALLS
from kernel.lib.log import log
from kernel.syscalls import getpid
from tests.unit.booted import booted
from tools import compatibility
from tools.paths import ROOT
from tools.simulated.code import decode_registers
from tools.simulated.machine import Machine

MOST_LINES = 25
PAGE = ROOT / "docs" / "how-to-add-a-system-call.md"


def blocks() -> dict[str, str]:
    """The example, by the file to which each part is added."""
    found = re.findall(r"^```python\n# (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {name: text for name, text in found}


def test_it_is_short() -> None:
    parts = blocks()
    assert [name.split("/")[0] for name in parts] == ["kernel", "tests"]
    assert sum(len(text.splitlines()) for text in parts.values()) <= MOST_LINES


@booted
def test_it_works(machine: Machine) -> None:
    """In a kernel from which the call was taken. The row of the page, and trace=, come from the declaration."""
    number = number_of_call("getppid")
    SYSCALLS[number] = None
    assert (number, "getppid", "Unimplemented", "") in compatibility.rows()
    kernel_part, test_part = blocks().values()
    exec(kernel_part, dict(vars(getpid)))
    assert (number, "getppid", "Full", "") in compatibility.rows()
    decode_registers()
    names: dict[str, Any] = {}  # whatever the part defines
    exec(test_part, names)
    trace.configure(b"getppid")
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    cast(Callable[[Machine], None], tests[0].on_machine)(machine)
    record = log.record(log.next_sequence - 1)
    assert record is not None and re.fullmatch(rb"\[\d+\] getppid\(\) = 1", record.text), record
