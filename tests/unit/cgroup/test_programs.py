"""Programs for devices along the tree: which may be attached, which count."""

from __future__ import annotations

import pytest

from kernel.bpf.attached import ALLOW_MULTI, ALLOW_OVERRIDE, REPLACE
from kernel.bpf.code import CGROUP_DEVICE, Code
from kernel.bpf.program import KEPT, Program
from kernel.bpf.subject import DEVICES, PACKETS_IN, PACKETS_OUT
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import (
    DEVICE_PROGRAMS,
    attach,
    detach,
    effective_programs,
    end_programs,
    own_flags,
    own_programs,
)
from kernel.lang import E2BIG, EINVAL, ENODEV, ENOENT, EPERM, Errno
from kernel.lib.socket_group import PACKET_PROGRAMS


def program() -> Program:
    return Program(CGROUP_DEVICE, b"", Code(b"\xb7" + bytes(7) + b"\x95" + bytes(7)), [])


def chain() -> tuple[ControlGroup, ControlGroup]:
    top = ControlGroup(None, b"", 1)
    return top, ControlGroup(top, b"a", 2)


def refused(group: ControlGroup, which: Program, flags: int, replaced: Program | None = None) -> int:
    with pytest.raises(Errno) as raised:
        attach(group, DEVICES, which, flags, replaced)
    return raised.value.code


def test_one_alone_keeps_others_out() -> None:
    top, below = chain()
    one, two = program(), program()
    attach(top, DEVICES, one, 0, None)
    assert refused(below, two, 0) == EPERM
    assert refused(top, two, ALLOW_MULTI) == EPERM
    attach(top, DEVICES, two, 0, None)
    assert own_programs(top, DEVICES) == [two] and effective_programs(below, DEVICES) == [two]
    assert one.users == 0 and one.identifier not in KEPT.programs
    detach(top, DEVICES, None)
    with pytest.raises(Errno) as raised:
        detach(top, DEVICES, None)
    assert raised.value.code == ENOENT


def test_one_that_may_be_overridden() -> None:
    top, below = chain()
    one, two = program(), program()
    attach(top, DEVICES, one, ALLOW_OVERRIDE, None)
    attach(below, DEVICES, two, ALLOW_OVERRIDE, None)
    assert effective_programs(below, DEVICES) == [two]
    detach(below, DEVICES, two)
    assert effective_programs(below, DEVICES) == [one]
    detach(top, DEVICES, one)


def test_several_count_together() -> None:
    top, below = chain()
    one, two, three = program(), program(), program()
    attach(top, DEVICES, one, ALLOW_MULTI, None)
    attach(top, DEVICES, two, ALLOW_MULTI, None)
    attach(below, DEVICES, three, ALLOW_MULTI, None)
    assert effective_programs(below, DEVICES) == [three, one, two]
    assert refused(top, one, ALLOW_MULTI) == EINVAL
    attach(top, DEVICES, three, ALLOW_MULTI | REPLACE, one)
    assert own_programs(top, DEVICES) == [three, two] and own_flags(top, DEVICES) == ALLOW_MULTI
    assert refused(top, one, ALLOW_MULTI | REPLACE, one) == ENOENT
    with pytest.raises(Errno) as raised:
        detach(top, DEVICES, None)
    assert raised.value.code == EINVAL
    before = DEVICE_PROGRAMS.count
    end_programs(top)
    end_programs(below)
    assert DEVICE_PROGRAMS.count == before - 3 and three.users == 0


def test_there_are_at_most_64() -> None:
    top, _ = chain()
    for _each in range(64):
        attach(top, DEVICES, program(), ALLOW_MULTI, None)
    assert refused(top, program(), ALLOW_MULTI) == E2BIG
    end_programs(top)


def test_a_removed_group_takes_none() -> None:
    _, below = chain()
    below.is_removed = True
    assert refused(below, program(), 0) == ENODEV


def test_purposes_know_nothing_of_each_other() -> None:
    top, below = chain()
    one, two = program(), program()
    devices, packets = DEVICE_PROGRAMS.count, PACKET_PROGRAMS.count
    attach(top, PACKETS_IN, one, 0, None)
    attach(top, DEVICES, two, ALLOW_MULTI, None)
    attach(below, PACKETS_OUT, two, 0, None)
    assert effective_programs(below, PACKETS_IN) == [one] and effective_programs(below, PACKETS_OUT) == [two]
    assert own_programs(below, DEVICES) == [] and effective_programs(below, DEVICES) == [two]
    assert (DEVICE_PROGRAMS.count, PACKET_PROGRAMS.count) == (devices + 1, packets + 2)
    end_programs(below)
    end_programs(top)
    assert (DEVICE_PROGRAMS.count, PACKET_PROGRAMS.count) == (devices, packets) and one.users == 0
