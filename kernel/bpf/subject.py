"""What a type of programs is about: which bytes of the context may be read and changed, what may be returned, which
helpers there are.

Context: any; nothing raises or allocates.
Source: Linux's include/uapi/linux/bpf.h, for the layouts of contexts.
"""

from typing import Final

from kernel.bpf.code import (
    CGROUP_DEVICE,
    CGROUP_SKB,
    CGROUP_SOCK,
    CGROUP_SOCK_ADDR,
    PERF_EVENT,
    RAW_TRACEPOINT,
    SOCKET_FILTER,
    TRACEPOINT,
)
from kernel.lang import final

DEVICE_CONTEXT: Final = 12  # struct bpf_cgroup_dev_ctx: type and access, major, minor

# struct __sk_buff: places of what is known of a packet, 4 bytes each.
PACKET_LENGTH: Final = 0
PACKET_KIND: Final = 4
PACKET_MARK: Final = 8
PACKET_PROTOCOL: Final = 16
PACKET_PRIORITY: Final = 32
PACKET_ARRIVED_AT: Final = 36
PACKET_DEVICE: Final = 40
PACKET_LEFT: Final = 48  # five words that a program may leave for itself: 0 at first
PACKET_LEFT_END: Final = 68
PACKET_SEGMENTS: Final = 164
PACKET_SEGMENT_SIZE: Final = 176
PACKET_CONTEXT: Final = 180  # the rest of the structure no program may read
_PACKET_FIELDS: Final[list[int]] = [
    PACKET_LENGTH, PACKET_KIND, PACKET_MARK, PACKET_PROTOCOL, PACKET_ARRIVED_AT, PACKET_DEVICE, PACKET_SEGMENTS,
    PACKET_SEGMENT_SIZE,
    12, PACKET_PRIORITY, 44, 68, 84,  # queue, priority, class, hash, poller: none that a packet has
    20, 24, 28,  # the VLAN's: there is none
    PACKET_LEFT, 52, 56, 60, 64,
]  # fmt: skip

# struct bpf_sock: places of what is known of a socket, 4 bytes each but for the peer's port.
SOCKET_DEVICE: Final = 0
SOCKET_FAMILY: Final = 4
SOCKET_KIND: Final = 8
SOCKET_PROTOCOL: Final = 12
SOCKET_MARK: Final = 16
SOCKET_PRIORITY: Final = 20
SOCKET_ADDRESS4: Final = 24
SOCKET_ADDRESS6: Final = 28
SOCKET_PORT: Final = 44
SOCKET_PEER_PORT: Final = 48  # 2 bytes in the order of the network, and 2 of nothing
SOCKET_PEER4: Final = 52
SOCKET_PEER6: Final = 56
SOCKET_STATE: Final = 72
SOCKET_QUEUE: Final = 76
SOCKET_CONTEXT: Final = 80
_ADDRESS6: Final = 16

# struct bpf_sock_addr: places of what is known of an address, 4 bytes each but for IPv6. Addresses and the port are in
# the order of the network.
ADDRESS_FAMILY: Final = 0
ADDRESS_IP4: Final = 4
ADDRESS_IP6: Final = 8
ADDRESS_PORT: Final = 24
ADDRESS_SOCKET_FAMILY: Final = 28
ADDRESS_SOCKET_KIND: Final = 32
ADDRESS_SOCKET_PROTOCOL: Final = 36
ADDRESS_SOURCE4: Final = 40
ADDRESS_SOURCE6: Final = 44
_ADDRESS_END: Final = 60
ADDRESS_SOCKET: Final = 64  # a pointer to the socket
ADDRESS_CONTEXT: Final = 72
_WIDE: Final[list[int]] = [ADDRESS_IP6, ADDRESS_IP6 + 8, ADDRESS_SOURCE6 + 4]  # where 8 bytes may be accessed

# Contexts of programs that trace: a tracepoint's record, whose first word is the kernel's own; struct
# bpf_perf_event_data; the arguments of a raw tracepoint.
RECORD_START: Final = 8
RECORD_CONTEXT: Final = 8192
EVENT_PERIOD: Final = 168  # behind the registers, 8 bytes each
EVENT_ADDRESS: Final = 176
EVENT_CONTEXT: Final = 184
RAW_CONTEXT: Final = 96

# Places where programs are attached to a group, as bpf(2) numbers them (BPF_CGROUP_*).
PACKETS_IN: Final = 0
PACKETS_OUT: Final = 1
DEVICES: Final = 6
SOCKET_CREATED: Final = 2
SOCKET_BOUND4: Final = 12
SOCKET_BOUND6: Final = 13
SOCKET_RELEASED: Final = 34
SOCKET_PLACES: Final[list[int]] = [SOCKET_CREATED, SOCKET_BOUND4, SOCKET_BOUND6, SOCKET_RELEASED]
# What becomes of an address; the place for IPv6 is the next one.
ADDRESS_BINDS: Final = 8
ADDRESS_CONNECTS: Final = 10
ADDRESS_SENDS: Final = 14
ADDRESS_RECEIVES: Final = 19
ADDRESS_OF_PEER: Final = 29
ADDRESS_OF_SOCKET: Final = 31
_IP4_PLACES: Final[list[int]] = [
    ADDRESS_BINDS, ADDRESS_CONNECTS, ADDRESS_SENDS, ADDRESS_RECEIVES, ADDRESS_OF_PEER, ADDRESS_OF_SOCKET,
]  # fmt: skip
_TOLD_PLACES: Final[list[int]] = [ADDRESS_RECEIVES, ADDRESS_OF_PEER, ADDRESS_OF_SOCKET]  # nothing to forbid
ADDRESS_PLACES: Final[list[int]] = [8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32]

MOST_INSTRUCTIONS_AT_ONCE: Final = 256  # where nothing may sleep; each runs once at most, so these bound a run


class Subject:
    """A program type, and what its loader may let it do. Base class: one that judges the use of devices."""

    def __init__(self, program_type: int, most_result: int) -> None:
        self.program_type: int = program_type
        self.least_result: int = 0  # above `most_result`: anything
        self.most_result: int = most_result
        self.may_leak: bool = False  # CAP_PERFMON: pointers may be seen as numbers, stack read that was not stored
        self.may_program: bool = True  # CAP_BPF
        self.most_instructions: int = 0  # and no loops; 0: any number, with loops
        self.is_for_place: bool = False  # it is only for the place that it was loaded for
        self.looks_into_packets: bool = False  # by the loads that classic BPF has
        self.is_free: bool = True  # its licence is compatible with the GPL
        self.reach: int = 0  # of a program that traces: up to where it reads its context

    def may_load(self, offset: int, size: int) -> bool:
        """Whether bytes of the context may be read."""
        if offset < 0 or offset + size > DEVICE_CONTEXT or offset % size != 0:
            return False
        return size <= 4 if offset < 4 else size == 4

    def may_store(self, offset: int, size: int) -> bool:
        """Whether bytes of the context may be changed."""
        return False

    def has_socket(self, offset: int, size: int) -> bool:
        """Whether a pointer to a socket may be read there."""
        return False

    def note_result(self, least: int) -> None:
        """On a path that was explored, the result is at least this."""


@final
class PacketSubject(Subject):
    """One that judges packets of sockets, where nothing may sleep: it runs through once."""

    def __init__(self, program_type: int, place: int) -> None:
        super().__init__(program_type, 3 if place == PACKETS_OUT else 1)
        self.most_instructions = MOST_INSTRUCTIONS_AT_ONCE
        if program_type == SOCKET_FILTER:
            self.least_result = 1  # whatever it returns says how many bytes are wanted
            self.most_result = 0
            self.looks_into_packets = True

    def may_load(self, offset: int, size: int) -> bool:
        if offset < 0 or offset % size != 0:
            return False
        if size > 4:
            return self.may_store(offset, size)
        return offset - offset % 4 in _PACKET_FIELDS

    def may_store(self, offset: int, size: int) -> bool:
        return PACKET_LEFT <= offset <= PACKET_LEFT_END - size and offset % size == 0

    def note_result(self, least: int) -> None:
        if self.program_type == CGROUP_SKB and least > 1:
            self.is_for_place = True


@final
class SocketSubject(Subject):
    """One that hears of sockets that are created, bound and released, and may refuse the first two."""

    def __init__(self, program_type: int, place: int) -> None:
        super().__init__(program_type, 1)
        self.place: int = place
        self.is_for_place = True
        if place == SOCKET_BOUND4 or place == SOCKET_BOUND6:
            self.most_instructions = MOST_INSTRUCTIONS_AT_ONCE

    def may_load(self, offset: int, size: int) -> bool:
        if offset < 0 or offset + size > SOCKET_CONTEXT or offset % size != 0 or size > 4:
            return False
        if offset == SOCKET_DEVICE or offset == SOCKET_MARK or offset == SOCKET_PRIORITY:
            return size == 4 and self._may_change()
        if offset >= SOCKET_PEER4 and offset < SOCKET_STATE:
            return True  # the peer's addresses
        if SOCKET_PEER_PORT <= offset < SOCKET_PEER4:
            return offset + min(size, 2) <= SOCKET_PEER_PORT + 2
        if SOCKET_ADDRESS6 <= offset < SOCKET_ADDRESS6 + _ADDRESS6:
            return self.place == SOCKET_BOUND6
        if SOCKET_ADDRESS4 <= offset < SOCKET_ADDRESS6:
            return self.place == SOCKET_BOUND4
        if SOCKET_PORT <= offset < SOCKET_PEER_PORT:
            return offset == SOCKET_PORT and (self.place == SOCKET_BOUND4 or self.place == SOCKET_BOUND6)
        return offset % 4 == 0

    def may_store(self, offset: int, size: int) -> bool:
        is_known = offset == SOCKET_DEVICE or offset == SOCKET_MARK or offset == SOCKET_PRIORITY
        return is_known and size == 4 and self._may_change()

    def _may_change(self) -> bool:
        """Whether it sees and sets what the socket is bound to, its mark and its priority."""
        return self.place == SOCKET_CREATED or self.place == SOCKET_RELEASED


@final
class AddressSubject(Subject):
    """One that sees and changes the addresses that sockets are bound to, connect to, send to or are notified of."""

    def __init__(self, program_type: int, place: int) -> None:
        super().__init__(program_type, 1)
        self.is_ip4: bool = place in _IP4_PLACES
        self.purpose: int = place if self.is_ip4 else place - 1
        self.is_for_place = True
        if self.purpose == ADDRESS_BINDS:
            self.most_result = 3  # 2: whoever binds needs no right to the port
        elif self.purpose in _TOLD_PLACES:
            self.least_result = 1

    def may_load(self, offset: int, size: int) -> bool:
        field = offset - offset % 4
        if field == ADDRESS_FAMILY or ADDRESS_SOCKET_FAMILY <= field <= ADDRESS_SOCKET_PROTOCOL:
            return size == 4 and offset % 4 == 0
        return self._has(offset, size) and (size != 8 or offset in _WIDE)

    def may_store(self, offset: int, size: int) -> bool:
        return self._has(offset, size) and (size == 4 or (size == 8 and offset in _WIDE))

    def has_socket(self, offset: int, size: int) -> bool:
        return offset == ADDRESS_SOCKET and size == 8

    def _has(self, offset: int, size: int) -> bool:
        """Whether programs of the place have a changeable field there."""
        if offset < 0 or offset % size != 0:
            return False
        field = offset - offset % 4
        if field == ADDRESS_PORT:
            return True
        if field == ADDRESS_IP4:
            return self.is_ip4
        if ADDRESS_IP6 <= field < ADDRESS_PORT:
            return not self.is_ip4
        if self.purpose != ADDRESS_SENDS:
            return False
        return field == ADDRESS_SOURCE4 if self.is_ip4 else ADDRESS_SOURCE6 <= field < _ADDRESS_END


@final
class TraceSubject(Subject):
    """One that sees what happens elsewhere in the kernel, and changes none of it."""

    def __init__(self, program_type: int) -> None:
        super().__init__(program_type, 0)
        self.least_result = 1  # whatever it returns

    def may_load(self, offset: int, size: int) -> bool:
        start = RECORD_START if self.program_type == TRACEPOINT else 0
        if offset < start or offset >= self._end() or offset % size != 0:
            return False
        if self.program_type == PERF_EVENT and offset < EVENT_PERIOD and size != 8:
            return False
        self.reach = max(self.reach, offset + size)
        return True

    def _end(self) -> int:
        if self.program_type == TRACEPOINT:
            return RECORD_CONTEXT
        return EVENT_CONTEXT if self.program_type == PERF_EVENT else RAW_CONTEXT


def is_of_tracing(program_type: int) -> bool:
    """Whether programs of a type see what happens elsewhere."""
    return program_type == TRACEPOINT or program_type == PERF_EVENT or program_type == RAW_TRACEPOINT


def subject_of(program_type: int, place: int = 0) -> Subject | None:
    """None for a type that is not there. `place` is where the program says that it will be attached. Raises
    MemoryError.
    """
    if program_type == CGROUP_DEVICE:
        return Subject(program_type, 1)
    if is_of_tracing(program_type):
        return TraceSubject(program_type)
    if program_type == CGROUP_SKB or program_type == SOCKET_FILTER:
        return PacketSubject(program_type, place)
    if program_type == CGROUP_SOCK:
        return SocketSubject(program_type, place)
    if program_type == CGROUP_SOCK_ADDR:
        return AddressSubject(program_type, place)
    return None
