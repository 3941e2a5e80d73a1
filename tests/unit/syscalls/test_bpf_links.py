"""Links of bpf(2) to control groups, on a booted machine."""

from __future__ import annotations

import errno
import os
import socket
import struct

from kernel.bpf.link import LINKS
from kernel.bpf.program import KEPT
from kernel.cgroup.programs import ADDRESS_PROGRAMS
from tests.unit.booted import booted
from tests.unit.syscalls.test_bpf import ALLOW, DENY, Answers, group_of, in_child
from tests.unit.syscalls.test_bpf_addresses import BIND, CGROUP_SOCK_ADDR
from tests.unit.syscalls.test_bpf_sockets import SocketCalls, address, bring_up
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE, UPDATE, BY_ID, NEXT_ID, INFO, DETACH = 28, 29, 30, 31, 15, 34


class LinkCalls(SocketCalls):
    """The same for links."""

    def create_link(self, program: int, group: int, place: int = BIND, flags: int = 0) -> int:
        return self.answers.bpf(CREATE, struct.pack("<2i2I", program, group, place, flags), 16)

    def update(self, link: int, program: int, flags: int = 0, expected: int = 0) -> int:
        return self.answers.bpf(UPDATE, struct.pack("<iiIi", link, program, flags, expected), 16)

    def about(self, link: int) -> tuple[int, ...]:
        """Type, number, number of the program, of the group, and the place."""
        where = self.at(12288, bytes(64))
        assert self.answers.bpf(INFO, bytearray(struct.pack("<iIQ", link, 64, where)), 16) == 0
        return struct.unpack("<3I4xQI", self.program.load(where, 28))


@booted
def test_a_link_counts_until_it_is_closed(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = LinkCalls(program)
        group = group_of(program)
        programs, links = len(KEPT.programs), len(LINKS.by_number)
        loaded = calls.load_kind(CGROUP_SOCK_ADDR, DENY, BIND)
        link = calls.create_link(loaded, group)
        answers.close(loaded)
        copy = answers.dup(link)
        answers.close(link)
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert answers.bind(made, address(7601), 16) == -errno.EPERM
        assert (len(KEPT.programs), len(LINKS.by_number)) == (programs + 1, links + 1)
        answers.close(copy)
        assert (len(KEPT.programs), len(LINKS.by_number)) == (programs, links)
        assert answers.bind(made, address(7601), 16) == 0

    in_child(machine, check)


@booted
def test_another_program_in_its_place(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        bring_up(answers)
        calls = LinkCalls(program)
        group = group_of(program)
        no, yes = (calls.load_kind(CGROUP_SOCK_ADDR, text, BIND) for text in (DENY, ALLOW))
        link = calls.create_link(no, group)
        assert calls.update(link, yes, 4, yes) == -errno.EPERM
        assert calls.update(link, yes, 0, no) == calls.update(link, yes, 1) == -errno.EINVAL
        assert calls.update(no, yes) == -errno.EINVAL and calls.update(link, link) == -errno.EINVAL
        assert calls.update(-1, yes) == calls.update(link, -1) == -errno.EBADF
        assert calls.update(link, yes, 4, no) == 0
        made = answers.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)
        assert answers.bind(made, address(7602), 16) == 0

    in_child(machine, check)


@booted
def test_what_is_told_of_a_link(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = LinkCalls(program)
        group = group_of(program)
        loaded = calls.load_kind(CGROUP_SOCK_ADDR, ALLOW, BIND)
        link = calls.create_link(loaded, group)
        kind, number, of_program, of_group, place = calls.about(link)
        assert (kind, place) == (3, BIND) and LINKS.by_number[number].program.identifier == of_program
        status = bytearray(144)
        program.fstat(group, status)
        assert of_group == struct.unpack_from("<Q", status, 8)[0]
        again = answers.bpf(BY_ID, struct.pack("<I", number), 4)
        assert again >= 0 and calls.about(again)[1] == number
        assert answers.bpf(BY_ID, struct.pack("<I", 0), 4) == -errno.ENOENT
        assert answers.bpf(DETACH, struct.pack("<i", again), 4) == 0
        assert calls.about(link)[3] == 0
        assert calls.update(link, loaded) == -errno.ENOLINK

    in_child(machine, check)


@booted
def test_a_link_to_a_group_that_goes(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = LinkCalls(program)
        group_of(program)
        assert answers.mkdir("/tmp/groups/gone", 0o755) == 0
        gone = program.open("/tmp/groups/gone", os.O_RDONLY | os.O_DIRECTORY)
        before = ADDRESS_PROGRAMS.count
        link = calls.create_link(calls.load_kind(CGROUP_SOCK_ADDR, ALLOW, BIND), gone)
        assert ADDRESS_PROGRAMS.count == before + 1
        assert answers.rmdir("/tmp/groups/gone") == 0
        assert ADDRESS_PROGRAMS.count == before and calls.about(link)[3] == 0
        answers.close(link)
        assert ADDRESS_PROGRAMS.count == before

    in_child(machine, check)


@booted
def test_what_is_no_link_is_refused(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = LinkCalls(program)
        group = group_of(program)
        loaded = calls.load_kind(CGROUP_SOCK_ADDR, ALLOW, BIND)
        assert calls.create_link(loaded, group, BIND + 1) == calls.create_link(loaded, group, 6) == -errno.EINVAL
        assert calls.create_link(loaded, group, BIND, 1) == calls.create_link(group, group) == -errno.EINVAL
        assert calls.create_link(loaded, loaded) == calls.create_link(-1, group) == -errno.EBADF
        assert calls.attach_at(BIND, group, loaded) == 0
        assert calls.create_link(loaded, group) == -errno.EPERM

    in_child(machine, check)


@booted
def test_no_link_is_to_an_iterator(machine: Machine) -> None:
    def check(program: Program, answers: Answers) -> None:
        calls = LinkCalls(program)
        link = calls.create_link(calls.load_kind(CGROUP_SOCK_ADDR, ALLOW, BIND), group_of(program))
        for descriptor, flags, expected in ((link, 0, errno.EINVAL), (999, 0, errno.EBADF), (999, 1, errno.EINVAL)):
            assert answers.bpf(33, struct.pack("<iI", descriptor, flags), 8) == -expected

    in_child(machine, check)
