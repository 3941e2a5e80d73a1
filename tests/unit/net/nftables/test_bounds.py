"""What a packet or a batch may cost, and that a batch which fails late leaves nothing."""

from __future__ import annotations

import pytest

from kernel.lang import E2BIG, EINVAL, ENOMEM, ERANGE
from kernel.net.link.hooks import Verdict
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.nftables import batch, elements, evaluate
from kernel.net.nftables.model import firewall_of
from tests.unit.net.conftest import pass_time
from tests.unit.net.filter.gate import tcp
from tests.unit.net.nftables.nft import (
    ACCEPT,
    CREATE,
    DROP,
    EXCL,
    INPUT,
    JUMP,
    Nft,
    attribute,
    be32,
    be64,
    counter,
    decide,
    expression,
    load,
    text,
    value,
    verdict,
)

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
WEB = tcp(A, 40000, B, 80, 2)
VERDICTS = be32(6, 0xFFFF_FF00) + be32(7, 16)


def jump_for(key: bytes) -> bytes:
    return value(1, key) + attribute(2, verdict(JUMP, "c0"))


def state_of(nft: Nft) -> list[object]:
    """All that programs are shown, and how often each chain is referred to."""
    chains = firewall_of(FIRST_NETWORK).tables[0].chains.by_name.values()
    uses = [(each.name, each.uses, len(each.rules), each.absent) for found in chains for each in found]
    return [uses, *(nft.dump(kind) for kind in (1, 4, 7, 10, 19))]


def test_a_packet_that_costs_too_much_is_dropped(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = [nft.chain(f"c{i}") for i in range(15)]
    rules = [nft.rule(f"c{i}", decide(JUMP, f"c{i + 1}")) for i in range(14) for _ in range(3)]
    nft.batch(nft.table(), nft.chain("in", INPUT), *chains, *rules, nft.rule("in", decide(ACCEPT)))
    monkeypatch.setattr(evaluate, "MOST_WORK", 100_000)
    assert nft.verdict(WEB) == Verdict.ACCEPT
    nft.batch(nft.rule("in", decide(JUMP, "c0"), flags=CREATE))
    assert nft.verdict(WEB) == Verdict.DROP  # 3 ** 14 ways


def test_ranges_that_are_tried_count(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = attribute(9, attribute(2, attribute(1, be32(1, 2)) + attribute(1, be32(1, 2))))
    ranges = [value(1, bytes([1, i, 0, 0] * 2)) + value(10, bytes([1, i, 0, 0] * 2)) for i in range(100)]
    ask = expression("lookup", text(1, "s") + be32(2, 1))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 0x84, 8, more=fields), nft.elements("s", *ranges),
        nft.rule("in", load(1, 12, 8), ask), nft.rule("in", decide(ACCEPT)),
    )  # fmt: skip
    assert nft.verdict(WEB) == Verdict.ACCEPT
    monkeypatch.setattr(evaluate, "MOST_WORK", 3000)
    assert nft.verdict(WEB) == Verdict.DROP


def test_no_more_than_so_many_chains_look_at_a_point(nft: Nft) -> None:
    nft.batch(nft.table(), *(nft.chain(f"b{i}", INPUT) for i in range(1024)))
    assert nft.errors(nft.chain("one more", INPUT)) == [E2BIG]
    assert len(nft.dump(4)) == 1024


def test_lack_of_memory_at_the_end_leaves_nothing(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.chain("c0"), nft.chain("gone"),
        nft.set("m", 8, 2, more=VERDICTS), nft.elements("m", jump_for(b"\0\1")), nft.rule("in", decide(JUMP, "c0")),
    )  # fmt: skip
    before = state_of(nft)

    def fail(self: batch.Batch) -> None:
        raise MemoryError

    handle = firewall_of(FIRST_NETWORK).tables[0].chains.by_name[b"c0"][0].handle
    rename = nft.message(3, 0, 1, text(1, "t") + be64(2, handle) + text(3, "renamed"))
    changes = [
        rename, nft.chain("c0"), nft.rule("in", counter(), decide(JUMP, "renamed")), nft.delete_rule("in"),
        nft.delete_chain("gone"), nft.elements("m", jump_for(b"\0\2")), nft.elements("m", value(1, b"\0\1"), kind=14),
        nft.message(11, 0, 1, text(1, "t") + text(2, "m")), nft.chain("other", INPUT),
        nft.table(flags=CREATE), nft.message(0, CREATE, 1, text(1, "t") + be32(2, 1)),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(batch.Batch, "_take_effect", fail)
        assert ENOMEM in nft.errors(*changes)
    assert state_of(nft) == before
    assert nft.verdict(WEB) == Verdict.ACCEPT


def test_elements_whose_time_is_up_meanwhile_are_given_back_once(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    nft.batch(nft.table(), nft.chain("c0"), nft.set("m", 0x18, 2, more=VERDICTS))
    nft.batch(nft.elements("m", *(jump_for(bytes([0, i])) + be64(4, 2000) for i in range(3))))
    (chain,) = firewall_of(FIRST_NETWORK).tables[0].chains.by_name[b"c0"]
    assert chain.uses == 3

    def rest(instructions: int) -> None:
        pass_time(3)

    monkeypatch.setattr(elements, "pace", rest)
    nft.batch(nft.message(14, 0, 1, text(1, "t") + text(2, "m")))
    assert chain.uses == 0


def test_counters_of_chains_are_checked_before_they_count(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT))
    chain = text(1, "t") + text(3, "in")
    assert nft.errors(nft.message(3, 0, 1, chain + attribute(8, be32(1, 5) + be64(2, 5)))) == [ERANGE]
    assert nft.errors(nft.message(3, 0, 1, chain + attribute(8, be64(1, 5)))) == [EINVAL]
    nft.batch(nft.message(3, 0, 1, chain + attribute(8, be64(1, 5) + be64(2, 5))))
    nft.verdict(WEB)
    (found,) = firewall_of(FIRST_NETWORK).tables[0].chains.by_name[b"in"]
    assert found.packets == 6 and found.bytes == 5 + len(WEB)


def test_elements_may_be_numbered(nft: Nft) -> None:
    """As libnftnl does."""
    entries = b"".join(attribute(i + 1, value(1, bytes([0, i]))) for i in range(3))
    nft.batch(nft.table(), nft.set("s", 0, 2))
    nft.batch(nft.message(12, CREATE | EXCL, 1, text(1, "t") + text(2, "s") + attribute(3, entries)))


def test_largest_segments_become_smaller_only(nft: Nft) -> None:
    def clamp(size: int) -> bytes:
        return expression("immediate", be32(1, 1) + value(2, size.to_bytes(2))) + expression(
            "exthdr", be32(7, 1) + attribute(2, b"\2") + be32(3, 2) + be32(4, 2) + be32(6, 1)
        )

    nft.batch(nft.table(), nft.chain("in", INPUT), nft.rule("in", clamp(1000)), nft.rule("in", clamp(1400)))
    assert nft.verdict(WEB) == Verdict.ACCEPT  # it has no such option
    assert nft.errors(nft.rule("in", expression("exthdr", be32(7, 1) + be32(6, 1)))) == [EINVAL]
    nft.batch(nft.rule("in", decide(DROP)))
