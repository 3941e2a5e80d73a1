"""The order of errors of calls about sockets, on a booted machine."""

import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine

FAULTY = 16  # an address without memory
UNIX, INET, INET6 = 1, 2, 10
STREAM, DATAGRAMS, RAW = 1, 2, 3
FOR_32_BITS = -0x80000000  # MSG_CMSG_COMPAT
SOL_SOCKET, LINGER, RECEIVE_TIME, BIND_TO_DEVICE, PRIORITY = 1, 13, 20, 25, 12
PAGE = 4096


@booted
def test_headers_of_32_bit_programs_are_refused_first(machine: Machine) -> None:
    host = machine.host
    for call in (
        lambda: host.sendmsg(999, FAULTY, FOR_32_BITS),
        lambda: host.recvmsg(999, FAULTY, FOR_32_BITS),
        lambda: host.sendmmsg(999, FAULTY, 0, FOR_32_BITS),
        lambda: host.recvmmsg(999, FAULTY, 1, FOR_32_BITS, FAULTY),
    ):
        with pytest.raises(OSError, match="EINVAL"):
            call()


@booted
def test_a_name_that_is_too_long_for_sendmsg_is_cut(machine: Machine) -> None:
    host = machine.host
    socket = host.socket(UNIX, DATAGRAMS, 0)
    header = struct.pack("<QI4xQQQQi4x", FAULTY, 200, FAULTY, 2000, 0, 0, 0)
    with pytest.raises(OSError, match="EFAULT"):  # not EINVAL, and before the pieces are counted
        host.sendmsg(socket, header, 0)
    header = struct.pack("<QI4xQQQQi4x", FAULTY, 0xFFFF_FFFF, FAULTY, 1, 0, 0, 0)
    with pytest.raises(OSError, match="EINVAL"):
        host.sendmsg(socket, header, 0)


@booted
def test_the_socket_of_an_option_comes_before_its_length(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    for descriptor, error in (
        (999, "EBADF"),
        (struct.unpack("<ii", ends)[0], "ENOTSOCK"),
        (host.socket(UNIX, STREAM, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.setsockopt(descriptor, SOL_SOCKET, LINGER, FAULTY, -1)


@booted
def test_a_value_of_which_only_the_start_is_there(machine: Machine) -> None:
    host = machine.host
    socket = host.socket(UNIX, STREAM, 0)
    pages = host.mmap(0, 2 * PAGE, 3, 0x22, -1, 0)
    host.munmap(pages + PAGE, PAGE)
    edge = pages + PAGE - 4
    for option, length, error in (
        (LINGER, 64, "EFAULT"),
        (LINGER, 4, "EINVAL"),
        (RECEIVE_TIME, 64, "EFAULT"),
        (RECEIVE_TIME, 8, "EINVAL"),
        (BIND_TO_DEVICE, 64, "EFAULT"),
        (BIND_TO_DEVICE, 8, "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.setsockopt(socket, SOL_SOCKET, option, edge, length)
    assert host.setsockopt(socket, SOL_SOCKET, PRIORITY, edge, 64) == 0
    assert host.setsockopt(socket, SOL_SOCKET, BIND_TO_DEVICE, edge, 4) == 0


@booted
def test_protocols_end_with_that_of_several_paths(machine: Machine) -> None:
    host = machine.host
    for kind, protocol, error in (
        (STREAM, 256, "EPROTONOSUPPORT"),
        (DATAGRAMS, 262, "EPROTONOSUPPORT"),
        (5, 262, "ESOCKTNOSUPPORT"),
        (5, 263, "EINVAL"),
        (RAW, 263, "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.socket(INET, kind, protocol)
    raw = host.socket(INET, RAW, 262)
    value, length = bytearray(4), bytearray(struct.pack("<i", 4))
    host.getsockopt(raw, SOL_SOCKET, 38, value, length)
    assert struct.unpack("<i", value)[0] == 262


@booted
def test_the_one_attribute_of_a_socket_names_its_protocol(machine: Machine) -> None:
    host = machine.host
    for family, kind, protocol, name in (
        (UNIX, STREAM, 0, b"UNIX-STREAM"),
        (UNIX, 5, 0, b"UNIX"),
        (INET, STREAM, 0, b"TCP"),
        (INET, DATAGRAMS, 0, b"UDP"),
        (INET6, DATAGRAMS, 0, b"UDPv6"),
        (INET6, RAW, 99, b"RAWv6"),
        (16, RAW, 0, b"NETLINK"),
        (17, RAW, 0, b"PACKET"),
    ):
        socket = host.socket(family, kind, protocol)
        found = bytearray(12)
        assert host.fgetxattr(socket, "system.sockprotoname", found, 12) == len(name) + 1
        assert found.startswith(name + b"\0")
        assert host.flistxattr(socket, None, 0) == len("system.sockprotoname") + 1
        for call in (
            lambda at=socket: host.flistxattr(at, FAULTY, 1),
            lambda at=socket: host.fgetxattr(at, "system.sockprotoname", FAULTY, 1),
        ):
            with pytest.raises(OSError, match="ERANGE"):
                call()


@booted
def test_which_descriptor_comes_before_its_address(machine: Machine) -> None:
    host = machine.host
    ends = bytearray(8)
    host.pipe2(ends, 0)
    pipe = struct.unpack("<ii", ends)[0]
    for descriptor, length, error in (
        (999, -1, "EBADF"),
        (pipe, -1, "EINVAL"),
        (pipe, 16, "EFAULT"),
        (pipe, 0, "ENOTSOCK"),
    ):
        with pytest.raises(OSError, match=error):
            host.connect(descriptor, FAULTY, length)
    for descriptor, flags, error in ((999, 1, "EBADF"), (pipe, 1, "EINVAL"), (pipe, 0, "ENOTSOCK")):
        with pytest.raises(OSError, match=error):
            host.accept4(descriptor, None, None, flags)
