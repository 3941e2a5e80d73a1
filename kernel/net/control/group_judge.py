"""Programs of bpf(2) that judge the packets of a control group's sockets, before they leave and after they have come.

A socket belongs to the group in which it was created, an accepted one to its listener's. What the programs of all
levels may take together is bounded (`kernel/net/sockets/packet_context.py`).

Context: thread context; nothing sleeps. May raise MemoryError.
Source: bpf(2).
"""

from typing import Final

from kernel.bpf.subject import PACKET_ARRIVED_AT, PACKET_LEFT, PACKET_LEFT_END, PACKETS_IN, PACKETS_OUT
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import effective_programs
from kernel.fs.bpf.devices import WORLD
from kernel.lang import EPERM, Errno, final, span_of
from kernel.lib.pace import PACE, spend
from kernel.lib.socket_group import SocketGroup
from kernel.net.internet.group_programs import COURT, PacketJudge
from kernel.net.link.device import NetworkDevice
from kernel.net.link.packet import PACKET_HOST, Packet
from kernel.net.sockets.packet_context import MOST_BEHIND, MOST_COST, packet_context, view_of

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
    context = packet_context(packet, packet.end - packet.network_start, device, kind)
    words = span_of(context)
    if purpose == PACKETS_OUT:
        words.store_u32(PACKET_ARRIVED_AT, 0)
    view = view_of(packet, packet.network_start)
    answer = _PERMIT
    left = MOST_COST
    for program in programs:  # each is asked, whatever those before it said: they may count
        words[PACKET_LEFT:PACKET_LEFT_END].fill(0)  # each program's own
        said, cost = program.judge_packet(context, view, left, WORLD)
        if said & _PERMIT == 0:
            answer &= ~_PERMIT
        answer |= said & _CONGESTED
        left -= cost
        spend(cost)
    return answer


COURT.judge = GroupJudge()
