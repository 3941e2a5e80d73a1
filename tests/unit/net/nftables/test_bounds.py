"""What a packet or a batch may cost, and that a batch which fails late leaves nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from arch.x86_64.simulation import processor
from kernel.lang import E2BIG, EINTR, EINVAL, ENOMEM, ERANGE
from kernel.lib import random
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pace import PACE, PACE_BUDGET, STRETCH_LIMIT, Rest
from kernel.net.link.hooks import FAMILY_IP4, Place, Verdict
from kernel.net.link.network import FIRST_NETWORK, new_network
from kernel.net.link.thread import run_pending
from kernel.net.netlink.messages import Request
from kernel.net.nftables import answers, batch, elements, sets
from kernel.net.nftables.counting import Counter
from kernel.net.nftables.expression import MOST_BEHIND
from kernel.net.nftables.message import Message
from kernel.net.nftables.model import Chain, RuleList, firewall_of
from kernel.net.nftables.sets import DataSet
from kernel.time import monotonic_ns
from tests.unit.net.conftest import pass_time
from tests.unit.net.filter.gate import packet_of, tcp, udp
from tests.unit.net.nftables.nft import (
    ACCEPT,
    CREATE,
    DROP,
    DUMP,
    EXCL,
    GOTO,
    INPUT,
    JUMP,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    RETURN,
    Nft,
    attribute,
    be32,
    be64,
    compare,
    counter,
    decide,
    expression,
    load,
    meta,
    text,
    to_port,
    value,
    verdict,
)

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
WEB = tcp(A, 40000, B, 80, 2)
VERDICTS = be32(6, 0xFFFF_FF00) + be32(7, 16)


def jump_for(key: bytes) -> bytes:
    return value(1, key) + attribute(2, verdict(JUMP, "c0"))


class Marked:
    """Notes how much had been seen when it was called."""

    def __init__(self, real: Callable[[batch.Batch], None], seen: list[Verdict]) -> None:
        self.real, self.seen, self.after = real, seen, 0

    def __get__(self, owner: batch.Batch, kind: type) -> Callable[[], None]:
        def call() -> None:
            self.real(owner)
            self.after = len(self.seen)

        return call


def state_of(nft: Nft) -> list[object]:
    """All that programs are shown, and how often each chain is referred to."""
    chains = firewall_of(FIRST_NETWORK).tables[0].chains.by_name.values()
    uses = [(each.name, each.uses, len(each.rules), each.absent) for found in chains for each in found]
    return [uses, *(nft.dump(kind) for kind in (1, 4, 7, 10, 19))]


def test_a_packet_that_costs_too_much_is_dropped(nft: Nft) -> None:
    chains = [nft.chain(f"c{i}") for i in range(15)]
    rules = [nft.rule(f"c{i}", decide(JUMP, f"c{i + 1}")) for i in range(14) for _ in range(3)]
    nft.batch(nft.table(), nft.chain("in", INPUT), *chains, *rules, nft.rule("in", decide(ACCEPT)))
    assert nft.verdict(WEB) == Verdict.ACCEPT
    nft.batch(nft.rule("in", decide(JUMP, "c0"), flags=CREATE))
    assert nft.verdict(WEB) == Verdict.DROP  # 3 ** 14 ways
    assert 0 < -MOST_BEHIND - PACE.left < 1000


def test_all_points_of_a_way_share_one_bound(nft: Nft) -> None:
    rules = [nft.rule(f"c{point}", load(1, 12, 4), compare(bytes([9, point]) + i.to_bytes(2)))
             for point in (OUTPUT, POSTROUTING) for i in range(2000)]  # fmt: skip
    nft.batch(nft.table(), *(nft.chain(f"c{point}", point) for point in (OUTPUT, POSTROUTING)))
    for start in range(0, len(rules), 1000):
        nft.batch(*rules[start : start + 1000])
    assert nft.verdict(WEB, OUTPUT) == nft.verdict(WEB, POSTROUTING) == Verdict.ACCEPT
    assert nft.verdict(WEB, OUTPUT) == Verdict.ACCEPT
    assert nft.verdict(WEB, POSTROUTING, left=None) == Verdict.DROP
    assert PACE_BUDGET - PACE.left < STRETCH_LIMIT


def test_ranges_that_are_tried_count(nft: Nft) -> None:
    fields = attribute(9, attribute(2, attribute(1, be32(1, 2)) + attribute(1, be32(1, 2))))
    ranges = [value(1, bytes([1, i, 0, 0] * 2)) + value(10, bytes([1, i, 0, 0] * 2)) for i in range(100)]
    ask = expression("lookup", text(1, "s") + be32(2, 1))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 0x84, 8, more=fields), nft.elements("s", *ranges),
        nft.rule("in", load(1, 12, 8), ask), nft.rule("in", decide(ACCEPT)),
    )  # fmt: skip
    assert nft.verdict(WEB) == Verdict.ACCEPT
    assert PACE_BUDGET - PACE.left > 100 * 60
    assert nft.verdict(WEB, left=5000 - MOST_BEHIND) == Verdict.DROP
    assert 0 < -MOST_BEHIND - PACE.left < 500, "it ended in the middle"


def test_look_ups_count_before_they_search(nft: Nft) -> None:
    key = WEB[12:16]
    mapped = nft.set("o", 0x40, 4, 2, be32(15, 1))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.message(18, CREATE, 1, text(1, "t") + text(2, "n") + be32(3, 1)
        + attribute(4, be64(1, 0) + be64(2, 0))), mapped, nft.elements("o", value(1, key) + text(9, "n")),
        nft.set("d", 0x20, 4, 3),
    )  # fmt: skip
    asks = [
        expression("objref", be32(3, 1) + text(4, "o")),
        expression("dynset", text(1, "d") + be32(3, 0) + be32(4, 1)),
    ]
    for ask in asks:
        nft.batch(nft.rule("in", load(1, 12, 4), ask))
        assert nft.verdict(WEB) == Verdict.ACCEPT
        assert nft.verdict(WEB, left=100 - MOST_BEHIND) == Verdict.DROP
        nft.batch(nft.delete_rule("in"))


def test_rules_that_begin_alike_are_passed_over(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT))
    nft.batch(*(nft.rule("in", to_port(port), counter(), decide(DROP)) for port in range(1000, 1800)))
    assert nft.verdict(udp(A, 4000, B, 1700)) == Verdict.ACCEPT
    assert PACE_BUDGET - PACE.left < 800 * 25, "none of them is for UDP"
    assert nft.verdict(tcp(A, 4000, B, 1700, 2)) == Verdict.DROP
    assert PACE_BUDGET - PACE.left > 700 * 300


def test_rules_are_passed_over_only_where_they_cannot_hold(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules made by chance find the same as if each was looked at."""
    chance = Random(7)
    parts = [
        meta(16), meta(16, 2), meta(24, 2), load(1, 12, 4), load(2, 0, 2), load(2, 2, 2, 2), load(2, 60, 4),
        compare(b"\x06"), compare(b"\x06", 1), compare(A), compare(b"\0\x50", register=2), compare(b"\x9c\x40"),
        counter(), expression("bitwise", be32(1, 1) + be32(2, 1) + be32(3, 4) + be32(6, 1) + value(7, b"\1\0\0\0")),
        decide(JUMP, "c0"), decide(RETURN), decide(GOTO, "c0"),
    ]  # fmt: skip
    packets = [WEB, tcp(B, 80, A, 40000, 16), udp(A, 40000, B, 80)]
    for _ in range(60):
        rules: list[list[bytes]] = [[]]
        for _ in range(40):
            kept = rules[-1][: chance.randrange(5)]
            rules.append(kept + [chance.choice(parts) for _ in range(chance.randrange(1, 3))])
        nft.batch(
            nft.table(), nft.chain("in", INPUT), nft.chain("c0"), nft.rule("c0", counter(), meta(16), compare(b"\x11")),
            nft.rule("c0", meta(16), compare(b"\x11"), counter()),
            *(nft.rule("in", *each[:6], counter()) for each in rules),
        )  # fmt: skip
        chains = [found[0] for found in firewall_of(FIRST_NETWORK).tables[0].chains.by_name.values()]
        results = []
        for _ in range(2):
            monkeypatch.setattr(random, "word", partial(Random(3).getrandbits, 63))
            expressions = [each for chain in chains for rule in chain.active.rules for each in rule.expressions]
            counters = [each for each in expressions if isinstance(each, Counter)]
            for each in counters:
                each.reset()
            verdicts = [nft.verdict(each) for each in packets]
            results.append((verdicts, [each.packets for each in counters]))
            for chain in chains:
                chain.active = RuleList(chain.active.rules, bytearray(len(chain.active.rules)))
        assert results[0] == results[1]
        nft.batch(nft.delete_table(0))


def test_no_more_than_so_many_chains_look_at_a_point(nft: Nft) -> None:
    nft.batch(nft.table(), *(nft.chain(f"b{i}", INPUT) for i in range(1024)))
    assert nft.errors(nft.chain("one more", INPUT)) == [E2BIG]
    assert len(nft.dump(4)) == 1024


def test_chains_of_type_nat_are_bounded_as_well(nft: Nft) -> None:
    nft.batch(nft.table(), *(nft.chain(f"b{i}", POSTROUTING, kind="nat") for i in range(1024)))
    assert nft.errors(nft.chain("one more", POSTROUTING, kind="nat")) == [E2BIG]
    assert len(nft.dump(4)) == 1024
    nft.batch(nft.delete_chain("b7"), nft.chain("another", PREROUTING, kind="nat"))


def test_a_key_whose_time_is_up_becomes_new_again(nft: Nft) -> None:
    """However often that happens before somebody collects it."""
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.set("s", 0x30, 4))
    nft.batch(nft.rule("in", load(1, 12, 4), expression("dynset", text(1, "s") + be32(3, 0) + be32(4, 1) + be64(6, 1))))
    found = firewall_of(FIRST_NETWORK).tables[0].sets.by_name[b"s"][0]
    assert isinstance(found, DataSet)
    for _ in range(50):
        nft.verdict(WEB)
        processor.tsc += 5_000_000
    [element] = found.by_key.values()
    assert element.older is None and found.count == 1
    assert found.collector is not None and len(found.collector.queue) == 1
    pass_time(5)
    assert found.count == 0 and len(found.by_key) == 0 and len(found.shares) == 0


def test_what_packets_put_in_and_take_out_is_not_kept(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.set("s", 0x30, 4))
    for operation in (0, 2):
        how = be32(3, operation) + be32(4, 1) + (b"" if operation else be64(6, 60000))
        nft.batch(nft.rule("in", load(1, 12, 4), expression("dynset", text(1, "s") + how)))
    found = firewall_of(FIRST_NETWORK).tables[0].sets.by_name[b"s"][0]
    assert isinstance(found, DataSet)
    for _ in range(6000):
        nft.verdict(WEB)
    assert found.collector is not None and len(found.collector.queue) == 6000
    pass_time(1.2)
    assert len(found.collector.queue) == 0


def test_sets_are_listed_while_packets_change_them(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.set("s", 0x20, 4), nft.chain("out", OUTPUT))
    key = load(1, 12, 4)
    nft.batch(
        nft.rule("in", key, expression("dynset", text(1, "s") + be32(3, 0) + be32(4, 1))),
        nft.rule("out", key, expression("dynset", text(1, "s") + be32(3, 2) + be32(4, 1))),
    )
    sources = [bytes([10, 0, 0, i]) for i in range(250)]
    for each in sources[:200]:
        nft.verdict(udp(each, 1, B, 1))
    steps = iter([[(OUTPUT, i) for i in (1, *range(64, 128), 199)], [(OUTPUT, 140), (INPUT, 220), (INPUT, 70)]])

    def rest(instructions: int) -> None:
        for point, number in next(steps, []):
            nft.verdict(udp(sources[number], 1, B, 1), point)

    found = firewall_of(FIRST_NETWORK).tables[0].sets.by_name[b"s"][0]
    assert isinstance(found, DataSet)
    cursor = firewall_of(FIRST_NETWORK).cursor
    with monkeypatch.context() as patch:
        patch.setattr(sets, "pace_or_end", rest)
        listed = [each.key[3] for part in found.all_in(cursor).parts for each in part]
    kept = [i for i in range(200) if i not in (1, *range(64, 128), 140, 199)]
    assert listed == [i for i in range(200) if not 64 <= i < 128 and i != 199] + [220, 70]
    assert [each.key[3] for part in found.all_in(cursor).parts for each in part] == [*kept, 220, 70]
    assert len(found.shares) == 3 and found.count == len(kept) + 2


def test_what_wakes_up_looks_at_nothing_before_the_batch_ends(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT, policy=DROP), nft.chain("on", INPUT, policy=ACCEPT))
    nft.batch(nft.message(0, CREATE, 1, text(1, "t") + be32(2, 1)))
    seen: list[Verdict] = []

    def rest(instructions: int) -> None:
        seen.append(nft.verdict(WEB))

    with monkeypatch.context() as patch:
        patch.setattr(batch, "pace", rest)
        patch.setattr(batch.Batch, "_take_effect", take_effect := Marked(batch.Batch._take_effect, seen))
        nft.batch(nft.message(0, CREATE, 1, text(1, "t") + be32(2, 0)))
    before = seen[: take_effect.after]
    assert len(before) > 1 and set(before) == {Verdict.ACCEPT}
    assert set(seen[take_effect.after :]) == {Verdict.DROP}


@pytest.mark.parametrize("by_set", [False, True])
def test_packets_see_a_batch_as_a_whole(nft: Nft, monkeypatch: pytest.MonkeyPatch, by_set: bool) -> None:
    """At each safe point they find what was there before, or all that it made."""
    ask = expression("lookup", text(1, "s") + be32(2, 1))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.chain("c0"), nft.set("s", 4, 4), nft.rule("in", decide(JUMP, "c0")),
        nft.rule("in", load(1, 12, 4), ask, decide(DROP)),
    )  # fmt: skip
    ends = [value(1, A), value(1, A[:3] + b"\x0a") + be32(3, 1)]
    change = nft.elements("s", *ends) if by_set else nft.rule("c0", decide(DROP))
    seen: list[Verdict] = []
    with monkeypatch.context() as patch:
        patch.setattr(batch, "pace", lambda instructions: seen.append(nft.verdict(WEB)))
        patch.setattr(batch.Batch, "_take_effect", take_effect := Marked(batch.Batch._take_effect, seen))
        nft.batch(change)
    assert set(seen[: take_effect.after]) == {Verdict.ACCEPT} and set(seen[take_effect.after :]) == {Verdict.DROP}


def test_chains_are_registered_once_however_many_tables_there_are(nft: Nft, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Chain] = []
    monkeypatch.setattr(batch.Batch, "_register", lambda self, chain: looks.append(chain))
    tables_ = [nft.message(0, CREATE, 1, text(1, f"t{i}")) for i in range(50)]
    nft.batch(*tables_, *(nft.message(3, CREATE, 1, text(1, f"t{i}") + text(3, "c")) for i in range(50)))
    assert len(looks) == 50
    nft.batch(nft.message(2, 0, 0))


def test_an_error_of_one_request_is_not_anothers(nft: Nft) -> None:
    one, other = (Request(nft.message(3, 0, 1, text(1, "t") + text(3, "c")), 1, FIRST_NETWORK, None) for _ in range(2))
    Message(one).attributes.blame(3)
    Message(other).attributes.blame(1)
    assert (one.mistake, other.mistake) == (28, 20)


def test_answers_of_other_networks_leave_room_for_the_first(nft: Nft) -> None:
    others = [new_network(FIRST_USER) for _ in range(12)]
    for each in others:
        for _ in range(100):
            place = Place(each, FAMILY_IP4, INPUT)
            place.input = each.loopback
            answers.put_off(packet_of(WEB), place, answers.RESET)
    waiting = [firewall_of(each).answers for each in others]
    assert waiting[0] <= 32 and min(waiting) > 0  # whoever comes last has room, too
    place = Place(FIRST_NETWORK, FAMILY_IP4, INPUT)
    place.input = FIRST_NETWORK.loopback
    answers.put_off(packet_of(WEB), place, answers.RESET)
    assert firewall_of(FIRST_NETWORK).answers == 1
    while run_pending(monotonic_ns()):
        pass
    assert all(firewall_of(each).answers == 0 for each in (FIRST_NETWORK, *others))


def test_a_network_that_ends_takes_all_its_chains_and_sets_along(nft: Nft) -> None:
    network = new_network(FIRST_USER)
    network.acquire()
    other = Nft(network)
    other.batch(other.table(), *(other.chain(f"b{i}", INPUT) for i in range(300)), other.set("s", 0, 4))
    other.batch(other.elements("s", value(1, A)), *(other.rule("b7", counter()) for _ in range(400)))
    firewall = firewall_of(network)
    network.release()
    turns = 0
    while run_pending(monotonic_ns()):
        turns += 1
    assert turns > 3 and firewall.tables == [] and network.hooks4 is None and network.hooks6 is None


class Killed(Rest):
    """The caller is killed at the first safe point."""

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> None:
        self.taken += 1

    def is_dying(self) -> bool:
        return self.taken > 0


TWO_FIELDS = attribute(9, attribute(2, attribute(1, be32(1, 4)) + attribute(1, be32(1, 4))))


def ranged(number: int) -> bytes:
    """An element of two fields, each a range."""
    low = struct.pack(">II", 8 * number, 8 * number)
    high = struct.pack(">II", 8 * number + 5, 8 * number + 5)
    return value(1, low) + value(10, high)


@pytest.mark.parametrize("what", ["adding", "deleting", "listing", "rules"])
def test_a_killed_caller_is_gone_soon(nft: Nft, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """One message can ask for work that grows with the square of its length."""
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.set("s", 0x84, 8, more=TWO_FIELDS))
    nft.batch(nft.elements("s", *map(ranged, range(400))), *(nft.rule("in", counter()) for _ in range(300)))
    before = state_of(nft)
    killed = Killed()
    with monkeypatch.context() as patch:
        patch.setattr(PACE, "rest", killed)
        patch.setattr(PACE, "left", 10_000)
        if what == "adding":
            assert EINTR in nft.errors(nft.elements("s", *map(ranged, range(400, 600))))
        elif what == "deleting":
            assert EINTR in nft.errors(nft.elements("s", *map(ranged, range(200)), kind=14))
        elif what == "rules":
            assert EINTR in nft.errors(nft.delete_rule("in"))
        else:
            nft.send(nft.message(13, DUMP, 1, text(1, "t") + text(2, "s")))
    assert killed.taken < 6
    assert state_of(nft) == before


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

    monkeypatch.setattr(elements, "pace_or_end", rest)
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


def test_writes_to_the_link_header_that_reach_into_ip_count(nft: Nft) -> None:
    """Whoever looks at the packet next sees the addresses that it has then."""
    new = b"\x0a\7\7\7"
    write = expression("payload", be32(5, 1) + be32(2, 0) + be32(3, 14 + 12) + be32(4, 4))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.rule("in", expression("immediate", be32(1, 1) + value(2, new)), write),
    )  # fmt: skip
    packet = packet_of(WEB)
    packet.link_start = packet.network_start - 14
    place = Place(FIRST_NETWORK, FAMILY_IP4, INPUT)
    place.input = FIRST_NETWORK.loopback
    hooks = FIRST_NETWORK.hooks4
    assert hooks is not None and hooks.run(packet, place) == Verdict.ACCEPT
    assert packet.source == new and packet.destination == B


@pytest.mark.parametrize("shift", [1, 17, 31])
@pytest.mark.parametrize("operation", [1, 2], ids=["left", "right"])
def test_registers_are_shifted_as_one_number(nft: Nft, operation: int, shift: int) -> None:
    """The words of a number are in its registers, the highest first, each in the machine's byte order."""
    words = (0xFFFF_FFFE, 0x8000_0001)
    number = words[0] << 32 | words[1]
    shifted = number << shift if operation == 1 else number >> shift
    expected = [shifted >> 32 & 0xFFFF_FFFF, shifted & 0xFFFF_FFFF]
    given = b"".join(word.to_bytes(4, "little") for word in words)
    found = b"".join(word.to_bytes(4, "little") for word in expected)
    changed = expression(
        "bitwise",
        be32(1, 1) + be32(2, 1) + be32(3, 8) + be32(6, operation) + value(7, shift.to_bytes(4, "little")),
    )
    immediate = expression("immediate", be32(1, 1) + value(2, given))
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.rule("in", immediate, changed, compare(found), decide(DROP)))
    assert nft.verdict(WEB) == Verdict.DROP


@pytest.mark.parametrize("shift", [0, 32, 0xFFFF_FFFF])
def test_registers_are_shifted_by_1_to_31_bits(nft: Nft, shift: int) -> None:
    amount = be32(1, 1) + be32(2, 1) + be32(3, 4) + be32(6, 2) + value(7, shift.to_bytes(4, "little"))
    rule = nft.rule("in", expression("bitwise", amount))
    assert nft.errors(nft.table(), nft.chain("in", INPUT), rule) == [EINVAL]
