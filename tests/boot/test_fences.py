"""Where a driver tells a device something and then looks what the device has done, the image has a real fence.

Without it a device that answers at that moment sends no interrupt and its driver sees no answer: both wait for ever.
"""

from __future__ import annotations

import subprocess

import pytest

from tests.harness import KRAIT


def instructions_of(function: str) -> list[str]:
    """The instructions of a function of the kernel, as text."""
    command = ["objdump", "--no-show-raw-insn", f"--disassemble={function}", str(KRAIT.path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.partition(":\t")[2].strip() for line in text.splitlines() if ":\t" in line]


def test_the_fence_is_an_instruction_of_its_own() -> None:
    assert instructions_of("order_stores_before_loads") == ["mfence", "ret"]


@pytest.mark.parametrize("function", ["publish", "request_interrupt"])
def test_a_queue_is_looked_at_after_a_fence(function: str) -> None:
    found = instructions_of(f"kernel.drivers.virtio.ring.SplitQueue.{function}")
    fences = [number for number, each in enumerate(found) if "<order_stores_before_loads>" in each]
    assert len(fences) == 1
    assert any(each.startswith("movzwl") for each in found[fences[0] :]), "what the device says is loaded"
    assert not any("lock" in each for each in found)
