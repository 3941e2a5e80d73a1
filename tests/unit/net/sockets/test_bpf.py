"""Classic BPF: what the checker refuses, what programs compute."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.lang import EPERM, Errno, UserAddr, span_of
from kernel.lib import user
from kernel.lib.bpf import Program
from kernel.lib.credentials import Credentials
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.sockets.bpf import ClassicFilter
from kernel.net.sockets.option_names import SO_ATTACH_FILTER, SO_LOCK_FILTER
from kernel.net.sockets.options import int_bytes, set_socket_option
from kernel.net.unix.datagram import DatagramSocket
from tests.unit.meanwhile import meanwhile

Instruction = tuple[int, int, int, int]


def program(*instructions: Instruction) -> bytes:
    return b"".join(struct.pack("<HBBI", *i) for i in instructions)


def run(data: bytes, *instructions: Instruction) -> int:
    packet = Packet(len(data))
    packet.put(len(data)).copy_from(span_of(data))
    return Program(program(*instructions)).run(packet.span(), packet)


def test_a_port_is_chosen() -> None:
    udp_port_68: tuple[Instruction, ...] = (
        (0x30, 0, 0, 9),
        (0x15, 0, 6, 17),
        (0x28, 0, 0, 6),
        (0x45, 4, 0, 0x1FFF),
        (0xB1, 0, 0, 0),
        (0x48, 0, 0, 2),
        (0x15, 0, 1, 68),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )
    header = b"\x45" + bytes(8) + b"\x11" + bytes(10)
    assert run(header + struct.pack(">HHHH", 67, 68, 8, 0), *udp_port_68) == 0xFFFF
    assert run(header + struct.pack(">HHHH", 67, 69, 8, 0), *udp_port_68) == 0
    assert run(header, *udp_port_68) == 0


def test_arithmetic_is_modulo_two_to_the_32() -> None:
    assert run(b"", (0x00, 0, 0, 0xFFFFFFFF), (0x24, 0, 0, 0xFFFFFFFF), (0x16, 0, 0, 0)) == 1
    assert run(b"", (0x00, 0, 0, 0), (0x14, 0, 0, 1), (0x16, 0, 0, 0)) == 0xFFFFFFFF
    assert run(b"", (0x00, 0, 0, 7), (0x01, 0, 0, 0), (0x3C, 0, 0, 0), (0x16, 0, 0, 0)) == 0


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        program((0x00, 0, 0, 0)),  # does not return
        program((0x05, 0, 0, 5), (0x06, 0, 0, 0)),  # jumps out
        program((0x15, 9, 0, 0), (0x06, 0, 0, 0)),
        program((0x34, 0, 0, 0), (0x06, 0, 0, 0)),  # divides by zero
        program((0x02, 0, 0, 16), (0x06, 0, 0, 0)),  # scratch memory
        program((0xFFFF, 0, 0, 0), (0x06, 0, 0, 0)),
    ],
)
def test_unsound_programs_are_refused(bad: bytes) -> None:
    with pytest.raises(Errno):
        ClassicFilter(bad)


@given(st.lists(st.tuples(st.integers(0, 0xFF), st.integers(0, 3), st.integers(0, 3), st.integers(0, 0xFFFFFFFF))))
def test_whatever_passes_the_checker_ends(instructions: list[Instruction]) -> None:
    try:
        run(bytes(range(64)), *instructions, (0x06, 0, 0, 1))
    except Errno:
        return


def test_a_packet_is_cut_to_what_is_wanted() -> None:
    packet = Packet(20)
    packet.put(20)
    start = packet.start
    packet.pull(8)
    assert ClassicFilter(program((0x06, 0, 0, 12))).passes(packet, start, 8, None)
    assert packet.end == start + 12
    assert ClassicFilter(program((0x06, 0, 0, 1))).passes(packet, start, 8, None)
    assert packet.end == start + 8 and len(packet) == 0
    assert not ClassicFilter(program((0x06, 0, 0, 0))).passes(packet, start, 8, None)


def test_a_filter_that_is_locked_while_another_is_read_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = DatagramSocket(0, Credentials(), FIRST_NETWORK)
    kept = ClassicFilter(program((0x06, 0, 0, 1)))

    def read_bytes(address: UserAddr, count: int) -> bytes:
        socket.set_filter(kept)  # as another thread does
        set_socket_option(socket, SO_LOCK_FILTER, int_bytes(1), Credentials())
        return program((0x06, 0, 0, 0xFFFF))

    monkeypatch.setattr(user, "read_bytes", read_bytes)
    with pytest.raises(Errno) as caught:
        set_socket_option(socket, SO_ATTACH_FILTER, struct.pack("<HxxxxxxQ", 1, 4096), Credentials())
    assert caught.value.code == EPERM and socket.filter is kept
    socket.release()


def test_a_filter_that_is_locked_while_another_is_checked_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    socket = DatagramSocket(0, Credentials(), FIRST_NETWORK)
    monkeypatch.setattr(user, "read_bytes", lambda address, count: program((0x06, 0, 0, 1)))
    with meanwhile(lambda: set_socket_option(socket, SO_LOCK_FILTER, int_bytes(1), Credentials())):
        with pytest.raises(Errno) as caught:
            set_socket_option(socket, SO_ATTACH_FILTER, struct.pack("<HxxxxxxQ", 1, 4096), Credentials())
    assert caught.value.code == EPERM and socket.filter is None
    socket.release()
