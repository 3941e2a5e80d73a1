"""The order of errors of calls about sockets, on a booted machine."""

import struct

import pytest

from kernel.lang import EFAULT, EMFILE, Errno, UserAddr
from kernel.lib import user
from kernel.sched import sleep_until
from kernel.task import current
from kernel.time.clock import monotonic_ns
from tests.unit.booted import booted
from tests.unit.syscalls.test_scarce_sockets import bring_up
from tools.simulated.machine import Machine
from tools.simulated.program import Program

FAULTY = 16  # an address without memory
UNIX, INET, INET6 = 1, 2, 10
STREAM, DATAGRAMS, RAW = 1, 2, 3
FOR_32_BITS = -0x80000000  # MSG_CMSG_COMPAT
SOL_SOCKET, LINGER, RECEIVE_TIME, BIND_TO_DEVICE, PRIORITY = 1, 13, 20, 25, 12
PAGE = 4096
DONT_WAIT, MORE = 0x40, 0x8000


@booted
def test_headers_of_32_bit_programs_are_refused_first(machine: Machine) -> None:
    host = machine.host
    with pytest.raises(OSError, match="EINVAL"):
        host.sendmsg(999, FAULTY, FOR_32_BITS)
    with pytest.raises(OSError, match="EINVAL"):
        host.recvmsg(999, FAULTY, FOR_32_BITS)
    with pytest.raises(OSError, match="EINVAL"):
        host.sendmmsg(999, FAULTY, 0, FOR_32_BITS)
    with pytest.raises(OSError, match="EINVAL"):
        host.recvmmsg(999, FAULTY, 1, FOR_32_BITS, FAULTY)


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
        with pytest.raises(OSError, match="ERANGE"):
            host.flistxattr(socket, FAULTY, 1)
        with pytest.raises(OSError, match="ERANGE"):
            host.fgetxattr(socket, "system.sockprotoname", FAULTY, 1)


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


@booted
def test_options_that_do_not_exist_are_refused_before_their_values_are_read(machine: Machine) -> None:
    host = machine.host
    tcp, udp6, netlink = host.socket(INET, STREAM, 0), host.socket(INET6, DATAGRAMS, 0), host.socket(16, RAW, 0)
    for socket, level, option, length, error in (
        (tcp, 0, 9999, 4, "ENOPROTOOPT"),
        (tcp, 41, 26, 4, "ENOPROTOOPT"),
        (tcp, 6, 9999, 1, "EINVAL"),  # no value of TCP is shorter than an int
        (tcp, 6, 9999, 4, "EFAULT"),
        (tcp, 0, 36, 4, "EPROTO"),  # streams are in no groups
        (tcp, 0, 4, 64, "EINVAL"),  # IP_OPTIONS have 40 bytes
        (udp6, 0, 36, 7, "EINVAL"),
        (udp6, 0, 36, 8, "EFAULT"),
        (udp6, 17, 9999, 1, "EINVAL"),
        (udp6, 41, 9999, 1, "ENOPROTOOPT"),  # without an int, nothing is read
        (udp6, 41, 9999, 4, "EFAULT"),
        (udp6, 41, 20, 1, "EINVAL"),
        (udp6, 41, 28, 1, "EINVAL"),
        (netlink, 0, 1, 4, "ENOPROTOOPT"),
        (netlink, 270, 9999, 3, "ENOPROTOOPT"),
        (netlink, 270, 9999, 4, "EFAULT"),
    ):
        with pytest.raises(OSError, match=error):
            host.setsockopt(socket, level, option, FAULTY, length)
    edge = host.mmap(0, 2 * PAGE, 3, 0x22, -1, 0) + PAGE - 4
    host.munmap(edge + 4, PAGE)
    for level, option, error in ((0, 36, "EFAULT"), (41, 20, "EFAULT"), (41, 28, "EFAULT"), (41, 59, "EFAULT")):
        with pytest.raises(OSError, match=error):  # more than an int is needed
            host.setsockopt(udp6, level, option, edge, 64)
    assert host.setsockopt(udp6, 0, 2, bytes([9, 0, 0, 0]), 4) == 0
    with pytest.raises(OSError, match="EINVAL"):  # IP_UNICAST_IF: the length counts, whatever can be read
        host.setsockopt(udp6, 0, 50, edge, 64)


@booted
def test_headers_for_all_datagrams_can_only_be_taken_away(machine: Machine) -> None:
    host = machine.host
    udp6 = host.socket(INET6, DATAGRAMS, 0)
    assert host.setsockopt(udp6, 41, 59, FAULTY, 0) == 0
    for value, error in (
        (bytes(7), "EINVAL"),
        (bytes(12), "EINVAL"),
        (bytes(2048), "EINVAL"),
        (bytes(8), "ENOPROTOOPT"),
    ):
        with pytest.raises(OSError, match=error):
            host.setsockopt(udp6, 41, 59, value, len(value))
    length = bytearray(struct.pack("<i", 100))
    assert host.getsockopt(udp6, 41, 59, FAULTY, length) == 0
    assert struct.unpack("<i", length)[0] == 0
    with pytest.raises(OSError, match="ENOENT"):  # IPV6_LEAVE_ANYCAST
        host.setsockopt(udp6, 41, 28, bytes(20), 20)


@booted
def test_levels_come_before_lengths(machine: Machine) -> None:
    host = machine.host
    tcp, udp6, netlink = host.socket(INET, STREAM, 0), host.socket(INET6, DATAGRAMS, 0), host.socket(16, RAW, 0)
    negative = struct.pack("<i", -1)
    for socket, level, option, length, error in (
        (tcp, 41, 1, FAULTY, "ENOTSUP"),
        (tcp, 0, 1, negative, "EINVAL"),
        (udp6, 6, 1, FAULTY, "ENOPROTOOPT"),
        (udp6, 41, 9999, negative, "ENOPROTOOPT"),
        (udp6, 41, 25, negative, "EFAULT"),  # IPv6 takes it for a large one
        (udp6, 41, 48, negative, "EINVAL"),
        (netlink, 0, 1, FAULTY, "ENOPROTOOPT"),
        (netlink, 270, 3, negative, "EINVAL"),
    ):
        place = bytearray(length) if isinstance(length, bytes) else length
        with pytest.raises(OSError, match=error):
            host.getsockopt(socket, level, option, FAULTY, place)
    assert host.getsockopt(tcp, 6, 28, FAULTY, bytearray(struct.pack("<i", 4))) == 0  # no SYN is kept


@booted
def test_what_is_wrong_with_a_call_comes_before_its_ancillary_messages(machine: Machine) -> None:
    host = machine.host
    place = host.mmap(0, PAGE, 3, 0x22, -1, 0)
    control, piece, header = place, place + 64, place + 128
    host.store(piece, struct.pack("<QQ", place, 1))
    host.store(header, struct.pack("<QI4xQQQQi4x", 0, 0, piece, 1, control, 24, 0))
    ends = bytearray(8)
    host.socketpair(UNIX, STREAM, 0, ends)
    connected = struct.unpack("<ii", ends)[0]
    torn = struct.pack("<Qii8x", 99, SOL_SOCKET, 1)  # longer than the rest of the message
    lost = struct.pack("<Qiii4x", 20, SOL_SOCKET, 1, 999)  # SCM_RIGHTS of a descriptor that is closed
    for family, kind, of_torn, of_lost in (
        (UNIX, 5, "ENOTCONN", "ENOTCONN"),
        (INET, STREAM, "EPIPE", "EPIPE"),
        (INET, DATAGRAMS, "EDESTADDRREQ", "EDESTADDRREQ"),
        (INET6, DATAGRAMS, "EDESTADDRREQ", "EDESTADDRREQ"),
        (16, RAW, "EINVAL", "EINVAL"),
        (UNIX, DATAGRAMS, "EINVAL", "EBADF"),
    ):
        socket = host.socket(family, kind, 0)
        for message, error in ((torn, of_torn), (lost, of_lost)):
            host.store(control, message)
            with pytest.raises(OSError, match=error):
                host.sendmsg(socket, header, 0x4000)
    host.store(control, lost)
    with pytest.raises(OSError, match="EBADF"):
        host.sendmsg(connected, header, 0x4000)


@booted
def test_destinations_of_no_family(machine: Machine) -> None:
    host = machine.host
    no_family = bytes(16)
    for family, flags, length, error in (
        (INET, 0, 16, "EINVAL"),  # as one of AF_INET, whose port is 0
        (INET, 1, 16, "ENOTSUP"),
        (INET6, 0, 16, "EDESTADDRREQ"),  # as none
        (INET6, 1, 16, "EDESTADDRREQ"),  # which looks at MSG_OOB only for destinations of IPv4
        (INET6, 0, 1, "EINVAL"),
        (UNIX, 0, 16, "EINVAL"),
    ):
        socket = host.socket(family, DATAGRAMS, 0)
        with pytest.raises(OSError, match=error):
            host.sendto(socket, FAULTY, 1, flags, no_family, length)
    udp6 = host.socket(INET6, DATAGRAMS, 0)
    plain = struct.pack("<H2x4s8x", INET, b"\xff" * 4)
    for length, flags, error in ((1, 0, "EINVAL"), (1, 1, "ENOTSUP"), (1 << 20, 1, "EMSGSIZE")):
        with pytest.raises(OSError, match=error):
            host.sendto(udp6, FAULTY, length, flags, plain, 16)


@booted
def test_streams_connect_to_their_own_family_only(machine: Machine) -> None:
    host = machine.host
    tcp6 = host.socket(INET6, STREAM, 0)
    name = struct.pack("<H2s4s20x", INET, b"\0\1", b"\x7f\0\0\1")
    for length, error in ((16, "EINVAL"), (23, "EINVAL"), (24, "EAFNOSUPPORT")):
        with pytest.raises(OSError, match=error):
            host.connect(tcp6, name, length)
    with pytest.raises(OSError, match="EAGAIN"):  # MSG_ERRQUEUE: errors of connections are not queued
        host.recvfrom(tcp6, FAULTY, 1, 0x2000, None, None)


@pytest.mark.parametrize("name", ["pipe2", "socketpair", "recvmsg"])
@booted
def test_a_descriptor_that_another_thread_closes_while_its_number_is_written(machine: Machine, name: str) -> None:
    """The call fails, and closes nothing but what it has opened."""
    host = machine.host
    place = host.mmap(0, PAGE, 3, 0x22, -1, 0)
    ends, sent = bytearray(8), bytearray(8)
    host.socketpair(UNIX, DATAGRAMS, 0, ends)
    here, there = struct.unpack("<ii", ends)
    host.pipe2(sent, 0)
    reader, writer = struct.unpack("<ii", sent)
    host.store(place, struct.pack("<QQ", place + 512, 1))
    host.store(place + 64, struct.pack("<Qii", 24, SOL_SOCKET, 1) + sent)
    host.sendmsg(here, struct.pack("<QI4xQQQQi4x", 0, 0, place, 1, place + 64, 24, 0), 0)
    table = current().files
    first, second = table.lowest_free(0), table.lowest_free(table.lowest_free(0) + 1)
    other = table.get(here)
    written: list[int] = []
    write_i32 = user.write_i32

    def write(address: UserAddr, value: int) -> None:
        """The page goes while the second number is written, and both numbers become another file's."""
        if written or value != second or table.find(second) is None:
            return write_i32(address, value)
        written.append(value)
        for number in (first, second):
            table.replace(number, other, cloexec=False)
        raise Errno(EFAULT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user, "write_i32", write)
        if name == "recvmsg":
            header = bytearray(struct.pack("<QI4xQQQQi4x", 0, 0, place, 1, place + 64, 24, 0))
            assert host.recvmsg(there, header, 0) == 1
            assert struct.unpack_from("<I", header, 48)[0] & 8 != 0  # MSG_CTRUNC
        elif name == "pipe2":
            with pytest.raises(OSError, match="EFAULT"):
                host.pipe2(sent, 0)
        else:
            with pytest.raises(OSError, match="EFAULT"):
                host.socketpair(UNIX, STREAM, 0, ends)
    assert written == [second]
    assert table.find(first) is other
    assert table.find(second) is other
    assert other.users == 3
    if name == "recvmsg":
        assert [table.get(number).users for number in (reader, writer)] == [1, 1]


@booted
def test_a_datagram_is_not_sent_while_a_part_is_added(machine: Machine) -> None:
    """A part that has to wait for its memory, and the last one, which another process sends meanwhile."""
    host = machine.host
    bring_up(host)
    sender, receiver = host.socket(INET, DATAGRAMS, 0), host.socket(INET, DATAGRAMS, 0)
    name = struct.pack("<H2s4s8x", INET, b"\x13\x88", b"\x7f\0\0\1")
    host.bind(receiver, name, 16)
    host.connect(sender, name, 16)
    take_bytes = user.Buffer.take_bytes

    def late(buffer: user.Buffer, count: int) -> bytes:
        if count == 2:
            sleep_until(monotonic_ns() + 100_000_000)
        return take_bytes(buffer, count)

    def child(program: Program) -> None:
        assert program.sendto(sender, b"c", 1, 0, None, 0) == 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(user.Buffer, "take_bytes", late)
        assert host.sendto(sender, b"a", 1, MORE, None, 0) == 1
        pid = host.fork(child)
        assert host.sendto(sender, b"bb", 2, MORE, None, 0) == 2
        assert machine.wait(pid) == 0
    array = bytearray(8)
    assert host.recvfrom(receiver, array, 8, DONT_WAIT, None, None) == 4
    assert bytes(array[:4]) == b"abbc"
    with pytest.raises(OSError, match="EAGAIN"):
        host.recvfrom(receiver, array, 8, DONT_WAIT, None, None)
    assert host.sendto(sender, b"d", 1, 0, None, 0) == 1
    assert host.recvfrom(receiver, array, 8, DONT_WAIT, None, None) == 1


@booted
def test_the_last_descriptor_is_kept_for_a_connection_that_is_taken(machine: Machine) -> None:
    """Another thread opens files while the peer's address is written."""
    host = machine.host
    listener, client = host.socket(UNIX, STREAM, 0), host.socket(UNIX, STREAM, 0)
    name = struct.pack("<H", UNIX) + b"\0last"
    host.bind(listener, name, len(name))
    host.listen(listener, 1)
    host.connect(client, name, len(name))
    files = current().files
    files.limit = client + 2
    codes: list[int] = []

    def write(name: bytes, address: UserAddr, length: UserAddr) -> None:
        try:
            files.duplicate(client, 0, False)
        except Errno as error:
            codes.append(error.code)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kernel.syscalls.socket.write_address", write)
        assert host.accept4(listener, bytearray(16), bytearray(4), 0) == client + 1
    assert codes == [EMFILE]
