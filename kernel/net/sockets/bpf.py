"""Filters of sockets: programs of classic BPF (`kernel.lib.bpf`) that choose packets (SO_ATTACH_FILTER).

A program returns how many bytes of the packet are wanted. What it can ask beyond the packet's bytes, the packet
answers.

Context: making a filter may raise MemoryError; running one never raises, sleeps or allocates.
"""

from kernel.lang import final, span_of
from kernel.lib.bpf import Program
from kernel.net.link.packet import Packet


@final
class Filter(Program):
    """A socket's program."""

    def passes(self, packet: Packet, start: int, least: int) -> bool:
        """Whether a packet, whose bytes are seen from `start` on in the storage, is wanted. Of one that is wanted in
        part the rest is cut off, but for `least` bytes from there.
        """
        length = self.run(span_of(packet.storage)[start : packet.end], packet)
        if length != 0:
            packet.end = min(packet.end, max(start + max(length, least), packet.start))
        return length != 0
