"""Packets on their real way over lo: they pass every point, and refused ones are answered."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import EPERM, Errno, span_of
from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, spend
from kernel.lib.user import KernelBuffer
from kernel.net.datagram import udp
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.internet import icmp, ip
from kernel.net.internet.output import resolve
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_UDP
from kernel.net.link import ethernet
from kernel.net.link.checksum import checksum
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import Packet
from kernel.net.link.thread import run_pending
from kernel.net.nftables import evaluate
from kernel.net.nftables.expression import Run
from kernel.net.nftables.model import Chain
from kernel.net.sockets.inet import encode_inet
from kernel.net.sockets.socket import AF_INET, Message
from kernel.time import monotonic_ns
from tests.unit.net.nftables.nft import (
    ACCEPT,
    DROP,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Nft,
    attribute,
    attributes,
    be32,
    compare,
    counter,
    decide,
    expression,
    listed,
    load,
    meta,
    value,
)

HERE = b"\x7f\0\0\1"
HERE6 = bytes(15) + b"\1"


def ask(address: bytes = HERE) -> None:
    """An echo request over lo; whatever it causes happens."""
    message = struct.pack(">BBHHH", icmp.ECHO, 0, 0, 7, 1) + b"hello"
    packet = Packet(len(message))
    body = packet.put(len(message))
    body.copy_from(span_of(message))
    body.store_be16(2, checksum(body))
    hop = resolve(FIRST_NETWORK, address)
    ip.send(packet, hop, hop.source, PROTOCOL_ICMP, 64, 0, dont_fragment=False)
    ethernet.drain()


def send(port: int, address: bytes = HERE) -> None:
    packet = Packet(5)
    packet.put(5).copy_from(span_of(b"hello"))
    hop = resolve(FIRST_NETWORK, address)
    udp.send(packet, hop, hop.source, 999, port, 64, 0, dont_fragment=False)
    ethernet.drain()


def replies() -> int:
    return FIRST_NETWORK.icmp4.in_types[icmp.ECHO_REPLY]


def counted(nft: Nft) -> list[int]:
    """What the first counter of each rule has counted."""
    found = []
    for rule in nft.dump(7):
        entries = [attributes(entry) for _, entry in listed(rule[4])]
        counters = [attributes(entry[2]) for entry in entries if entry[1] == b"counter\0"]
        found.append(int.from_bytes(counters[0][2], "big"))
    return found


def test_a_question_and_its_answer_pass_all_points(nft: Nft) -> None:
    before = replies()
    names = {"out": OUTPUT, "post": POSTROUTING, "pre": PREROUTING, "in": INPUT}
    chains = [nft.chain(name, point) for name, point in names.items()]
    nft.batch(nft.table(), *chains, *[nft.rule(name, counter()) for name in names])
    ask()
    assert replies() == before + 1
    assert counted(nft) == [2, 2, 2, 2]


def test_what_is_dropped_on_its_way_out_fails(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("out", OUTPUT), nft.rule("out", decide(DROP)))
    with pytest.raises(Errno) as raised:
        ask()
    assert raised.value.code == EPERM
    nft.batch(nft.delete_rule("out"), nft.chain("post", POSTROUTING, policy=DROP))
    with pytest.raises(Errno) as raised:
        ask()
    assert raised.value.code == EPERM


def test_datagrams_of_one_call_go_with_safe_points_between(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that UDP_SEGMENT cuts a message into: rules that are affordable for one of them are for each."""
    lowest = PACE_BUDGET

    def expensive(chain: Chain, run: Run) -> None:
        nonlocal lowest
        real(chain, run)
        spend(100_000)
        lowest = min(lowest, PACE.left)

    real = evaluate.run_chain
    monkeypatch.setattr(evaluate, "run_chain", expensive)
    nft.batch(nft.table(), nft.chain("out", OUTPUT), nft.rule("out", counter()))
    server = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    server.take_port(7000)
    client = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
    client.segment_size = 10
    message = Message(KernelBuffer(bytearray(1000)), 0)
    message.address = encode_inet(HERE, 7000)
    assert client.send(message) == 1000
    assert counted(nft) == [100] and PACE_BUDGET - lowest < STRETCH_LIMIT // 2


def test_what_is_dropped_on_its_way_in_is_lost(nft: Nft) -> None:
    before = replies()
    for point in (PREROUTING, INPUT):
        nft.batch(nft.table(), nft.chain("c", point, policy=DROP))
        ask()
        assert replies() == before
        nft.batch(nft.delete_table(name="t"))
    ask()
    assert replies() == before + 1


@pytest.mark.parametrize("address", [HERE, HERE6])
def test_refused_datagrams_are_answered(nft: Nft, address: bytes) -> None:
    reject = expression("reject", be32(1, 2) + attribute(2, b"\1"))
    is_udp = meta(16) + compare(bytes([PROTOCOL_UDP]))
    icmp_ = meta(16) + compare(bytes([PROTOCOL_ICMP if address == HERE else 58]))
    to = load(2, 2, 2) + compare(struct.pack(">H", 53))
    kind = load(2, 0, 1) + compare(b"\3" if address == HERE else b"\1")
    rules = [nft.rule("in", is_udp, to, reject), nft.rule("in", icmp_, kind, counter())]
    nft.batch(nft.table(), nft.chain("in", INPUT), *rules)
    send(53, address)
    run_pending(monotonic_ns())
    shown = nft.dump(7)[1]
    entries = [attributes(entry) for _, entry in listed(shown[4])]
    seen = attributes(entries[-1][2])
    assert int.from_bytes(seen[2], "big") == 1


def test_marks_go_along(nft: Nft) -> None:
    mark = expression("immediate", be32(1, 1) + value(2, struct.pack("<I", 77))) + expression(
        "meta", be32(2, 3) + be32(3, 1)
    )
    seen = meta(3) + compare(struct.pack("<I", 77)) + counter()
    nft.batch(
        nft.table(), nft.chain("out", OUTPUT), nft.chain("in", INPUT), nft.rule("out", mark, counter(), decide(ACCEPT)),
        nft.rule("in", seen),
    )  # fmt: skip
    ask()
    assert counted(nft) == [2, 2]


def test_headers_are_rewritten_with_their_sums(nft: Nft) -> None:
    ttl = expression("immediate", be32(1, 1) + value(2, b"\x2a")) + expression(
        "payload", be32(5, 1) + be32(2, 1) + be32(3, 8) + be32(4, 1) + be32(6, 1) + be32(7, 10)
    )
    right = load(1, 8, 1) + compare(b"\x2a") + counter()
    nft.batch(nft.table(), nft.chain("post", POSTROUTING), nft.chain("in", INPUT), nft.rule("post", ttl, counter()))
    nft.batch(nft.rule("in", right))
    ask()
    assert counted(nft) == [2, 2]


@pytest.mark.parametrize(("address", "first"), [(HERE, b"\x4f"), (HERE, b"\x65"), (HERE6, b"\x40")])
def test_packets_whose_rule_breaks_their_header_are_dropped(nft: Nft, address: bytes, first: bytes) -> None:
    breaks = expression("immediate", be32(1, 1) + value(2, first)) + expression(
        "payload", be32(5, 1) + be32(2, 1) + be32(3, 0) + be32(4, 1)
    )
    nft.batch(nft.table(), nft.chain("pre", PREROUTING, -150), nft.chain("in", INPUT))
    nft.batch(nft.rule("pre", counter(), breaks), nft.rule("in", counter()))
    send(9, address)
    assert counted(nft) == [1, 0]


@pytest.mark.parametrize(("base", "offset", "place"), [(1, 12, 0), (1, 8, 0), (0, 0, 13), (0, 0, 14)])
def test_no_sum_is_put_into_a_version(nft: Nft, base: int, offset: int, place: int) -> None:
    """A checksum that is said to lie over the first bytes of the IP header would change its version and length."""
    breaks = expression("immediate", be32(1, 1) + value(2, b"\x7f\0\0\x02")) + expression(
        "payload", be32(5, 1) + be32(2, base) + be32(3, offset) + be32(4, 4) + be32(6, 1) + be32(7, place)
    )
    nft.batch(nft.table(), nft.chain("pre", PREROUTING, -150), nft.chain("in", INPUT))
    nft.batch(nft.rule("pre", counter(), breaks), nft.rule("in", counter()))
    send(9, HERE)
    assert counted(nft) == [2, 2]  # it and its answer
