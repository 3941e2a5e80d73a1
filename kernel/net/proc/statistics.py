"""The stack's counters as text: /proc/net/snmp, snmp6, netstat, sockstat (proc(5), RFC 4293).

Context: system calls; counts take safe points.
"""

from typing import Final

from kernel.lib.pace import pace
from kernel.lib.proc_files import proc_file
from kernel.mm.frames import PAGE_SIZE
from kernel.net.datagram import udp
from kernel.net.datagram.memory import MEMORY as DATAGRAM_MEMORY
from kernel.net.datagram.ping_socket import ping_sockets_of
from kernel.net.datagram.raw_socket import raw_sockets_of
from kernel.net.internet.fragments import reassembler_of
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.link.counters import IcmpCounters, UdpCounters
from kernel.net.link.network import Network, shown_network
from kernel.net.netlink.socket import netlink_sockets_of
from kernel.net.packet.socket import packet_sockets_of
from kernel.net.sockets.socket import AF_INET, AF_INET6
from kernel.net.tcp.connection import State
from kernel.net.tcp.index import BucketWalk
from kernel.net.tcp.memory import MEMORY as TCP_MEMORY
from kernel.net.tcp.table import TABLE as CONNECTIONS

_BUCKET_COST: Final = 150  # instructions for a place in the table of connections

_ICMP_TYPES: list[int] = [3, 11, 12, 4, 5, 8, 0, 13, 14, 17, 18]
_ICMP_NAMES: bytes = (
    b"DestUnreachs TimeExcds ParmProbs SrcQuenchs Redirects Echos EchoReps Timestamps TimestampReps AddrMasks"
    b" AddrMaskReps"
)


_ICMP6_TYPES: list[int] = [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143]
_ICMP6_NAMES: list[bytes] = [
    b"DestUnreachs",
    b"PktTooBigs",
    b"TimeExcds",
    b"ParmProblems",
    b"Echos",
    b"EchoReplies",
    b"GroupMembQueries",
    b"GroupMembResponses",
    b"GroupMembReductions",
    b"RouterSolicits",
    b"RouterAdvertisements",
    b"NeighborSolicits",
    b"NeighborAdvertisements",
    b"Redirects",
    b"MLDv2Reports",
]


def _prefixed(names: bytes, prefix: bytes) -> bytes:
    text = bytearray()
    for name in names.split(b" "):
        text.extend(b" " + prefix + name)
    return bytes(text)


def _icmp_values(counts: list[int]) -> bytes:
    text = bytearray()
    for kind in _ICMP_TYPES:
        text.extend(f" {counts[kind]}".encode())
    return bytes(text)


@proc_file("net/snmp")
def snmp() -> bytes:
    """/proc/net/snmp: IPv4, ICMP, TCP, UDP."""
    network = shown_network()
    ip = network.ip4
    forwarding = 1 if IP4_SETTINGS.ip_forward.of(network) != 0 else 2
    text = bytearray(
        b"Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards"
        b" InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs"
        b" FragFails FragCreates OutTransmits\n"
    )
    text.extend(
        f"Ip: {forwarding} {IP4_SETTINGS.ip_default_ttl.of(network)} {ip.in_receives} {ip.in_header_errors}"
        f" {ip.in_address_errors} {ip.forwarded} {ip.in_unknown_protocols} {ip.in_discards} {ip.in_delivers}".encode()
    )
    text.extend(
        f" {ip.out_requests} {ip.out_discards} {ip.out_no_routes} {ip.reassembly_timeouts} {ip.reassembly_required}"
        f" {ip.reassembly_oks} {ip.reassembly_fails} {ip.fragment_oks} {ip.fragment_fails} {ip.fragment_creates}"
        f" {ip.out_transmits}\n".encode()
    )
    icmp = network.icmp4
    text.extend(b"Icmp: InMsgs InErrors InCsumErrors" + _prefixed(_ICMP_NAMES, b"In"))
    text.extend(b" OutMsgs OutErrors OutRateLimitGlobal OutRateLimitHost" + _prefixed(_ICMP_NAMES, b"Out") + b"\n")
    text.extend(f"Icmp: {icmp.in_messages} {icmp.in_errors} {icmp.in_checksum_errors}".encode())
    text.extend(_icmp_values(icmp.in_types))
    text.extend(f" {icmp.out_messages} {icmp.out_errors} 0 {icmp.out_rate_limited}".encode())
    text.extend(_icmp_values(icmp.out_types) + b"\n")
    text.extend(_icmp_messages(icmp))
    tcp = network.tcp
    text.extend(
        b"Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs"
        b" OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
    )
    text.extend(
        f"Tcp: 1 200 120000 -1 {tcp.active_opens} {tcp.passive_opens} {tcp.attempt_fails} {tcp.established_resets}"
        f" {_established_count(network)} {tcp.in_segments} {tcp.out_segments} {tcp.retransmitted_segments}"
        f" {tcp.in_errors} {tcp.out_resets} {tcp.in_checksum_errors}\n".encode()
    )
    names = (
        b" InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n"
    )
    text.extend(b"Udp:" + names + _udp_values(b"Udp:", network.udp4))
    text.extend(b"UdpLite:" + names + b"UdpLite: 0 0 0 0 0 0 0 0 0\n")
    return bytes(text)


def _icmp_messages(icmp: IcmpCounters) -> bytes:
    """The types that were seen, by number."""
    names = bytearray()
    values = bytearray()
    for kind in range(256):
        if icmp.in_types[kind] != 0:
            names.extend(f" InType{kind}".encode())
            values.extend(f" {icmp.in_types[kind]}".encode())
    for kind in range(256):
        if icmp.out_types[kind] != 0:
            names.extend(f" OutType{kind}".encode())
            values.extend(f" {icmp.out_types[kind]}".encode())
    if len(names) == 0:
        return b""
    return b"IcmpMsg:" + bytes(names) + b"\nIcmpMsg:" + bytes(values) + b"\n"


def _udp_values(label: bytes, udp_: UdpCounters) -> bytes:
    return label + (
        f" {udp_.in_datagrams} {udp_.no_ports} {udp_.in_errors} {udp_.out_datagrams} {udp_.receive_buffer_errors}"
        f" {udp_.send_buffer_errors} {udp_.in_checksum_errors} {udp_.ignored_multicast} {udp_.memory_errors}\n"
    ).encode()


@proc_file("net/netstat")
def netstat() -> bytes:
    """/proc/net/netstat: TCP's and IPv4's counters beyond SNMP. Readers go by name; only real counters have one."""
    network = shown_network()
    ip = network.ip4
    names = bytearray(b"TcpExt:")
    values = bytearray(b"TcpExt:")
    for event in network.tcp_events.all():
        names.extend(b" " + event.name)
        values.extend(f" {event.count}".encode())
    return (
        bytes(names) + b"\n" + bytes(values) + b"\n"
        b"IpExt: InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts InOctets OutOctets"
        b" InCsumErrors\n"
        + (
            f"IpExt: {ip.in_no_routes} {ip.in_truncated} {ip.in_multicast} {ip.out_multicast} {ip.in_broadcast}"
            f" {ip.out_broadcast} {ip.in_bytes} {ip.out_bytes} {ip.in_checksum_errors}\n"
        ).encode()
    )


def _row(name: bytes, value: int) -> bytes:
    return name + b" " * max(1, 32 - len(name)) + f"\t{value}\n".encode()


@proc_file("net/snmp6")
def snmp6() -> bytes:
    """/proc/net/snmp6: IPv6, ICMPv6, UDP over IPv6."""
    network = shown_network()
    ip = network.ip6
    icmp = network.icmp6
    udp6 = network.udp6
    return (
        _row(b"Ip6InReceives", ip.in_receives)
        + _row(b"Ip6InHdrErrors", ip.in_header_errors)
        + _row(b"Ip6InTooBigErrors", ip.in_too_big_errors)
        + _row(b"Ip6InNoRoutes", ip.in_no_routes)
        + _row(b"Ip6InAddrErrors", ip.in_address_errors)
        + _row(b"Ip6InUnknownProtos", ip.in_unknown_protocols)
        + _row(b"Ip6InTruncatedPkts", ip.in_truncated)
        + _row(b"Ip6InDiscards", ip.in_discards)
        + _row(b"Ip6InDelivers", ip.in_delivers)
        + _row(b"Ip6OutForwDatagrams", ip.forwarded)
        + _row(b"Ip6OutRequests", ip.out_requests)
        + _row(b"Ip6OutDiscards", ip.out_discards)
        + _row(b"Ip6OutNoRoutes", ip.out_no_routes)
        + _row(b"Ip6ReasmTimeout", ip.reassembly_timeouts)
        + _row(b"Ip6ReasmReqds", ip.reassembly_required)
        + _row(b"Ip6ReasmOKs", ip.reassembly_oks)
        + _row(b"Ip6ReasmFails", ip.reassembly_fails)
        + _row(b"Ip6FragOKs", ip.fragment_oks)
        + _row(b"Ip6FragFails", ip.fragment_fails)
        + _row(b"Ip6FragCreates", ip.fragment_creates)
        + _row(b"Ip6InMcastPkts", ip.in_multicast)
        + _row(b"Ip6OutMcastPkts", ip.out_multicast)
        + _row(b"Ip6InOctets", ip.in_bytes)
        + _row(b"Ip6OutOctets", ip.out_bytes)
        + _row(b"Ip6OutTransmits", ip.out_transmits)
        + _row(b"Icmp6InMsgs", icmp.in_messages)
        + _row(b"Icmp6InErrors", icmp.in_errors)
        + _row(b"Icmp6OutMsgs", icmp.out_messages)
        + _row(b"Icmp6OutErrors", icmp.out_errors)
        + _row(b"Icmp6InCsumErrors", icmp.in_checksum_errors)
        + _row(b"Icmp6OutRateLimitHost", icmp.out_rate_limited)
        + _icmp6_types(b"Icmp6In", icmp.in_types)
        + _icmp6_types(b"Icmp6Out", icmp.out_types)
        + _row(b"Udp6InDatagrams", udp6.in_datagrams)
        + _row(b"Udp6NoPorts", udp6.no_ports)
        + _row(b"Udp6InErrors", udp6.in_errors)
        + _row(b"Udp6OutDatagrams", udp6.out_datagrams)
        + _row(b"Udp6RcvbufErrors", udp6.receive_buffer_errors)
        + _row(b"Udp6SndbufErrors", udp6.send_buffer_errors)
        + _row(b"Udp6InCsumErrors", udp6.in_checksum_errors)
        + _row(b"Udp6IgnoredMulti", udp6.ignored_multicast)
        + _row(b"Udp6MemErrors", udp6.memory_errors)
    )


def _icmp6_types(prefix: bytes, counts: list[int]) -> bytes:
    """The messages that have names, followed by every type that was seen, by number."""
    text = bytearray()
    for i in range(len(_ICMP6_TYPES)):
        text.extend(_row(prefix + _ICMP6_NAMES[i], counts[_ICMP6_TYPES[i]]))
    for kind in range(256):
        if counts[kind] != 0:
            text.extend(_row(prefix + f"Type{kind}".encode(), counts[kind]))
    return bytes(text)


def _established_count(network: Network) -> int:
    """CurrEstab: connections in the states ESTABLISHED and CLOSE_WAIT."""
    count = 0
    walk = BucketWalk(CONNECTIONS.connections)
    channels = walk.next()
    while channels is not None:
        for channel in channels:
            c = channel.connection
            if c is not None and c.network is network and (c.state == State.ESTABLISHED or c.state == State.CLOSE_WAIT):
                count += 1
        pace(_BUCKET_COST)
        channels = walk.next()
    return count


def _pages(size_bytes: int) -> int:
    return (size_bytes + PAGE_SIZE - 1) // PAGE_SIZE


def _count_others(network: Network) -> int:
    """Unix, packet and ping sockets."""
    return network.unix_sockets + packet_sockets_of(network).count + ping_sockets_of(network).total


@proc_file("net/sockstat")
def sockstat() -> bytes:
    """/proc/net/sockstat: sockets in use, and the memory of their queues in pages."""
    network = shown_network()
    udp_sockets = udp.udp_sockets_of(network)
    udps = udp_sockets.count(AF_INET)
    raws = raw_sockets_of(network).count(AF_INET)
    tcps = CONNECTIONS.count_sockets(network, AF_INET)
    all_tcps = tcps + CONNECTIONS.count_sockets(network, AF_INET6)
    all_inet = all_tcps + udps + raws + udp_sockets.count(AF_INET6) + raw_sockets_of(network).count(AF_INET6)
    others = _count_others(network) + netlink_sockets_of(network).count
    held, count = reassembler_of(network).use(4)
    return (
        f"sockets: used {all_inet + others}\n"
        f"TCP: inuse {tcps} orphan {TCP_MEMORY.orphans} tw {network.time_waits} alloc {all_tcps}"
        f" mem {_pages(TCP_MEMORY.used)}\n"
        f"UDP: inuse {udps} mem {_pages(DATAGRAM_MEMORY.used)}\nUDPLITE: inuse 0\nRAW: inuse {raws}\n"
        f"FRAG: inuse {count} memory {held}\n"
    ).encode()


@proc_file("net/sockstat6")
def sockstat6() -> bytes:
    """/proc/net/sockstat6."""
    network = shown_network()
    held, count = reassembler_of(network).use(16)
    return (
        f"TCP6: inuse {CONNECTIONS.count_sockets(network, AF_INET6)}\n"
        f"UDP6: inuse {udp.udp_sockets_of(network).count(AF_INET6)}\nUDPLITE6: inuse 0\n"
        f"RAW6: inuse {raw_sockets_of(network).count(AF_INET6)}\nFRAG6: inuse {count} memory {held}\n"
    ).encode()
