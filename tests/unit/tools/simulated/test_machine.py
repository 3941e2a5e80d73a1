"""The simulated machine itself: its console, its call tree, and what it makes of mistakes."""

import os

import pytest

from tests.unit.booted import booted
from tools.simulated.call_tree import tree
from tools.simulated.machine import Machine
from tools.simulated.program import KernelBug, Program


@booted
def test_the_log_goes_to_the_serial_line(machine: Machine) -> None:
    text = machine.output.decode()
    assert "Krait: 30 MiB of memory" in text and "initramfs: 3 entries" in text


@booted
def test_the_tree_shows_what_runs(machine: Machine) -> None:
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lines.append)
        assert tree(machine.host.getpid, depth=3) == 1
    first = lines[0].splitlines()
    assert first[0].startswith("krait_syscall(frame=TrapFrame)  kernel/doors/dispatch.py:")
    assert any(line.startswith("        getpid()  kernel/syscalls/") for line in first)
    assert "kernel/lang" not in lines[0]


@booted
def test_an_exception_of_a_program_reaches_the_test(machine: Machine) -> None:
    def child(program: Program) -> None:
        raise ValueError(program.getpid())

    with pytest.raises(ValueError, match=r"\d"):
        machine.run(child)


@booted
def test_a_bug_of_the_kernel_is_none_of_the_programs(machine: Machine) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine.host.task, "process", None)
        with pytest.raises(KernelBug, match="AttributeError"):
            machine.host.getpid()


@booted
def test_what_no_call_is_called(machine: Machine) -> None:
    with pytest.raises(AttributeError, match="no system call is called opne"):
        machine.host.opne("/tmp/x", os.O_RDONLY)
