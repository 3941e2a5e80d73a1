"""Filters of sockets: programs of classic BPF (`kernel.lib.bpf`) that choose packets (SO_ATTACH_FILTER).

A program returns how many bytes of the packet are wanted. What it can ask beyond the packet's bytes, the packet
answers.

Context: making a filter may raise MemoryError; running one never raises, sleeps or allocates.
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.bpf import Program
from kernel.net.link.packet import Packet

_COST_OF_BYTE: Final = 4  # an instruction of the program has 8 bytes


@final
class Filter(Program):
    """A socket's program."""

    def cost(self) -> int:
        """Instructions of the processor that a run takes at most."""
        return len(self.program) * _COST_OF_BYTE

    def passes(self, packet: Packet, start: int, least: int) -> bool:
        """Whether a packet, whose bytes are seen from `start` on in the storage, is wanted. Of one that is wanted in
        part the rest is cut off, but for `least` bytes from there.
        """
        length = self.run(span_of(packet.storage)[start : packet.end], packet)
        if length != 0:
            packet.end = min(packet.end, max(start + max(length, least), packet.start))
        return length != 0
