"""Bringing the network up: imports everything that registers itself, and starts the network thread. All interfaces are
down, lo as well: the first programs configure them, or the command line does (`configure.py`).

Context: the boot thread. Raises MemoryError.
"""

from kernel.mm.frames import total_frame_count
from kernel.net import (
    arp,
    datagram_memory,
    forwarding,
    group_reports,
    icmp,
    icmpv6,
    inet_family,
    interface_ioctl,
    interface_routes,
    ipv4,
    ipv6,
    ndp,
    packet_socket,
    redirect_messages,
    router_discovery,
    socket_tables,
    statistics,
    tables,
    thread,
    udp,
)
from kernel.net.netlink import family as netlink_family
from kernel.net.tcp import memory as tcp_memory
from kernel.net.tcp import proc as tcp_proc
from kernel.net.tcp import socket as tcp_socket
from kernel.net.unix import family as unix_family

# Called through registries that their import fills.
_ = (
    arp,
    forwarding,
    group_reports,
    icmp,
    icmpv6,
    inet_family,
    interface_ioctl,
    interface_routes,
    ipv4,
    ipv6,
    ndp,
    netlink_family,
    packet_socket,
    redirect_messages,
    router_discovery,
    socket_tables,
    statistics,
    tables,
    tcp_proc,
    tcp_socket,
    udp,
    unix_family,
)


def start_network() -> None:
    """Bound what the sockets' queues may take, and start the network thread."""
    tcp_memory.MEMORY.configure(total_frame_count())
    datagram_memory.MEMORY.configure(total_frame_count())
    thread.start()
