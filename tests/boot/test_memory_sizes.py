"""A machine gets as much memory as was asked for: sizes mean the same to us and to QEMU."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.arguments import in_bytes, machine_memory
from tools.machine import QEMU, Machine, Share

MIB = 1 << 20


@pytest.mark.parametrize("text", ["268435456", "256M", "256m", "262144K"])
@pytest.mark.parametrize("shares", [(), (Share(Path("/none"), "/s", socket=9),)])
def test_qemu_takes_as_much_as_was_asked_for(text: str, shares: tuple[Share, ...]) -> None:
    memory = machine_memory(text)
    assert in_bytes(memory) == 256 * MIB
    arguments = Machine(memory=memory, shares=shares)._memory()
    done = subprocess.run(
        [QEMU, "-nodefaults", "-display", "none", *arguments, "-S", "-monitor", "stdio"],
        input="info memory_size_summary\nquit\n", check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "base memory: 268435456" in done.stdout
