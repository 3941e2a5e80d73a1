"""Filters of sockets: programs that choose packets, of classic BPF (`kernel.lib.bpf`, SO_ATTACH_FILTER) or of bpf(2)
(`kernel.bpf`, SO_ATTACH_BPF).

A program returns how many bytes of the packet are wanted. What a classic one can ask beyond the packet's bytes, the
packet answers; one of bpf(2) has it in its context (`kernel/net/sockets/packet_context.py`).

A filter of bpf(2) counts as a user of its program while sockets have it: each says so by `keep` and `release`. A
connection that outlives its socket goes on with it.

Context: nothing sleeps. Making a filter may raise MemoryError, and so may running one of bpf(2).
"""

from typing import Final

from kernel.bpf.packet_view import PacketView
from kernel.bpf.program import Program, keep_program, release_program
from kernel.bpf.subject import PACKET_CONTEXT, PACKET_LENGTH
from kernel.fs.bpf.devices import WORLD
from kernel.fs.file import File
from kernel.lang import final, inline, span_of
from kernel.lib import bpf as classic
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import PACE, spend
from kernel.net.link.packet import Packet
from kernel.net.sockets.packet_context import MOST_BEHIND, MOST_COST, packet_context, view_of

LOST: Final = -1  # nobody knows whether a packet is wanted: the filter has no time to look at it
_LOOK_COST: Final = 2000  # instructions, to look at a packet, but for what a program of bpf(2) does
_COPY_SHIFT: Final = 2  # bytes for each instruction of copying
_COST_OF_BYTE: Final = 4  # of a classic program, each instruction of which has 8 bytes


class Filter:
    """A socket's program. Base class of both kinds."""

    def size_bytes(self) -> int:
        """What its instructions take."""
        return 0

    def held_bytes(self) -> int:
        """What it keeps in memory for one of the sockets that have it."""
        return self.size_bytes()

    def keep(self) -> None:
        """One more socket has it. Raises MemoryError for the first one."""

    def release(self) -> None:
        """One fewer does."""

    def wanted(self, packet: Packet, start: int, file: File | None) -> int:
        """How many bytes are wanted of a packet, whose bytes are seen from `start` on in the storage; 0 if it is not
        wanted; LOST; more than it has: all. `file` is the socket that it is for, None if that is nobody's yet.
        """
        return 0

    def wanted_in(self, data: bytearray, file: File) -> int:
        """The same for data that are in no packet."""
        return 0

    def wanted_of(self, data: bytes, file: File) -> int:
        """The same for data that others have, too."""
        return 0

    @final
    def passes(self, packet: Packet, start: int, least: int, file: File | None) -> bool:
        """Whether a packet is wanted. Of one that is wanted in part the rest is cut off, but for `least` bytes from
        `start`.
        """
        length = self.wanted(packet, start, file)
        if length > 0:
            cut(packet, start, max(length, least))
        return length > 0


def cut(packet: Packet, start: int, length: int) -> None:
    """Cut off what comes `length` bytes after `start` in a packet's storage, but no bytes before it begins."""
    packet.end = min(packet.end, max(start + length, packet.start))


@final
class ClassicFilter(Filter):
    """A program of classic BPF."""

    def __init__(self, instructions: bytes) -> None:
        """EINVAL for a program that is not sound."""
        self.program: classic.Program = classic.Program(instructions)

    def size_bytes(self) -> int:
        return len(self.program.program)

    def _spend(self) -> None:
        spend(len(self.program.program) * _COST_OF_BYTE)

    def wanted(self, packet: Packet, start: int, file: File | None) -> int:
        self._spend()
        return self.program.run(span_of(packet.storage)[start : packet.end], packet)

    def wanted_in(self, data: bytearray, file: File) -> int:
        self._spend()
        return self.program.run(span_of(data), Packet(0, 0))

    def wanted_of(self, data: bytes, file: File) -> int:
        self._spend()
        return self.program.run(span_of(data), Packet(0, 0))


@final
class ProgramFilter(Filter):
    """A program of bpf(2). What comes when the running thread has gone MOST_BEHIND instructions past where it should
    have had a safe point is LOST; a packet for which the program takes more than MOST_COST is not wanted.
    """

    def __init__(self, program: Program, owner: UserNamespace) -> None:
        """`owner` is that of the sockets' network."""
        self.program: Program = program
        self.owner: UserNamespace = owner

    def size_bytes(self) -> int:
        return len(self.program.code.instructions)

    def held_bytes(self) -> int:
        return self.program.share_bytes()

    def keep(self) -> None:
        keep_program(self.program)

    def release(self) -> None:
        release_program(self.program)

    def wanted(self, packet: Packet, start: int, file: File | None) -> int:
        if not _has_time(0):
            return LOST
        context = packet_context(packet, packet.end - start, packet.device, packet.link_kind)
        return self._judge(context, view_of(packet, start), file)

    def wanted_of(self, data: bytes, file: File) -> int:
        return self._wanted_in(bytearray(data), file) if _has_time(len(data) >> _COPY_SHIFT) else LOST

    def wanted_in(self, data: bytearray, file: File) -> int:
        return self._wanted_in(data, file) if _has_time(0) else LOST

    @inline  # where the kernel's stack may be nearly used up
    def _wanted_in(self, data: bytearray, file: File) -> int:
        context = bytearray(PACKET_CONTEXT)
        span_of(context).store_u32(PACKET_LENGTH, len(data))
        return self._judge(context, PacketView(data, 0, len(data)), file)

    def _judge(self, context: bytearray, view: PacketView, file: File | None) -> int:
        if file is not None:
            view.cookie = file.inode.ino
            view.uid = self.owner.shown_uid(file.inode.uid)
        answer, cost = self.program.judge_packet(context, view, MOST_COST, WORLD)
        spend(cost)
        return answer


def _has_time(cost: int) -> bool:
    """Whether the running thread may still have a packet looked at, which costs this many instructions more. A look is
    paid for in any case.
    """
    spend(_LOOK_COST)
    if PACE.left - cost < -MOST_BEHIND:
        return False
    spend(cost)
    return True
