"""Bringing the network up: imports everything that registers itself, and starts the network thread. All interfaces are
down, lo included: the first programs configure them, or the command line does (`configure.py`).

Context: the boot thread. Raises MemoryError.
"""

from kernel.mm.frames import total_frame_count
from kernel.net.control import group_judge, interface_ioctl, networks, tun_file
from kernel.net.datagram import inet_family, udp
from kernel.net.datagram import memory as datagram_memory
from kernel.net.filter import nat_chains
from kernel.net.filter.tracking_settings import SETTINGS as TRACKING
from kernel.net.internet import (
    arp,
    forwarding,
    group_reports,
    icmp,
    icmpv6,
    interface_routes,
    ipv4,
    ipv6,
    ndp,
    redirect_messages,
    router_discovery,
)
from kernel.net.internet.fragments import SHARED_ROOM
from kernel.net.link import thread
from kernel.net.link.loopback import BACKLOG
from kernel.net.netlink import connections
from kernel.net.netlink import family as netlink_family
from kernel.net.nftables import subsystem as nftables
from kernel.net.packet import socket as packet_socket
from kernel.net.proc import connections as connection_table
from kernel.net.proc import socket_tables, statistics, tables
from kernel.net.proc import tcp as tcp_table
from kernel.net.proc import unix as unix_table
from kernel.net.tcp import memory as tcp_memory
from kernel.net.tcp import socket as tcp_socket
from kernel.net.unix import family as unix_family
from kernel.net.vsock import device_file as vsock_device
from kernel.net.vsock import family as vsock_family
from kernel.net.vsock import memory as vsock_memory

# Called through registries that importing them fills.
_ = (
    arp,
    connection_table,
    connections,
    forwarding,
    group_judge,
    group_reports,
    icmp,
    icmpv6,
    inet_family,
    interface_ioctl,
    interface_routes,
    ipv4,
    ipv6,
    nat_chains,
    ndp,
    netlink_family,
    networks,
    nftables,
    packet_socket,
    redirect_messages,
    router_discovery,
    socket_tables,
    statistics,
    tables,
    tcp_socket,
    tcp_table,
    tun_file,
    udp,
    unix_family,
    unix_table,
    vsock_device,
    vsock_family,
)


def start_network() -> None:
    """Bound the memory of the sockets' queues, and start the network thread."""
    tcp_memory.MEMORY.configure(total_frame_count())
    datagram_memory.MEMORY.configure(total_frame_count())
    vsock_memory.MEMORY.configure(total_frame_count())
    SHARED_ROOM.configure(total_frame_count())
    BACKLOG.configure(total_frame_count())
    TRACKING.configure(total_frame_count())
    thread.start()
