"""Sockets that share a port, and a program that chooses among them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from kernel.bpf.code import SOCKET_FILTER, Code
from kernel.bpf.program import Program
from kernel.lang import EADDRINUSE, EINVAL, ENOENT, Errno, span_of
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.net.datagram.udp import find_socket, udp_sockets_of
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.sockets.bpf import ClassicFilter, ProgramFilter
from kernel.net.sockets.port_group import PortGroup
from kernel.net.sockets.socket import AF_INET, SWITCH_REUSE_PORT
from tests.unit.bpf.assembler import LEAVE, R0, R6, B, mov, mov_r, raw
from tests.unit.net.conftest import Wire

FIRST_BYTE = ClassicFilter(struct.pack("<HBBIHBBI", 0x30, 0, 0, 0, 0x16, 0, 0, 0))
MADE: list[UdpSocket] = []


def socket(*, shares: bool = True) -> UdpSocket:
    made = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    if shares:
        made.switches |= SWITCH_REUSE_PORT
    MADE.append(made)
    return made


def bound(port: int = 600, **how: bool) -> UdpSocket:
    made = socket(**how)
    made.take_port(port)
    return made


def a_packet(data: bytes) -> Packet:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    return packet


def by_program(*instructions: bytes) -> ProgramFilter:
    program = Program(SOCKET_FILTER, b"", Code(b"".join(instructions)), [])
    return ProgramFilter(program, FIRST_USER)


def refused(made: UdpSocket, chooser: ClassicFilter | None) -> int:
    with pytest.raises(Errno) as raised:
        made.set_chooser(chooser)
    return raised.value.code


@pytest.fixture(autouse=True)
def ports() -> Iterator[None]:
    udp_sockets_of(FIRST_NETWORK).by_port.clear()
    yield
    for made in MADE:
        made.unbind()
        made.leave_port_group()
    MADE.clear()


def test_the_last_one_takes_the_index_of_one_that_goes() -> None:
    group = PortGroup()
    sockets = [socket() for _ in range(4)]
    for each in sockets:
        group.enter(each)
    group.set_chooser(FIRST_BYTE)
    assert [group.choose(a_packet(bytes([index]))) for index in range(5)] == [*sockets, None]
    group.leave(sockets[1])
    assert [group.choose(a_packet(bytes([index]))) for index in range(4)] == [
        sockets[0], sockets[3], sockets[2], None,
    ]  # fmt: skip
    group.leave(sockets[2])
    assert group.members == [sockets[0], sockets[3]]


def test_a_program_is_kept_as_long_as_the_group() -> None:
    group = PortGroup()
    first, second = by_program(mov(R0, 0), LEAVE), by_program(mov(R0, 1), LEAVE)
    one, two = socket(), socket()
    group.enter(one)
    group.enter(two)
    group.set_chooser(first)
    group.set_chooser(second)
    assert (first.program.users, second.program.users) == (0, 1)
    assert group.choose(a_packet(b"")) is two
    group.leave(one)
    assert group.choose(a_packet(b"")) is None and second.program.users == 1
    group.leave(two)
    assert second.program.users == 0 and group.chooser is None
    with pytest.raises(Errno) as raised:
        group.drop_chooser()
    assert raised.value.code == ENOENT


def test_a_program_sees_what_follows_the_header() -> None:
    group = PortGroup()
    sockets = [socket() for _ in range(3)]
    for each in sockets:
        group.enter(each)
    group.set_chooser(by_program(mov_r(R6, 1), raw(0x20 | B, constant=0), LEAVE))
    packet = a_packet(b"\x01\x02")
    assert group.choose(packet) is sockets[1]
    packet.pull(1)
    assert group.choose(packet) is sockets[2]
    packet.pull(1)
    assert group.choose(packet) is sockets[0], "a load from outside of the packet ends the program with 0"


def test_who_shares_a_port() -> None:
    first, second, other = bound(), bound(), bound(601)
    assert first.port_group is second.port_group is not None and other.port_group is not first.port_group
    first.close()
    assert second.port_group is not None and second.port_group.members == [second]
    alone = bound(602, shares=False)
    assert alone.port_group is None
    assert refused(alone, FIRST_BYTE) == EINVAL and refused(alone, None) == EINVAL
    assert refused(socket(shares=False), FIRST_BYTE) == EINVAL
    assert refused(second, None) == refused(socket(), None) == ENOENT


def test_a_program_comes_before_the_port() -> None:
    early = socket()
    early.set_chooser(FIRST_BYTE)
    early.take_port(600)
    late = bound()
    group = late.port_group
    assert group is not None and group is early.port_group and group.chooser is FIRST_BYTE
    chooser = by_program(mov(R0, 0), LEAVE)
    third = socket()
    third.set_chooser(chooser)
    for _ in range(2):  # with a program, and when it has none any more
        with pytest.raises(Errno) as raised:
            third.take_port(600)
        assert raised.value.code == EADDRINUSE, "it has a group of its own"
        if chooser.program.users != 0:
            third.set_chooser(None)
    assert chooser.program.users == 0
    third.take_port(601)
    assert bound(601).port_group is third.port_group, "others may join it"


def test_datagrams_go_to_the_chosen_one(wire: Wire) -> None:
    sockets = [bound() for _ in range(4)]
    sockets[2].set_chooser(FIRST_BYTE)

    def found(data: bytes, port: int = 4000) -> object:
        return find_socket(b"\x0a\0\0\1", 600, b"\x0a\0\0\2", port, wire, a_packet(data))

    assert [found(bytes([index])) for index in range(4)] == sockets
    by_hash = {found(b"\xff", port) for port in range(4000, 4064)}
    assert by_hash == set(sockets)
    sockets[0].set_chooser(None)
    assert {found(b"\1", port) for port in range(4000, 4064)} == set(sockets)
    for each in sockets:
        each.close()
