"""What the boot processor does when it has woken others, or found none."""

from __future__ import annotations

import pytest

from arch.x86_64 import cpu, processors
from arch.x86_64.chips import apic
from arch.x86_64.chips.acpi_devices import Hardware
from arch.x86_64.cpu import CR0_TS
from arch.x86_64.processors import Processors
from arch.x86_64.simulation import processor


@pytest.mark.parametrize(("found", "limit", "running"), [(1, 8, 1), (2, 1, 1), (2, 8, 2), (4, 3, 3)])
def test_the_fpu_is_given_from_boot_on_only_where_there_is_one_processor(
    monkeypatch: pytest.MonkeyPatch, found: int, limit: int, running: int,
) -> None:
    """Where there are several, process 1 may run on another: nothing would take it away here before the first task that
    did not use it.
    """  # fmt: skip
    machine = Processors()
    machine.wake_page = 0x1000
    machine.memory[:found] = [1] * found

    def wake(area: int, identity: int, counter_hz: int) -> None:
        machine.count += 1

    monkeypatch.setattr(processors, "processors", machine)
    monkeypatch.setattr(processors, "_wake", wake)
    monkeypatch.setattr(processors, "_note", lambda number, area, identity, root: None)
    for name in ("copy_bytes", "store_i64"):
        monkeypatch.setattr(processors, name, lambda *arguments: None)
    for name in ("symbol_address", "direct_map", "kernel_root", "boot_cpu_area"):
        monkeypatch.setattr(processors, name, lambda *arguments: 0)
    monkeypatch.setattr(apic, "is_present", lambda: True)
    monkeypatch.setattr(apic, "identity", lambda: 0)
    monkeypatch.setattr(cpu, "lock_system_calls", lambda: None)
    monkeypatch.setitem(processor.registers, "cr0", 0x8005_0033)
    hardware = Hardware()
    hardware.processor_count = found
    hardware.processor_identity[:found] = range(found)
    assert processors.wake_others(hardware, limit, 1) == running
    assert processor.registers["cr0"] & CR0_TS == (CR0_TS if running > 1 else 0)
