"""A batch that finds no memory, at whatever place, leaves the firewall as it was; and so does a packet."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from kernel.lang import ENOMEM
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.thread import run_pending
from kernel.net.nftables.model import firewall_of
from kernel.net.nftables.sets import DataSet
from kernel.time import monotonic_ns
from tests.unit.net.filter.gate import tcp
from tests.unit.net.nftables.nft import (
    ACCEPT,
    CREATE,
    DROP,
    INPUT,
    JUMP,
    OUTPUT,
    POSTROUTING,
    Nft,
    attribute,
    be32,
    be64,
    counter,
    decide,
    expression,
    load,
    text,
    to_port,
    value,
    verdict,
)
from tests.unit.net.scarcity import Scarcity, State

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
WEB = tcp(A, 40000, B, 80, 2)
SECOND_MS = 1000
VERDICTS = be32(6, 0xFFFF_FF00) + be32(7, 16)


def lookup(name: str) -> bytes:
    return load(1, 12, 4) + expression("lookup", text(1, name) + be32(2, 1))


def dynamic(name: str) -> bytes:
    return load(1, 12, 4) + expression("dynset", text(1, name) + be32(3, 0) + be32(4, 1) + be64(6, SECOND_MS))


def jump_to(key: bytes, chain: str) -> bytes:
    return value(1, key) + attribute(2, verdict(JUMP, chain))


def limit() -> bytes:
    return expression("limit", be64(1, 5) + be64(2, 1) + be32(3, 5))


def existing(nft: Nft) -> list[bytes]:
    return [
        nft.table(), nft.chain("in", INPUT), nft.chain("c"), nft.chain("free"),
        nft.set("plain", 0, 4), nft.elements("plain", value(1, A), value(1, B)),
        nft.set("timed", 0x10 | 0x20, 4, number=2),
        nft.set("ranges", 4, 4, number=3), nft.elements("ranges", value(1, A), value(1, B) + be32(3, 1)),
        nft.set("map", 8, 4, number=4, more=VERDICTS), nft.elements("map", jump_to(A, "c")),
        nft.message(18, 0x400, 1, text(1, "t") + text(2, "o") + be32(3, 1) + attribute(4, be64(1, 0))),
        nft.rule("in", to_port(22), counter(), decide(ACCEPT)), nft.rule("in", lookup("plain"), decide(JUMP, "c")),
        nft.rule("c", limit(), decide(DROP)),
    ]  # fmt: skip


def with_own_set(nft: Nft) -> list[bytes]:
    return [
        nft.set("__set%d", 1 | 2, 4, number=9), nft.elements("__set0", value(1, A), value(1, B)),
        nft.rule("in", lookup("__set0"), counter()),
    ]  # fmt: skip


BATCHES: dict[str, Callable[[Nft], list[bytes]]] = {
    "table": lambda nft: [nft.table("u", family=2), nft.table("w", flags=0x400)],
    "chains": lambda nft: [nft.chain("new"), nft.chain("out", OUTPUT), nft.chain("nat", POSTROUTING, 100, kind="nat")],
    "rule": lambda nft: [nft.rule("in", to_port(80), counter(), limit(), decide(JUMP, "c"))],
    "set of a rule": with_own_set,
    "sets": lambda nft: [
        nft.set("s", 0, 4, number=7), nft.elements("s", value(1, A)),
        nft.set("i", 4, 4, number=8), nft.elements("i", value(1, A), value(1, B) + be32(3, 1)),
        nft.set("t", 0x10, 4, number=9), nft.elements("t", value(1, A) + be64(4, SECOND_MS)),
    ],
    "elements": lambda nft: [
        nft.elements("plain", value(1, bytes(4))), nft.elements("map", jump_to(B, "free")),
        nft.elements("ranges", value(1, b"\xf0\0\0\0"), value(1, b"\xf1\0\0\0") + be32(3, 1)),
        nft.elements("timed", value(1, A) + be64(4, SECOND_MS)),
    ],
    "object": lambda nft: [
        nft.message(18, 0x400, 1, text(1, "t") + text(2, "n") + be32(3, 1) + attribute(4, be64(1, 0))),
        nft.rule("in", expression("objref", be32(1, 1) + text(2, "n"))),
    ],
    "changes": lambda nft: [
        nft.message(3, 0, 1, text(1, "t") + text(3, "in") + be32(5, DROP)),
        nft.elements("plain", value(1, A), kind=14), nft.delete_chain("free"), nft.delete_rule("c"),
    ],
    "end": lambda nft: [nft.delete_table(name="t")],
}  # fmt: skip


@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", list(BATCHES))
def test_without_memory_a_batch_changes_nothing(nft: Nft, name: str, lasts: bool) -> None:
    nft.batch(*existing(nft), nft.chain("nat", POSTROUTING, 100, kind="nat"))
    nft.batch(nft.delete_chain("nat"))  # the network keeps the table of its connections
    data = nft.framed(*BATCHES[name](nft))
    before = State()
    wrong = []
    for nth in range(1, 5000):
        errors: list[int] = []
        with Scarcity(nth, lasts=lasts) as fault:
            try:
                answers = nft.send(data)
                errors = [-struct.unpack_from("<i", answer.body)[0] for answer in answers]
            except MemoryError:
                errors = [ENOMEM]
        if not fault.where or not errors:
            break
        assert ENOMEM in errors
        after = before.differences()
        if after:
            wrong.append((fault.where, after[:6]))
            break
    assert not wrong
    assert nth > 20
    run_pending(monotonic_ns())


def test_a_packet_without_memory_adds_no_element(nft: Nft) -> None:
    """One without a collector would stay for ever."""
    nft.batch(*existing(nft), nft.rule("in", dynamic("timed"), flags=CREATE))
    found = firewall_of(FIRST_NETWORK).tables[0].sets.by_name[b"timed"][0]
    assert isinstance(found, DataSet)
    before = State()
    for nth in range(1, 200):
        with Scarcity(nth) as fault:
            try:
                nft.verdict(WEB)
            except MemoryError:
                pass
        if found.count > 0:
            break
        assert not before.differences(), fault.where
    assert nth > 5 and found.collector is not None and len(found.collector.queue) == 1
