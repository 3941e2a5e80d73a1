"""Links: programs that are attached as long as a descriptor is open."""

from __future__ import annotations

import pytest

from kernel.bpf.attached import ALLOW_MULTI
from kernel.bpf.code import CGROUP_DEVICE, CGROUP_SKB
from kernel.bpf.link import LINKS, release_link
from kernel.bpf.subject import DEVICES, PACKETS_IN
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.links import make_link, update_link
from kernel.cgroup.programs import (
    DEVICE_PROGRAMS,
    attach,
    detach,
    effective_programs,
    end_programs,
    own_flags,
    own_programs,
)
from kernel.lang import E2BIG, EINVAL, ENOENT, ENOLINK, EPERM, Errno
from tests.unit.cgroup.test_programs import chain, program


def refused(group: ControlGroup) -> int:
    which = program()
    before = len(LINKS.by_number)
    with pytest.raises(Errno) as raised:
        make_link(group, DEVICES, which)
    assert which.users == 0 and len(LINKS.by_number) == before
    return raised.value.code


def test_a_link_attaches_as_long_as_it_is_used() -> None:
    top, below = chain()
    one, two = program(), program()
    before = DEVICE_PROGRAMS.count
    link = make_link(top, DEVICES, one)
    assert LINKS.by_number[link.identifier] is link and one.users == 1
    attach(top, DEVICES, one, ALLOW_MULTI, None)
    assert own_programs(top, DEVICES) == [one, one] and own_flags(top, DEVICES) == ALLOW_MULTI
    other = make_link(below, DEVICES, two)
    assert effective_programs(below, DEVICES) == [two, one, one] and DEVICE_PROGRAMS.count == before + 3
    detach(top, DEVICES, one)
    with pytest.raises(Errno) as raised:
        detach(top, DEVICES, one)
    assert raised.value.code == ENOENT and own_programs(top, DEVICES) == [one]
    link.users += 1
    release_link(link)
    assert own_programs(top, DEVICES) == [one]
    release_link(link)
    release_link(other)
    assert own_programs(top, DEVICES) == [] and own_flags(top, DEVICES) == 0 and DEVICE_PROGRAMS.count == before
    assert one.users == two.users == 0 and link.identifier not in LINKS.by_number


def test_a_link_outlives_its_group() -> None:
    top, below = chain()
    one = program()
    before = DEVICE_PROGRAMS.count
    link = make_link(below, DEVICES, one)
    end_programs(below)
    assert link.group is None and one.users == 1 and DEVICE_PROGRAMS.count == before
    with pytest.raises(Errno) as raised:
        update_link(link, program(), None)
    assert raised.value.code == ENOLINK
    release_link(link)
    assert one.users == 0 and DEVICE_PROGRAMS.count == before
    assert own_programs(top, DEVICES) == []


def test_a_link_that_is_cut() -> None:
    top, _ = chain()
    one = program()
    link = make_link(top, DEVICES, one)
    link.cut()
    link.cut()
    assert own_programs(top, DEVICES) == [] and link.group is None and one.users == 1
    release_link(link)
    assert one.users == 0


def test_another_program() -> None:
    top, _ = chain()
    one, two, other = program(), program(), program()
    other.kind = CGROUP_SKB
    link = make_link(top, DEVICES, one)
    for new, expected, code in ((two, two, EPERM), (other, one, EINVAL), (other, None, EINVAL)):
        with pytest.raises(Errno) as raised:
            update_link(link, new, expected)
        assert raised.value.code == code
    update_link(link, two, one)
    assert own_programs(top, DEVICES) == [two] and (one.users, two.users) == (0, 1)
    update_link(link, two, None)
    assert two.users == 1
    release_link(link)
    assert two.users == 0 and one.kind == CGROUP_DEVICE


def test_where_only_one_may_be_there_is_no_link() -> None:
    top, below = chain()
    one = program()
    attach(top, DEVICES, one, 0, None)
    assert refused(top) == refused(below) == EPERM
    detach(top, DEVICES, None)
    links = [make_link(top, DEVICES, one) for _ in range(64)]
    assert refused(top) == E2BIG
    with pytest.raises(Errno) as raised:
        attach(top, DEVICES, one, 0, None)
    assert raised.value.code == EPERM
    link = make_link(top, PACKETS_IN, one)
    for each in [*links, link]:
        release_link(each)
    assert one.users == 0
