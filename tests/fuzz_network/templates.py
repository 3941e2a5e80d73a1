"""Sound frames of every protocol that the guest speaks, from which the fuzzer makes unsound ones.

scapy builds them, once: it is too slow to build each frame of a flood.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert, IPOption_RR, IPOption_Timestamp, fragment
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptRedirectedHdr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
    fragment6,
)
from scapy.layers.l2 import ARP, LLC, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.fuzz_network.mutate import internet_sum

GUEST_LINK = "52:54:00:12:34:57"
PEER_LINK = "02:00:00:00:00:01"
GUEST4 = "10.9.0.2"
PEER4 = "10.9.0.1"
GUEST6 = "fd09::2"
PEER6 = "fd09::1"
GUEST_LOCAL6 = "fe80::5054:ff:fe12:3457"
PEER_LOCAL6 = "fe80::1"
TCP_PORTS = (7, 9, 10, 11, 12, 13, 14, 19, 20)
BROADCAST = "ff:ff:ff:ff:ff:ff"


def _ether(destination: str = GUEST_LINK, **fields: Any) -> Packet:  # noqa: ANN401  (scapy has no types)
    return Ether(src=PEER_LINK, dst=destination, **fields)


def _arp() -> list[Packet]:
    ask: dict[str, Any] = {"hwsrc": PEER_LINK, "psrc": PEER4, "pdst": GUEST4}
    return [
        _ether(BROADCAST) / ARP(op=1, **ask),
        _ether() / ARP(op=2, hwdst=GUEST_LINK, **ask),
        _ether(BROADCAST) / ARP(op=1, hwsrc=PEER_LINK, psrc=PEER4, pdst=PEER4),
        _ether(BROADCAST) / ARP(op=1, hwsrc=PEER_LINK, psrc="0.0.0.0", pdst=GUEST4),
    ]


def _tcp_options() -> list[list[Any]]:
    return [
        [],
        [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)],
        [("MSS", 0)],
        [("WScale", 14), ("NOP", None), ("EOL", None)],
        [("Timestamp", (0xFFFFFFFF, 1)), ("SAck", (1, 2, 3, 4, 5, 6))],
        [("MSS", 65535), ("WScale", 255), ("SAckOK", b"")],
    ]


def _tcp(ip: Packet) -> list[Packet]:
    found = [ip / TCP(sport=4000, dport=port, flags="S", options=_tcp_options()[1]) for port in TCP_PORTS]
    for options in _tcp_options():
        for flags in ("S", "SA", "A", "R", "FA", "PA", "SFRPAUEC", ""):
            found.append(ip / TCP(sport=4001, dport=7, flags=flags, seq=1000, ack=2000, options=options) / Raw(b"data"))
    found.append(ip / TCP(sport=80, dport=40000, flags="SA", options=_tcp_options()[1]))
    return found


def _udp(ip: Packet) -> list[Packet]:
    return [ip / UDP(sport=sport, dport=dport) / Raw(b"x" * size)
            for sport, dport, size in ((1, 7, 0), (53, 5300, 20), (2, 9, 1200), (68, 67, 300), (3, 60000, 8))]


def _icmp(ip: Packet) -> list[Packet]:
    quoted = [
        IP(src=GUEST4, dst=PEER4) / UDP(sport=5300, dport=53) / Raw(b"question"),
        IP(src=GUEST4, dst=PEER4) / TCP(sport=7, dport=4001, seq=1),
        IP(src=GUEST4, dst=PEER4) / ICMP(id=1, seq=1),
        IP(src=GUEST4, dst=PEER4, options=[IPOption_RR()]) / UDP(sport=5300, dport=53),
    ]
    found = [ip / ICMP(type=8, id=1, seq=1) / Raw(b"p" * 56), ip / ICMP(type=0, id=1, seq=1) / Raw(b"p"),
             ip / ICMP(type=13), ip / ICMP(type=17), ip / ICMP(type=10)]
    for inner in quoted:
        found += [ip / ICMP(type=3, code=code, nexthopmtu=mtu) / inner
                  for code, mtu in ((0, 0), (1, 0), (3, 0), (4, 576), (4, 0), (4, 1400), (13, 0))]
        found += [ip / ICMP(type=kind, code=0) / inner for kind in (4, 5, 11, 12)]
    return found


def _dhcp() -> list[Packet]:
    found = []
    for kind in ("offer", "ack", "nak"):
        options = [("message-type", kind), ("server_id", PEER4), ("lease_time", 60), ("subnet_mask", "255.255.255.0"),
                   ("router", PEER4), ("name_server", PEER4), "end"]
        found.append(
            _ether(BROADCAST) / IP(src=PEER4, dst="255.255.255.255") / UDP(sport=67, dport=68)
            / BOOTP(op=2, yiaddr=GUEST4, xid=1) / DHCP(options=options)
        )
    return found


def _igmp() -> list[Packet]:
    def message(destination: str, kind: int, group: str, rest: bytes = b"") -> Packet:
        link = "01:00:5e:" + ":".join(f"{int(part):02x}" for part in destination.split(".")[1:])
        body = bytes((kind, 10, 0, 0)) + ip_address(group).packed + rest
        body = body[:2] + internet_sum(body).to_bytes(2, "big") + body[4:]
        ip = IP(src=PEER4, dst=destination, ttl=1, proto=2, options=[IPOption_Router_Alert()])
        return _ether(link) / ip / Raw(body)

    all_hosts, group = "224.0.0.1", "224.1.2.1"
    sources = ip_address("10.9.0.9").packed + ip_address("10.9.0.8").packed
    return [
        message(all_hosts, 0x11, "0.0.0.0"), message(group, 0x11, group), message(group, 0x16, group),
        message("224.0.0.2", 0x17, group), message(group, 0x11, group, b"\0\0\0\2" + sources),
        message("224.0.0.22", 0x22, "0.0.0.1", b"\1\0\0\1" + ip_address(group).packed),
        _ether("01:00:5e:01:02:01") / IP(src=PEER4, dst=group, ttl=1) / UDP(sport=5, dport=7) / Raw(b"to the group"),
    ]  # fmt: skip


def _ip4() -> list[Packet]:
    ip = _ether() / IP(src=PEER4, dst=GUEST4)
    found = _tcp(ip) + _udp(ip) + _icmp(ip) + _dhcp() + _igmp()
    for options in ([IPOption_RR(routers=["0.0.0.0"] * 4)], [IPOption_Timestamp()]):
        found += [_ether() / IP(src=PEER4, dst=GUEST4, options=options) / ICMP(),
                  _ether() / IP(src=PEER4, dst=GUEST4, options=options) / UDP(sport=1, dport=7) / Raw(b"options")]
    found += [_ether() / IP(src=PEER4, dst=GUEST4, proto=253) / Raw(b"unknown"),
              _ether(BROADCAST) / IP(src=PEER4, dst="10.9.0.255") / UDP(sport=1, dport=7) / Raw(b"all"),
              _ether(BROADCAST) / IP(src=PEER4, dst="10.9.0.255") / ICMP(),
              _ether() / IP(src=PEER4, dst="10.9.0.77") / UDP(sport=1, dport=7)]
    whole = IP(src=PEER4, dst=GUEST4, id=77) / UDP(sport=1, dport=7) / Raw(b"f" * 400)
    found += [_ether() / piece for piece in fragment(whole, 128)]  # type: ignore[no-untyped-call]  # of scapy
    return found


def _icmp6(ip: Packet) -> list[Packet]:
    quoted = [
        IPv6(src=GUEST6, dst=PEER6) / UDP(sport=5300, dport=53) / Raw(b"question"),
        IPv6(src=GUEST6, dst=PEER6) / TCP(sport=7, dport=4001, seq=1),
        IPv6(src=GUEST6, dst=PEER6) / IPv6ExtHdrDestOpt() / UDP(sport=5300, dport=53),
    ]
    found = [ip / ICMPv6EchoRequest(id=1, seq=1, data=b"p" * 56), ip / ICMPv6EchoReply(id=1, seq=1)]
    for inner in quoted:
        found += [ip / ICMPv6DestUnreach(code=code) / inner for code in (0, 1, 3, 4)]
        found += [ip / ICMPv6PacketTooBig(mtu=mtu) / inner for mtu in (0, 1280, 1400, 0xFFFFFFFF)]
        found += [ip / ICMPv6TimeExceeded() / inner, ip / ICMPv6ParamProblem(code=1, ptr=40) / inner]
    return found


def _neighbour_discovery() -> list[Packet]:
    def near(target: str, multicast: str) -> Packet:
        return _ether(multicast) / IPv6(src=PEER_LOCAL6, dst=target, hlim=255)

    source = ICMPv6NDOptSrcLLAddr(lladdr=PEER_LINK)
    router = near("ff02::1", "33:33:00:00:00:01")
    return [
        near("ff02::1:ff00:2", "33:33:ff:00:00:02") / ICMPv6ND_NS(tgt=GUEST6) / source,
        _ether() / IPv6(src=PEER6, dst=GUEST6, hlim=255) / ICMPv6ND_NS(tgt=GUEST6) / source,
        near("ff02::1", "33:33:00:00:00:01") / ICMPv6ND_NA(tgt=GUEST6, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=PEER_LINK),
        near(GUEST_LOCAL6, GUEST_LINK) / ICMPv6ND_NA(tgt=PEER_LOCAL6, S=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER_LINK),
        router / ICMPv6ND_RA(routerlifetime=30) / source / ICMPv6NDOptMTU(mtu=1400)
        / ICMPv6NDOptPrefixInfo(prefix="fd0a::", prefixlen=64, validlifetime=60, preferredlifetime=30)
        / ICMPv6NDOptRDNSS(dns=["fd09::1"]),
        router / ICMPv6ND_RA(routerlifetime=0) / source,
        router / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="fd0b::", prefixlen=64, validlifetime=0xFFFFFFFF),
        near(GUEST_LOCAL6, GUEST_LINK) / ICMPv6ND_Redirect(tgt="fe80::9", dst="fd0c::9")
        / ICMPv6NDOptDstLLAddr(lladdr=PEER_LINK)
        / ICMPv6NDOptRedirectedHdr(pkt=IPv6(src=GUEST6, dst="fd0c::9") / UDP()),
    ]  # fmt: skip


def _ip6() -> list[Packet]:
    ip = _ether() / IPv6(src=PEER6, dst=GUEST6)
    found = _tcp(ip) + _udp(ip) + _icmp6(ip) + _neighbour_discovery()
    extensions = [
        IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"\0\0")]),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"1234")]),
        IPv6ExtHdrRouting(addresses=[GUEST6], segleft=1), IPv6ExtHdrRouting(addresses=[], segleft=0),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / IPv6ExtHdrFragment() / IPv6ExtHdrDestOpt(),
    ]  # fmt: skip
    for extension in extensions:
        found += [ip / extension / UDP(sport=1, dport=7) / Raw(b"x"), ip / extension / ICMPv6EchoRequest(),
                  ip / extension / TCP(sport=4002, dport=7, flags="S")]
    whole = IPv6(src=PEER6, dst=GUEST6) / IPv6ExtHdrFragment(id=9) / UDP(sport=1, dport=7) / Raw(b"f" * 3000)
    found += [_ether() / piece for piece in fragment6(whole, 1280)]  # type: ignore[no-untyped-call]  # of scapy
    all_nodes = _ether("33:33:00:00:00:01") / IPv6(src=PEER_LOCAL6, dst="ff02::1", hlim=1)
    alert = IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b"")])
    found += [all_nodes / alert / ICMPv6MLQuery(), all_nodes / alert / ICMPv6MLReport(mladdr="ff02::1201"),
              all_nodes / alert / ICMPv6MLQuery2(mladdr="ff02::1201", sources=["fd09::8"]),
              _ether() / IPv6(src=PEER6, dst=GUEST6, nh=253) / Raw(b"unknown"), ip / Raw(b"")]
    return found


def _others() -> list[Packet]:
    return [
        _ether() / Dot1Q(vlan=5) / IP(src=PEER4, dst=GUEST4) / UDP(sport=1, dport=7),
        Ether(src=PEER_LINK, dst="01:80:c2:00:00:00") / LLC() / Raw(b"bridge"),
        _ether(type=0x88CC) / Raw(b"discovery"),
        _ether(type=0x0800), _ether(type=0x86DD), _ether(type=0x0806),
    ]  # fmt: skip


def build_templates() -> list[bytes]:
    """All of them, as they lie on the wire."""
    frames = [*_arp(), *_ip4(), *_ip6(), *_others(), _ether() / IP(dst=GUEST4) / DNS(qd=DNSQR())]
    return [bytes(frame) for frame in frames]
