"""memfd_create(2) under vm.memfd_noexec, on a booted machine."""

import errno

import pytest

from kernel.task import current
from kernel.task.pid_namespace import PidNamespace
from tests.unit.booted import booted
from tests.unit.syscalls.test_huge_pages import show_proc, store, text_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SEALING, NOEXEC, EXEC = 2, 8, 16
SETTING = "/proc/sys/vm/memfd_noexec"


def create(program: Program, flags: int) -> int:
    """The mode of a new file."""
    descriptor: int = program.call("memfd_create", b"name", flags)
    mode = current().files.get(descriptor).inode.mode
    program.close(descriptor)
    return mode & 0o777


@booted
def test_the_setting_makes_files_that_are_not_programs(machine: Machine) -> None:
    host = machine.host
    show_proc(host)
    assert [create(host, flags) for flags in (0, SEALING, EXEC, NOEXEC)] == [0o777, 0o777, 0o777, 0o666]
    store(host, SETTING, b"1")
    assert [create(host, flags) for flags in (0, SEALING, EXEC, NOEXEC)] == [0o666, 0o666, 0o777, 0o666]
    store(host, SETTING, b"2")
    assert [create(host, flags) for flags in (0, SEALING, NOEXEC)] == [0o666] * 3
    with pytest.raises(OSError) as refused:
        create(host, EXEC)
    assert refused.value.errno == errno.EACCES
    store(host, SETTING, b"0")
    assert text_of(host, SETTING) == "0\n"


@booted
def test_no_name_is_too_long_for_its_error(machine: Machine) -> None:
    host = machine.host
    host.close(host.call("memfd_create", b"n" * 249, 0))
    for length in (250, 300, 5000):
        with pytest.raises(OSError) as refused:
            host.call("memfd_create", b"n" * length, 0)
        assert refused.value.errno == errno.EINVAL


def test_namespaces_are_as_strict_as_those_above() -> None:
    first = PidNamespace(None, 1)
    first.memfd_scope = 1
    below = PidNamespace(first, 2)
    deep = PidNamespace(below, 3)
    assert deep.strictest_memfd_scope() == 1
    first.memfd_scope = 0
    assert deep.strictest_memfd_scope() == 1  # inherited when it was created
    first.memfd_scope = 2
    assert deep.strictest_memfd_scope() == 2


@booted
def test_the_setting_is_for_whoever_rules_over_the_namespace(machine: Machine) -> None:
    host = machine.host
    show_proc(host)
    opened = host.open(SETTING, 1)

    def below(program: Program) -> int:
        program.call("unshare", 0x1000_0000)  # CLONE_NEWUSER
        for descriptor in (opened, program.open(SETTING, 1)):
            with pytest.raises(OSError) as refused:
                program.write(descriptor, b"1", 1)
            assert refused.value.errno == errno.EPERM
        return 0

    assert machine.run(below) == 0
    assert text_of(host, SETTING) == "0\n"
