"""Matches and targets of xtables: what is decoded, what it says of packets, and garbage of every length."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.lang import EINVAL, ENOENT, EPERM, EPROTONOSUPPORT, ERANGE, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.lib.socket_group import SENDER_RULES
from kernel.lib.user import KernelBuffer
from kernel.net.datagram.ping_socket import PingSocket
from kernel.net.datagram.raw_socket import RawSocket
from kernel.net.datagram.socket import DatagramSocket
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.filter import translation
from kernel.net.filter.connection import STATUS_CONFIRMED, Connection
from kernel.net.filter.translation import NatRequest
from kernel.net.internet import output
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, Place, Verdict
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_VERIFIED, Packet
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables import compat_nat, compat_targets, ways
from kernel.net.nftables.compat import MATCHES, TARGETS, Extension, Kind, Usage
from kernel.net.nftables.expression import BREAK, CONTINUE, MOST_BEHIND, Run
from kernel.net.nftables.model import ACCEPT, DROP
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, Message
from tests.unit.net.filter.gate import echo, has_right_sums, packet_of, tcp, udp
from tests.unit.net.nftables.nft import (
    CREATE,
    INET,
    INPUT,
    IP,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Nft,
    attribute,
    attributes,
    be32,
    expression,
    listed,
    text,
)

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
A6, B6 = b"\xfd" + bytes(14) + b"\x09", b"\xfd" + bytes(14) + b"\x07"
WEB = tcp(A, 40000, B, 80, 2, options=b"\x02\x04\x05\xb4")
KINDS = [kind for kinds in (*MATCHES.values(), *TARGETS.values()) for kind in kinds]
PACKETS = [
    WEB,
    tcp(A, 1, B, 2, 16, data=b"x" * 9),
    tcp(A6, 5, B6, 6, 2),
    udp(A, 53, B, 53),
    udp(A6, 53, B6, 53),
    echo(A, B, 7),
    echo(A6, B6, 7),
    WEB[:30],
    WEB[:20],
    b"\x45\x00\x00\x14\x00\x00\x00\x01\x40\x06\x00\x00" + A + B,
]


def usage_of(kind: Kind, family: int = 0) -> Usage:
    usage = Usage(FIRST_NETWORK, family or kind.family or FAMILY_IP4, kind.table)
    usage.protocol = kind.protocol or 6
    return usage


def padded(kind: Kind) -> int:
    return (kind.size + 7) // 8 * 8


def load(name: bytes, revision: int, info: bytes, family: int = FAMILY_IP4, protocol: int = 6) -> Extension:
    for kind in [*MATCHES.get(name, []), *TARGETS.get(name, [])]:
        if kind.revision == revision and kind.family in (0, family):
            usage = usage_of(kind, family)
            usage.protocol = kind.protocol or protocol
            return kind.load(info + bytes(max(padded(kind) - len(info), 0)), usage)
    raise AssertionError(name)


def judge(extension: Extension, data: bytes, point: int = INPUT, packet: Packet | None = None) -> int:
    family = FAMILY_IP4 if data[0] >> 4 == 4 else FAMILY_IP6
    packet = packet_of(data) if packet is None else packet
    place = Place(FIRST_NETWORK, family, point)
    place.input = FIRST_NETWORK.loopback
    place.find_transport(packet)
    run = Run(packet, place, 1, 1_000_000)
    extension.evaluate(run)
    return run.verdict


def holds(extension: Extension, data: bytes) -> bool:
    verdict = judge(extension, data)
    assert verdict in (CONTINUE, BREAK)
    return verdict == CONTINUE


def shown(extension: Extension) -> bytes:
    writer = MessageWriter()
    extension.put(writer)
    return attributes(bytes(writer.data))[3]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name.decode()}{kind.revision}-{kind.family}")
def test_garbage_of_every_length(nft: Nft, kind: Kind) -> None:
    chance = random.Random(kind.size)
    for length in range(kind.size + 20):
        for _ in range(4 if length in (kind.size, padded(kind)) else 1):
            fill = chance.choice((0, 1, 0x0F, 0xFF))
            info = bytes(chance.randrange(256) & fill for _ in range(length))
            try:
                made = kind.load(info, usage_of(kind))
            except Errno as failure:
                assert failure.code in (EINVAL, ENOENT, ERANGE)
                continue
            assert kind.size <= length <= padded(kind)
            assert shown(made) == info[: kind.shown] + bytes(padded(kind) - kind.shown)
            for data in PACKETS:
                if kind.family in (0, FAMILY_IP4 if data[0] >> 4 == 4 else FAMILY_IP6):
                    assert judge(made, data) in (CONTINUE, BREAK, ACCEPT, DROP)


def test_structures_are_of_their_kernel_size() -> None:
    with pytest.raises(Errno) as raised:
        load(b"conntrack", 3, bytes(169))
    assert raised.value.code == EINVAL


def ports(*values: int, option: int = 0, mask: int = 0, flags: int = 0, inverted: int = 0) -> bytes:
    return struct.pack("<4H4B", *values, option, mask, flags, inverted)


def test_tcp(nft: Nft) -> None:
    assert holds(load(b"tcp", 0, ports(0, 0xFFFF, 80, 80)), WEB)
    assert not holds(load(b"tcp", 0, ports(0, 0xFFFF, 81, 90)), WEB)
    assert holds(load(b"tcp", 0, ports(0, 0xFFFF, 81, 90, inverted=2)), WEB)
    assert holds(load(b"tcp", 0, ports(40000, 40000, 0, 0xFFFF, mask=0x12, flags=2)), WEB)
    assert not holds(load(b"tcp", 0, ports(0, 0xFFFF, 0, 0xFFFF, mask=0x12, flags=2, inverted=4)), WEB)
    assert holds(load(b"tcp", 0, ports(0, 0xFFFF, 0, 0xFFFF, option=2)), WEB)
    assert not holds(load(b"tcp", 0, ports(0, 0xFFFF, 0, 0xFFFF, option=8)), WEB)
    assert judge(load(b"tcp", 0, ports(0, 0xFFFF, 0, 0xFFFF)), WEB[:30]) == DROP
    assert judge(load(b"tcp", 0, ports(0, 0xFFFF, 0, 0xFFFF)), PACKETS[-1]) == DROP  # RFC 3128
    with pytest.raises(Errno):
        load(b"tcp", 0, ports(0, 0, 0, 0, inverted=16))


def multiport(side: int, *entries: int, ranges: tuple[int, ...] = (), inverted: int = 0) -> bytes:
    places = [*entries] + [0] * (15 - len(entries))
    return struct.pack("<2B15H15BB", side, len(entries), *places, *(i in ranges for i in range(15)), inverted)


def test_multiport(nft: Nft) -> None:
    assert holds(load(b"multiport", 1, multiport(1, 22, 80)), WEB)
    assert not holds(load(b"multiport", 1, multiport(0, 22, 80)), WEB)
    assert holds(load(b"multiport", 1, multiport(2, 1, 70, 90, ranges=(1,))), WEB)
    assert not holds(load(b"multiport", 1, multiport(2, 1, 70, 90, ranges=(1,), inverted=1)), WEB)
    for bad in (multiport(3, 1), multiport(1, 1)[:1] + b"\x10" + multiport(1, 1)[2:]):
        with pytest.raises(Errno):
            load(b"multiport", 1, bad)
    with pytest.raises(Errno):
        load(b"multiport", 1, multiport(1, 5), protocol=1)
    last = multiport(1, *range(1, 16), ranges=(14,))  # a range without an end
    assert not holds(load(b"multiport", 1, last), WEB)


def test_headers(nft: Nft) -> None:
    ping = echo(A, B, 7)
    assert holds(load(b"icmp", 0, b"\x08\x00\xff\x00", protocol=1), ping)
    assert not holds(load(b"icmp", 0, b"\x08\x01\xff\x00", protocol=1), ping)
    assert holds(load(b"icmp", 0, b"\xff\x00\xff\x00", protocol=1), ping)
    assert holds(load(b"icmp6", 0, b"\x80\x00\xff\x00", FAMILY_IP6), echo(A6, B6, 7))
    assert holds(load(b"length", 0, struct.pack("<HHB", 20, len(WEB), 0)), WEB)
    assert not holds(load(b"length", 0, struct.pack("<HHB", 20, len(WEB), 1)), WEB)
    assert holds(load(b"tcpmss", 0, struct.pack("<HHB", 1400, 1460, 0)), WEB)
    assert not holds(load(b"tcpmss", 0, struct.pack("<HHB", 1, 1459, 0)), WEB)
    within = A + bytes(12) + A[:3] + b"\x0a" + bytes(12) + bytes(32)
    assert holds(load(b"iprange", 1, within + b"\x01"), WEB)
    assert not holds(load(b"iprange", 1, within + b"\x11"), WEB)


def test_marks(nft: Nft) -> None:
    packet = packet_of(WEB)
    assert judge(load(b"MARK", 2, struct.pack("<II", 0x15, 0xFF)), WEB, packet=packet) == CONTINUE
    assert packet.mark == 0x15
    judge(load(b"MARK", 2, struct.pack("<II", 0x100, 0x100)), WEB, packet=packet)
    assert packet.mark == 0x115
    assert judge(load(b"mark", 1, struct.pack("<IIB", 5, 0xF, 0)), WEB, packet=packet) == CONTINUE
    assert judge(load(b"mark", 1, struct.pack("<IIB", 5, 0xF, 1)), WEB, packet=packet) == BREAK


def test_marks_of_connections(nft: Nft) -> None:
    packet = packet_of(WEB)
    connection = Connection()
    packet.connection = connection
    packet.mark = 0x35
    judge(load(b"CONNMARK", 2, struct.pack("<III3B", 0, 0xFFFF_FFFF, 0xFF, 0, 4, 1)), WEB, packet=packet)  # save, << 4
    assert connection.mark == 0x350
    judge(load(b"CONNMARK", 1, struct.pack("<IIIB", 0x2, 0xF, 0, 0)), WEB, packet=packet)  # set
    assert connection.mark == 0x352
    judge(load(b"CONNMARK", 2, struct.pack("<III3B", 0, 0xFF0, 0xFF, 1, 4, 2)), WEB, packet=packet)  # restore, >> 4
    assert packet.mark == 0x35
    judge(load(b"CONNMARK", 2, struct.pack("<III3B", 0, 0xF, 0xFF, 0, 0, 2)), WEB, packet=packet)
    assert packet.mark == 0x2
    assert judge(load(b"connmark", 1, struct.pack("<IIB", 0x2, 0xF, 0)), WEB, packet=packet) == CONTINUE
    assert judge(load(b"connmark", 1, struct.pack("<IIB", 0x2, 0xF, 1)), WEB, packet=packet) == BREAK


def test_now_and_then(nft: Nft) -> None:
    third = load(b"statistic", 0, struct.pack("<HHIII", 1, 0, 2, 0, 2))
    assert [holds(third, WEB) for _ in range(7)] == [True, False, False, True, False, False, True]
    never = load(b"statistic", 0, struct.pack("<HHI", 0, 0, 0))
    assert not any(holds(never, WEB) for _ in range(20))
    two = load(b"limit", 0, struct.pack("<II", 10_000, 2))
    assert [holds(two, WEB) for _ in range(4)] == [True, True, False, False]
    with pytest.raises(Errno) as raised:
        load(b"limit", 0, struct.pack("<II", 10_000, 0))
    assert raised.value.code == ERANGE
    for cost, burst in ((0xFFFF_FFFF, 0xFFFF_FFFF), (0x8000_0000, 2), (0xFFFF_FFFF, 2)):  # it wraps, as on Linux
        with pytest.raises(Errno) as raised:
            load(b"limit", 0, struct.pack("<II", cost, burst))
        assert raised.value.code == ERANGE


@pytest.mark.parametrize("data", [tcp(A, 1, B, 2, 2, options=b"\x02\x04\x05\xb4"), tcp(A6, 1, B6, 2, 2)])
def test_the_largest_segment(nft: Nft, data: bytes) -> None:
    family = FAMILY_IP4 if data[0] >> 4 == 4 else FAMILY_IP6
    packet = packet_of(data)
    assert judge(load(b"TCPMSS", 0, struct.pack("<H", 500), family), data, packet=packet) == CONTINUE
    changed = packet.network_header().to_bytes()
    assert has_right_sums(changed)
    at = 40 if family == FAMILY_IP4 else 60
    assert changed[at : at + 4] == struct.pack(">BBH", 2, 4, 500)
    assert len(changed) == at + 4 and changed[at - 8] >> 4 == 6
    length = struct.unpack_from(">H", changed, 2 if family == FAMILY_IP4 else 4)[0]
    assert length == (44 if family == FAMILY_IP4 else 24)


def test_a_larger_segment_is_not_made_larger(nft: Nft) -> None:
    packet = packet_of(WEB)
    judge(load(b"TCPMSS", 0, struct.pack("<H", 9000)), WEB, packet=packet)
    assert packet.network_header().to_bytes() == WEB


def test_a_segment_that_nobody_has_summed_is_not_corrected(nft: Nft) -> None:
    packet = packet_of(WEB)
    packet.checksum = CHECKSUM_VERIFIED
    packet.checksum_start = packet.network_start + 20
    packet.checksum_offset = 16
    judge(load(b"TCPMSS", 0, struct.pack("<H", 500)), WEB, packet=packet)
    changed = packet.network_header().to_bytes()
    assert changed[36:38] == WEB[36:38] and changed[42:44] == struct.pack(">H", 500)


@pytest.mark.parametrize("data", [WEB, tcp(A6, 1, B6, 2, 2, options=b"\x02\x04\x05\xb4")])
def test_what_the_path_carries_takes_no_look_at_addresses(
    nft: Nft, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr(output, "addresses_of", None)  # to call it would fail
    made = load(b"TCPMSS", 0, struct.pack("<H", 0xFFFF), FAMILY_IP4 if data[0] >> 4 == 4 else FAMILY_IP6)
    assert cost_of(made, data) >= ways.ROUTE_COST


def cost_of(extension: Extension, data: bytes) -> int:
    """What it spends."""
    before = PACE.left
    judge(extension, data)
    return before - PACE.left


def test_looks_at_routes_are_paid_for(nft: Nft) -> None:
    local = 1 << 2
    assert cost_of(load(b"addrtype", 1, struct.pack("<HHI", 1 << 1 | local, local, 0)), WEB) >= 2 * ways.ROUTE_COST
    ping = echo(A6, B6, 7)
    assert cost_of(load(b"addrtype", 1, struct.pack("<HHI", local, 0, 0), FAMILY_IP6), ping) >= ways.ROUTE_COST
    kind = ways.RouteLookup(16, 3, 2)
    before = PACE.left
    place = Place(FIRST_NETWORK, FAMILY_IP4, INPUT)
    kind.evaluate(Run(packet_of(WEB), place, 1, 1_000_000))
    assert before - PACE.left >= ways.ROUTE_COST


def test_a_refusal_is_paid_for_or_not_answered(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []
    monkeypatch.setattr(compat_targets, "put_off", lambda packet, place, code: answered.append(code))
    refuse = load(b"REJECT", 0, struct.pack("<I", 3))
    assert cost_of(refuse, WEB) >= 2500 and answered == [3]
    monkeypatch.setattr(PACE, "left", -10_000_000)
    assert judge(refuse, WEB) == DROP and answered == [3]


# ---- Translation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "revision"), [(b"SNAT", 1), (b"SNAT", 2), (b"DNAT", 1), (b"DNAT", 2)])
@pytest.mark.parametrize("data", [udp(A, 1, B, 2, b""), udp(A6, 1, B6, 2, b"")])
def test_an_inet_table_translates_to_addresses_of_the_packet(
    nft: Nft, monkeypatch: pytest.MonkeyPatch, name: bytes, revision: int, data: bytes
) -> None:
    asked: list[NatRequest] = []

    def ask(packet: Packet, place: Place, request: NatRequest) -> Verdict:
        asked.append(request)
        return Verdict.ACCEPT

    monkeypatch.setattr(compat_nat, "set_up_nat", ask)
    info = struct.pack("<I", 1) + bytes(range(1, 17)) + bytes(range(2, 18)) + bytes(4)
    assert judge(load(name, revision, info, INET), data) == ACCEPT
    size = 4 if data[0] >> 4 == 4 else 16
    assert asked[0].first == bytes(range(1, 17))[:size] and asked[0].last == bytes(range(2, 18))[:size]


def test_an_old_connection_is_not_masqueraded_again(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "select_source4", None)  # to call it would fail
    monkeypatch.setattr(translation, "list_addresses", None)
    packet = packet_of(WEB)
    connection = Connection()
    connection.status = STATUS_CONFIRMED
    packet.connection = connection
    place = Place(FIRST_NETWORK, FAMILY_IP4, POSTROUTING)
    place.output = FIRST_NETWORK.loopback
    assert translation.masquerade(packet, place, NatRequest(to_source=True)) == Verdict.ACCEPT
    place = Place(FIRST_NETWORK, FAMILY_IP4, PREROUTING)
    place.input = FIRST_NETWORK.loopback
    assert translation.redirect(packet, place, NatRequest(to_source=False)) == Verdict.ACCEPT


# ---- In rules -------------------------------------------------------------------------------------------------------


def said(name: str, revision: int, info: bytes, *, kind: str = "match") -> bytes:
    return expression(kind, text(1, name) + be32(2, revision) + attribute(3, info + bytes(-len(info) % 8)))


def content(pattern: bytes, first: int = 0, end: int = 0xFFFF, flags: int = 0, algorithm: bytes = b"bm") -> bytes:
    return struct.pack("<HH16s128sBB", first, end, algorithm, pattern, len(pattern), flags)


@given(st.text("abAB", min_size=1, max_size=6), st.text("abAB", max_size=40), st.integers(0, 70), st.integers(0, 90))
@settings(deadline=None)
def test_bytes_are_found_wherever_they_are(pattern: str, text: str, first: int, end: int) -> None:
    data = tcp(A, 1, B, 2, 16, data=text.encode())
    for flags in range(4):
        known = data.upper() if flags & 2 else data
        if first > end:
            with pytest.raises(Errno):
                load(b"string", 1, content(pattern.encode(), first, end, flags))
            return
        there = known.find(pattern.upper().encode() if flags & 2 else pattern.encode(), first, end) >= 0
        for algorithm in (b"bm", b"kmp"):
            made = load(b"string", 1, content(pattern.encode(), first, end, flags, algorithm))
            assert holds(made, data) == (there != bool(flags & 1))


def test_ways_of_searching(nft: Nft) -> None:
    assert holds(load(b"string", 1, content(b"x", algorithm=b"kmp")), tcp(A, 1, B, 2, 16, data=b"x"))
    for algorithm, code in ((b"fsm", ENOENT), (b"b" * 16, EINVAL)):
        with pytest.raises(Errno) as raised:
            load(b"string", 1, content(b"x", algorithm=algorithm))
        assert raised.value.code == code
    with pytest.raises(Errno):
        load(b"string", 1, content(b""))


WORDS = b"To be, or not to be, that is the question: whether it is nobler in the mind to suffer slings; "


@pytest.mark.parametrize("algorithm", [b"bm", b"kmp"])
@pytest.mark.parametrize("flags", [0, 2])
@pytest.mark.parametrize("line", [WORDS, bytes(64), b"\xff", bytes(range(256))])
def test_several_rules_afford_the_longest_packet(nft: Nft, algorithm: bytes, flags: int, line: bytes) -> None:
    data = tcp(A, 1, B, 2, 16, data=(line * 65_536)[:65_000])
    PACE.left = PACE_BUDGET
    for pattern in (b"nobody", b"the end", b" undiscovered country"):
        assert judge(load(b"string", 1, content(pattern, flags=flags, algorithm=algorithm)), data) == BREAK
        assert judge(load(b"string", 1, content(pattern, flags=flags | 1, algorithm=algorithm)), WEB) == CONTINUE
    assert PACE.left > -MOST_BEHIND


@pytest.mark.parametrize("algorithm", [b"bm", b"kmp"])
def test_a_search_without_end_drops_the_packet(nft: Nft, algorithm: bytes) -> None:
    made = load(b"string", 1, content(b"ab" * 63 + b"c", algorithm=algorithm))
    PACE.left = PACE_BUDGET
    assert judge(made, tcp(A, 1, B, 2, 16, data=b"ab" * 6_500)) == BREAK
    PACE.left = PACE_BUDGET
    assert judge(made, tcp(A, 1, B, 2, 16, data=b"ab" * 30_000)) == DROP
    assert -610_000 < PACE.left < -MOST_BEHIND
    PACE.left = PACE_BUDGET
    made = load(b"string", 1, content(b"abx", algorithm=algorithm))  # seen at every third place, and never there
    assert judge(made, tcp(A, 1, B, 2, 16, data=b"aax" * 3_000)) == BREAK
    made = load(b"string", 1, content(b"x" * 127 + b"b", algorithm=algorithm))
    PACE.left = PACE_BUDGET
    assert judge(made, tcp(A, 1, B, 2, 16, data=b"a" * 60_000)) == BREAK
    assert PACE.left < PACE_BUDGET - 60_000 * 2


def owned(asked: int, inverted: int = 0, users: tuple[int, int] = (0, 0), groups: tuple[int, int] = (0, 0)) -> bytes:
    return struct.pack("<IIIIBB2x", *users, *groups, asked, inverted)


def test_owners(nft: Nft) -> None:
    user = Credentials()
    user.fsuid, user.fsgid, user.groups = KernelUid(1000), KernelGid(100), [KernelGid(7)]
    cases = [
        (owned(1, users=(1000, 1000)), True, False), (owned(1, users=(5, 999)), False, False),
        (owned(1, 1, users=(1000, 1000)), False, True), (owned(4), True, False), (owned(4, 4), False, True),
        (owned(2, groups=(100, 100)), True, False), (owned(2, groups=(7, 7)), False, False),
        (owned(10, groups=(7, 9)), True, False), (owned(2, 2, groups=(7, 7)), True, True),
        (owned(3, users=(0, 2000), groups=(1, 2)), False, False),
    ]  # fmt: skip
    for info, of_user, of_nobody in cases:
        made = load(b"owner", 1, info)
        packet = packet_of(WEB)
        assert (judge(made, WEB, OUTPUT, packet) == CONTINUE) == of_nobody
        packet.sender = user
        assert (judge(made, WEB, OUTPUT, packet) == CONTINUE) == of_user
    nobody = 0xFFFF_FFFF
    for wrong in (owned(16), owned(1, users=(5, 4)), owned(1, users=(5, nobody)), owned(2, groups=(nobody, nobody))):
        with pytest.raises(Errno) as raised:
            load(b"owner", 1, wrong)
        assert raised.value.code == EINVAL


@pytest.mark.parametrize("kind", ["udp", "raw", "ping"])
def test_a_datagram_is_its_owners(nft: Nft, kind: str) -> None:
    drop = expression("immediate", be32(1, 0) + attribute(2, attribute(2, be32(1, DROP))))
    nft.batch(nft.message(0, CREATE, IP, text(1, "t")), nft.chain("out", OUTPUT, family=IP))
    nft.batch(rule(nft, said("owner", 1, owned(1, users=(1000, 1000))), drop, chain="out"))
    if kind == "raw":
        socket: DatagramSocket = RawSocket(AF_INET, 200, Credentials(), FIRST_NETWORK)
    else:
        socket = (UdpSocket if kind == "udp" else PingSocket)(AF_INET, Credentials(), FIRST_NETWORK)
    for uid, answer in ((1000, EPERM), (1001, 0)):
        socket.creator = Credentials()
        socket.creator.fsuid = KernelUid(uid)
        message = Message(KernelBuffer(bytearray(b"\x08\0\0\0\0\1\0\1")), 0)
        message.address = encode_inet(b"\x7f\0\0\1", 9)
        if answer == 0:
            assert socket.send(message) == 8
            continue
        with pytest.raises(Errno) as raised:
            socket.send(message)
        assert raised.value.code == answer
    socket.close()
    nft.batch(nft.message(2, 0, IP, text(1, "t")))


def test_packets_name_their_sender_while_a_rule_asks(nft: Nft) -> None:
    assert SENDER_RULES.count == 0
    nft.batch(nft.message(0, CREATE, IP, text(1, "t")), nft.message(3, CREATE, IP, text(1, "t") + text(3, "in")))
    nft.batch(rule(nft, said("owner", 1, owned(4))), rule(nft, said("owner", 1, owned(4, 4))))
    assert SENDER_RULES.count == 2
    assert nft.errors(rule(nft, said("owner", 1, owned(4))), rule(nft, said("physdev", 1, b""))) == [ENOENT]
    assert SENDER_RULES.count == 2
    nft.batch(nft.message(2, 0, IP, text(1, "t")))
    assert SENDER_RULES.count == 0


def protocol(number: int, flags: int = 0) -> bytes:
    return attribute(5, be32(1, number) + be32(2, flags))


def rule(nft: Nft, *expressions: bytes, more: bytes = b"", chain: str = "in") -> bytes:
    payload = text(1, "t") + text(2, chain) + attribute(4, b"".join(expressions)) + more
    return nft.message(6, CREATE | 0x800, IP, payload)


def test_rules(nft: Nft) -> None:
    info = ports(0, 0xFFFF, 80, 80)
    refused = said("REJECT", 0, struct.pack("<I", 3), kind="target")
    nft.batch(nft.table(family=IP), nft.chain("in", INPUT, family=IP))
    assert nft.errors(rule(nft, said("tcp", 0, info))) == [EINVAL]  # for no protocol
    assert nft.errors(rule(nft, said("tcp", 0, info), more=protocol(6, 2))) == [EINVAL]
    assert nft.errors(rule(nft, said("tcp", 0, info), more=protocol(6, 4))) == [EINVAL]
    assert nft.errors(rule(nft, said("tcp", 0, info), more=be32(5, 6))) == [EINVAL]
    assert nft.errors(rule(nft, said("tcp", 1, info), more=protocol(6))) == [ENOENT]
    assert nft.errors(rule(nft, said("physdev", 0, info))) == [ENOENT]
    assert nft.errors(rule(nft, said("tcp", 256, info), more=protocol(6))) == [ERANGE]
    assert nft.errors(rule(nft, refused)) == [EINVAL]  # in a table of another name
    assert nft.errors(rule(nft, expression("match", text(1, "tcp") + be32(2, 0)))) == [EINVAL]
    nft.batch(rule(nft, said("tcp", 0, info), expression("counter"), more=protocol(6)))
    assert nft.verdict(WEB) == Verdict.ACCEPT
    (found,) = nft.dump(7, IP)
    parts = [attributes(each) for _, each in listed(found[4])]
    assert [part[1] for part in parts] == [b"match\0", b"counter\0"]
    assert attributes(parts[0][2]) == {1: b"tcp\0", 2: bytes(4), 3: info + bytes(4)}
    assert attributes(parts[1][2])[2] == struct.pack(">Q", 1)


def test_tracking_is_used_while_a_rule_is_there(nft: Nft) -> None:
    info = bytes(146) + struct.pack("<HHH", 1, 0, 8) + bytes(12)
    nft.batch(nft.table(family=IP), nft.chain("in", INPUT, family=IP))
    before = FIRST_NETWORK.onlookers
    nft.batch(rule(nft, said("conntrack", 3, info), expression("counter")))
    nft.verdict(WEB, 0)
    nft.verdict(WEB)
    assert attributes(attributes(listed(nft.dump(7, IP)[0][4])[1][1])[2])[2][7] in (0, 1)
    nft.batch(nft.message(8, 0, IP, text(1, "t") + text(2, "in")))
    assert FIRST_NETWORK.onlookers == before


def test_sets_of_a_table_that_is_not_there(nft: Nft) -> None:
    (answer,) = nft.send(nft.message(10, 0x300, IP, text(1, "filter")))  # iptables -L asks before it has made any
    assert answer.kind == 2 and -struct.unpack_from("<i", answer.body)[0] == ENOENT


def test_targets_of_nat_want_such_chains(nft: Nft) -> None:
    masquerade = said("MASQUERADE", 0, struct.pack("<I", 1) + bytes(16), kind="target")
    nft.batch(nft.message(0, CREATE, IP, text(1, "nat")))
    base = attribute(4, be32(1, 4) + be32(2, 100)) + text(7, "filter")
    nft.batch(nft.message(3, CREATE, IP, text(1, "nat") + text(3, "post") + base))
    nft.batch(nft.message(3, CREATE, IP, text(1, "nat") + text(3, "any")))
    add = nft.message(6, CREATE | 0x800, IP, text(1, "nat") + text(2, "any") + attribute(4, masquerade))
    nft.batch(add)
    jump = expression("immediate", be32(1, 0) + attribute(2, attribute(2, be32(1, -3) + text(2, "any"))))
    assert nft.errors(
        nft.message(6, CREATE | 0x800, IP, text(1, "nat") + text(2, "post") + attribute(4, jump))
    ) == [EINVAL]
    nft.batch(nft.message(2, 0, IP, text(1, "nat")))


def asked(nft: Nft, name: str, revision: int, target: int, family: int = IP) -> object:
    payload = text(1, name) + be32(2, revision) + be32(3, target)
    (answer,) = nft.send(nft.message(0, 0, family, payload, subsystem=11))
    if answer.kind == 2:
        return -struct.unpack_from("<i", answer.body)[0]
    return attributes(answer.body[4:])


def test_revisions(nft: Nft) -> None:
    best = {1: b"conntrack\0", 2: struct.pack(">I", 3), 3: bytes(4)}
    assert asked(nft, "conntrack", 3, 0) == asked(nft, "conntrack", 1, 0) == best
    assert asked(nft, "conntrack", 4, 0) == EPROTONOSUPPORT
    old, new = ({1: b"SNAT\0", 2: struct.pack(">I", best), 3: struct.pack(">I", 1)} for best in (0, 2))
    assert asked(nft, "SNAT", 0, 1) == old and asked(nft, "SNAT", 1, 1) == new  # what IPv4 has for itself comes first
    assert asked(nft, "nonsense", 0, 0) == ENOENT
    assert asked(nft, "MASQUERADE", 0, 1) == {1: b"MASQUERADE\0", 2: bytes(4), 3: struct.pack(">I", 1)}
    assert asked(nft, "icmp", 0, 0, 10) == ENOENT
    assert asked(nft, "tcp", 0, 0, 3) == asked(nft, "tcp", 0, 0, 7) == ENOENT  # what ARP and bridges lack
    assert asked(nft, "tcp", 0, 0, 5) == EINVAL
    assert asked(nft, "x" * 32, 0, 0) == ERANGE
