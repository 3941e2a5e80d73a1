"""Programs of bpf(2) that judge the packets of a control group's sockets, before they leave and after they have come.

A socket belongs to the group in which it was created, an accepted one to its listener's. Nothing in the network sleeps,
so a packet for which the programs would take more than MOST_COST instructions is dropped, and so is one that comes when
the running thread has gone MOST_BEHIND instructions past where it should have had a safe point.

Context: thread context; nothing sleeps. May raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (struct __sk_buff).
"""

from typing import Final

from kernel.bpf.subject import (
    PACKET_ARRIVED_AT,
    PACKET_CONTEXT,
    PACKET_DEVICE,
    PACKET_KIND,
    PACKET_LENGTH,
    PACKET_PROTOCOL,
)
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import PACKETS_IN, PACKETS_OUT, effective_programs
from kernel.fs.bpf.devices import WORLD
from kernel.lang import EPERM, Errno, final, span_of
from kernel.lib.pace import PACE, spend
from kernel.lib.socket_group import SocketGroup
from kernel.net.internet.group_programs import COURT, PacketJudge
from kernel.net.link.device import NetworkDevice
from kernel.net.link.packet import PACKET_HOST, Packet

MOST_COST: Final = 150_000  # instructions of the processor for a packet, one way
MOST_BEHIND: Final = 500_000  # with the budget of a stretch, and one packet more, below STRETCH_LIMIT
_LOOK_COST: Final = 2000  # to find the programs
_PERMIT: Final = 1  # a bit of the answer
_CONGESTED: Final = 2  # another one, on the way out


@final
class GroupJudge(PacketJudge):
    """Runs the programs of a group and of those above it."""

    def lets_in(self, group: SocketGroup, packet: Packet) -> bool:
        return _answer(group, PACKETS_IN, packet, packet.device, packet.link_kind) & _PERMIT != 0

    def lets_out(self, group: SocketGroup, packet: Packet, device: NetworkDevice) -> bool:
        answer = _answer(group, PACKETS_OUT, packet, device, PACKET_HOST)
        if answer & _PERMIT != 0:
            return True
        if answer & _CONGESTED == 0:
            raise Errno(EPERM)
        return False


def _answer(group: SocketGroup, purpose: int, packet: Packet, device: NetworkDevice | None, kind: int) -> int:
    """The joint answer of all programs that count: _PERMIT if each permits, _CONGESTED if one reports congestion."""
    spend(_LOOK_COST)
    assert isinstance(group, ControlGroup)
    programs = effective_programs(group, purpose)
    if len(programs) == 0:
        return _PERMIT
    if PACE.left < -MOST_BEHIND:
        return _CONGESTED
    index = 0 if device is None else device.index
    context = bytearray(PACKET_CONTEXT)
    words = span_of(context)
    words.store_u32(PACKET_LENGTH, packet.end - packet.network_start)
    words.store_u32(PACKET_KIND, kind)
    words.store_be16(PACKET_PROTOCOL, packet.protocol)
    words.store_u32(PACKET_ARRIVED_AT, index if purpose == PACKETS_IN else 0)
    words.store_u32(PACKET_DEVICE, index)
    answer = _PERMIT
    left = MOST_COST
    for program in programs:  # each is asked, whatever those before it said: they may count
        said, cost = program.judge_packet(context, packet.storage, packet.network_start, packet.end, left, WORLD)
        if said & _PERMIT == 0:
            answer &= ~_PERMIT
        answer |= said & _CONGESTED
        left -= cost
        spend(cost)
    return answer


COURT.judge = GroupJudge()
