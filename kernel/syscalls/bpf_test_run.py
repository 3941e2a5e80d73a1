"""BPF_PROG_TEST_RUN: one run or many of a program that judges packets, on bytes that the caller has.

The bytes are an Ethernet frame that seems to have come by the caller's loopback, or by the device that a context names.
The program sees it without its header, in whose place zeros are returned.

A run is bounded as it is for a packet of the network.

Context: takes safe points between runs. May raise MemoryError.
Source: Linux's Documentation/bpf/bpf_prog_run.rst.
"""

from typing import Final

from kernel.bpf.code import CGROUP_SKB, SOCKET_FILTER
from kernel.bpf.maps import NOT_SUPPORTED
from kernel.bpf.packet_view import PacketView
from kernel.bpf.program import Program
from kernel.bpf.subject import (
    PACKET_ARRIVED_AT,
    PACKET_CONTEXT,
    PACKET_DEVICE,
    PACKET_KIND,
    PACKET_LEFT,
    PACKET_LEFT_END,
    PACKET_LENGTH,
    PACKET_MARK,
    PACKET_PRIORITY,
    PACKET_PROTOCOL,
    PACKET_SEGMENT_SIZE,
    PACKET_SEGMENTS,
)
from kernel.fs.anonymous import SOCKETS
from kernel.fs.bpf.devices import WORLD
from kernel.lang import E2BIG, EINTR, EINVAL, ENODEV, ENOSPC, Errno, Span, UserAddr, final, span_of, u8
from kernel.lib import user
from kernel.lib.pace import is_interrupted, pace
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.ethernet import ETHERNET_HEADER, ETHERTYPE_IP4, ETHERTYPE_IP6, SMALLEST_ETHERTYPE, kind_of
from kernel.net.link.network import caller_network
from kernel.net.sockets.packet_context import MOST_COST
from kernel.syscalls.bpf_arguments import Attributes, program_file_at
from kernel.time.clock import monotonic_ns

# Places in the attributes.
_ANSWER: Final = 4
_SIZE_IN: Final = 8
_SIZE_OUT: Final = 12
_DATA_IN: Final = 16
_DATA_OUT: Final = 24
_REPEAT: Final = 32
_DURATION: Final = 36
_CONTEXT_SIZE_IN: Final = 40
_CONTEXT_SIZE_OUT: Final = 44
_CONTEXT_IN: Final = 48
_CONTEXT_OUT: Final = 56
_FLAGS: Final = 64
_PROCESSOR: Final = 68
_BATCH: Final = 72
_END: Final = 76

_CHECKSUM: Final = 4  # BPF_F_TEST_SKB_CHECKSUM_COMPLETE: nothing here changes what it sums up
_PAGE: Final = 4096
_PROTOCOL_AT: Final = 12
_IP4_HEADER: Final = 20
_IP6_HEADER: Final = 40
_MOST_BYTES: Final = 3712  # of a page, what Linux leaves for a packet
_NOWHERE: Final = UserAddr(0)
_LOOPBACK: Final = 1
_WORD: Final = 0xFFFF_FFFF
_LOOK_COST: Final = 2000
_IEEE_802_3: Final = 1  # protocols of frames whose header has a length instead
_IEEE_802_2: Final = 4

# struct __sk_buff: all of it, and the words beyond those that programs may read.
_CONTEXT_SIZE: Final = 192
_WIRE_LENGTH: Final = 160
_ZEROS: Final = [0, 8, 12, 32, 44, 48, 68, 152, 168, 176, 180, 184]  # from, to: what a caller must not set
_MOST_WIRE_LENGTH: Final = 65536
_MOST_SEGMENTS: Final = 65535


def test_run(attributes: Attributes) -> int:
    """BPF_PROG_TEST_RUN. Raises EINVAL, EBADF, ENOTSUPP, EFAULT, E2BIG, ENODEV, EINTR, ENOSPC."""
    attributes.end_at(_END)
    for size_at, address_at in ((_CONTEXT_SIZE_IN, _CONTEXT_IN), (_CONTEXT_SIZE_OUT, _CONTEXT_OUT)):
        if (attributes.u32(size_at) != 0) != (attributes.pointer(address_at) != _NOWHERE):
            raise Errno(EINVAL)
    file = program_file_at(attributes.i32(0))
    if file.program.kind != SOCKET_FILTER and file.program.kind != CGROUP_SKB:
        raise Errno(NOT_SUPPORTED)
    file.acquire()
    try:
        _Trial(attributes, file.program).run()
    finally:
        file.release()
    return 0


@final
class _Trial:
    """What one call has. Raises what `test_run` does."""

    def __init__(self, attributes: Attributes, program: Program) -> None:
        self.attributes: Attributes = attributes
        self.program: Program = program
        if attributes.u32(_FLAGS) & ~_CHECKSUM != 0 or attributes.u32(_PROCESSOR) != 0 or attributes.u32(_BATCH) != 0:
            raise Errno(EINVAL)
        size = attributes.u32(_SIZE_IN)
        if not ETHERNET_HEADER <= size <= _MOST_BYTES:
            raise Errno(EINVAL)
        self.frame: bytearray = bytearray(user.read_bytes(attributes.pointer(_DATA_IN), size))
        self.given: bytearray = self._given_context()
        self.seen: bytearray = bytearray(PACKET_CONTEXT)  # by the program

    def _given_context(self) -> bytearray:
        attributes = self.attributes
        given = bytearray(_CONTEXT_SIZE)
        address = attributes.pointer(_CONTEXT_IN)
        if address != _NOWHERE:
            size = attributes.u32(_CONTEXT_SIZE_IN)
            if size > _PAGE:
                raise Errno(E2BIG)
            user.require_zeros(address, _CONTEXT_SIZE, size)
            user.read_into(span_of(given)[0 : min(size, _CONTEXT_SIZE)], address)
        return given

    def run(self) -> None:
        device = self._device()
        self._check_header()
        self._fill(device)
        answer, duration = self._repeat(self._view())
        span_of(self.frame)[0:ETHERNET_HEADER].fill(0)
        self._return_context_words(device)
        self._finish(answer, duration)

    def _device(self) -> NetworkDevice | None:
        network = caller_network()
        index = span_of(self.given).load_u32(PACKET_DEVICE)
        if index <= _LOOPBACK:
            return device_by_index(network, _LOOPBACK)
        found = device_by_index(network, index)
        if found is None:
            raise Errno(ENODEV)
        return found

    def _check_header(self) -> None:
        """Raise EINVAL for a packet of IP that is shorter than its header."""
        protocol = span_of(self.frame).load_be16(_PROTOCOL_AT)
        least = _IP4_HEADER if protocol == ETHERTYPE_IP4 else _IP6_HEADER if protocol == ETHERTYPE_IP6 else 0
        if len(self.frame) - ETHERNET_HEADER < least:
            raise Errno(EINVAL)

    def _fill(self, device: NetworkDevice | None) -> None:
        """Make the program's context. Raises EINVAL for what a caller must not set."""
        given = span_of(self.given)
        for place in range(0, len(_ZEROS), 2):
            for at in range(_ZEROS[place], _ZEROS[place + 1]):
                if self.given[at] != 0:
                    raise Errno(EINVAL)
        shown = len(self.frame) - ETHERNET_HEADER
        wire_length = given.load_u32(_WIRE_LENGTH)
        if wire_length != 0 and not shown <= wire_length <= _MOST_WIRE_LENGTH:
            raise Errno(EINVAL)
        if given.load_u32(PACKET_SEGMENTS) > _MOST_SEGMENTS:
            raise Errno(EINVAL)
        if wire_length == 0:
            given.store_u32(_WIRE_LENGTH, shown)
        words = span_of(self.seen)
        words.store_u32(PACKET_LENGTH, shown)
        header = span_of(self.frame)
        words.store_u32(PACKET_KIND, 0 if device is None or len(device.address) < 6 else kind_of(header, device))
        words.store_be16(PACKET_PROTOCOL, _protocol(header))
        for at in (PACKET_MARK, PACKET_PRIORITY, PACKET_ARRIVED_AT, PACKET_SEGMENTS, PACKET_SEGMENT_SIZE):
            words.store_u32(at, given.load_u32(at))
        words.store_u32(PACKET_DEVICE, _LOOPBACK if device is None else device.index)
        words[PACKET_LEFT:PACKET_LEFT_END].copy_from(given[PACKET_LEFT:PACKET_LEFT_END])

    def _view(self) -> PacketView:
        view = PacketView(self.frame, ETHERNET_HEADER, len(self.frame))
        view.link_start = 0
        view.network_start = ETHERNET_HEADER
        view.cookie = SOCKETS.file_system.new_ino()  # as if a socket had been opened for it
        view.uid = 0
        return view

    def _repeat(self, view: PacketView) -> tuple[int, int]:
        """The last answer, and the nanoseconds that a run took."""
        count = max(self.attributes.u32(_REPEAT), 1)
        start = monotonic_ns()
        answer = 0
        for number in range(count):
            answer, cost = self.program.judge_packet(self.seen, view, MOST_COST, WORLD)
            pace(_LOOK_COST + cost)
            if number + 1 < count and is_interrupted():
                raise Errno(EINTR)
        return answer, min((monotonic_ns() - start) // count, _WORD)

    def _return_context_words(self, device: NetworkDevice | None) -> None:
        given = span_of(self.given)
        given.store_u32(PACKET_DEVICE, _LOOPBACK if device is None else device.index)
        given[PACKET_LEFT:PACKET_LEFT_END].copy_from(span_of(self.seen)[PACKET_LEFT:PACKET_LEFT_END])

    def _finish(self, answer: int, duration: int) -> None:
        """Write everything back. Raises EFAULT, ENOSPC."""
        attributes = self.attributes
        size = len(self.frame)
        room = attributes.u32(_SIZE_OUT)
        copied = min(size, room) if room != 0 else size
        target = attributes.pointer(_DATA_OUT)
        if target != _NOWHERE:
            _put(target, span_of(self.frame)[0:copied], is_all=copied == size)
        attributes.answer(_SIZE_OUT, size)
        attributes.answer(_ANSWER, answer)
        attributes.answer(_DURATION, duration)
        if copied < size:
            raise Errno(ENOSPC)
        target = attributes.pointer(_CONTEXT_OUT)
        if target == _NOWHERE:
            return
        room = attributes.u32(_CONTEXT_SIZE_OUT)
        _put(target, span_of(self.given)[0 : min(room, _CONTEXT_SIZE)], is_all=room >= _CONTEXT_SIZE)
        attributes.answer(_CONTEXT_SIZE_OUT, _CONTEXT_SIZE)
        if room < _CONTEXT_SIZE:
            raise Errno(ENOSPC)


def _put(target: UserAddr, piece: Span[u8], *, is_all: bool) -> None:
    """Raises EFAULT; ENOSPC instead if there is more than the piece."""
    try:
        user.write_from(target, piece)
    except Errno as error:
        raise Errno(error.code if is_all else ENOSPC) from None


def _protocol(header: Span[u8]) -> int:
    """What a frame says that it carries; of frames with a length in that place, which kind they are of."""
    found = header.load_be16(_PROTOCOL_AT)
    if found >= SMALLEST_ETHERTYPE:
        return found
    is_raw = len(header) >= ETHERNET_HEADER + 2 and header.load_be16(ETHERNET_HEADER) == 0xFFFF
    return _IEEE_802_3 if is_raw else _IEEE_802_2
