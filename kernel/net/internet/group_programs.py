"""Programs of bpf(2) that filter the packets of a control group's sockets, before they leave and after they have
come. The judge is in `kernel/net/control/group_judge.py`; this module, which IP and its transports call, knows
nothing of groups.

Context: thread context; nothing sleeps. May raise MemoryError.
"""

from typing import Final

from kernel.lang import final, inline, noinline
from kernel.lib.socket_group import PACKET_PROGRAMS, SENDER_RULES, SocketGroup
from kernel.net.link.device import NetworkDevice
from kernel.net.link.packet import Packet


class PacketJudge:
    """Runs the programs. Base class."""

    def lets_in(self, group: SocketGroup, packet: Packet) -> bool:
        """Whether a socket of the group gets a packet."""
        return True

    def lets_out(self, group: SocketGroup, packet: Packet, device: NetworkDevice) -> bool:
        """Whether a packet of the group may leave. Raises EPERM."""
        return True


@final
class Court:
    """Where the judge registers itself when it is imported."""

    def __init__(self) -> None:
        self.judge: PacketJudge = PacketJudge()


COURT: Final = Court()


@inline
def are_judged() -> bool:
    """Whether any group has such a program. Check this first: on most hosts nothing more is needed."""
    return PACKET_PROGRAMS.count != 0


@inline
def is_sender_asked_for() -> bool:
    """Whether packets must carry the group and the owner of their socket: for programs, or for rules of a firewall."""
    return PACKET_PROGRAMS.count + SENDER_RULES.count != 0


@inline
def may_enter(group: SocketGroup | None, packet: Packet) -> bool:
    """Whether a socket of the group gets a packet whose IP header begins at `network_start`."""
    return PACKET_PROGRAMS.count == 0 or group is None or _lets_in(group, packet)


@inline
def may_leave(packet: Packet, device: NetworkDevice) -> bool:
    """Whether a packet may leave through a device. False: it is dropped silently. Raises EPERM if the sender is to be
    notified.
    """
    return PACKET_PROGRAMS.count == 0 or _lets_out(packet, device)


@noinline
def _lets_in(group: SocketGroup, packet: Packet) -> bool:
    return COURT.judge.lets_in(group, packet)


@noinline
def _lets_out(packet: Packet, device: NetworkDevice) -> bool:
    group = packet.group
    return group is None or COURT.judge.lets_out(group, packet, device)
