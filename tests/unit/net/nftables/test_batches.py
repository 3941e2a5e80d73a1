"""Batches of changes: all or nothing, what is shown of them, and what packets see."""

from __future__ import annotations

import struct

import pytest

from kernel.lang import EBUSY, EEXIST, EINVAL, EMLINK, ENOENT, EOPNOTSUPP, ERESTART
from kernel.net.link.hooks import Verdict
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.nftables.model import firewall_of
from kernel.net.nftables.sets import DataSet
from tests.unit.net.conftest import pass_time
from tests.unit.net.filter.gate import tcp, udp
from tests.unit.net.nftables.nft import (
    ACCEPT,
    ACK,
    APPEND,
    CREATE,
    DROP,
    EXCL,
    FORWARD,
    GOTO,
    INPUT,
    JUMP,
    OUTPUT,
    REPLACE,
    RETURN,
    Nft,
    attribute,
    attributes,
    be32,
    be64,
    compare,
    counter,
    decide,
    expression,
    listed,
    load,
    text,
    to_port,
    value,
    verdict,
)

A, B = b"\x0a\x00\x00\x09", b"\xc0\xa8\x00\x07"
WEB = tcp(A, 40000, B, 80, 2)
SSH = tcp(A, 40000, B, 22, 2)


def test_add_list_delete(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.rule("in", to_port(80), counter(), decide(DROP)))
    assert nft.verdict(WEB) == Verdict.DROP and nft.verdict(SSH) == Verdict.ACCEPT
    assert nft.verdict(WEB, OUTPUT) == Verdict.ACCEPT
    (table,) = nft.dump(1)
    assert table[1] == b"t\0" and table[3] == struct.pack(">I", 1)
    (chain,) = nft.dump(4)
    assert chain[3] == b"in\0" and chain[7] == b"filter\0" and chain[5] == struct.pack(">I", ACCEPT)
    assert attributes(chain[4]) == {1: struct.pack(">I", INPUT), 2: bytes(4)}
    (rule,) = nft.dump(7)
    names = [attributes(each)[1] for _, each in listed(rule[4])]
    assert names == [b"meta\0", b"cmp\0", b"payload\0", b"cmp\0", b"counter\0", b"immediate\0"]
    seen = attributes(attributes(listed(rule[4])[4][1])[2])
    assert seen == {1: struct.pack(">Q", len(WEB)), 2: struct.pack(">Q", 1)}
    nft.batch(nft.delete_table(name="t"))
    assert nft.dump(1) == [] and nft.verdict(WEB) == Verdict.ACCEPT


def test_a_batch_that_fails_leaves_nothing(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT))
    generation = firewall_of(FIRST_NETWORK).generation
    errors = nft.errors(
        nft.rule("in", decide(DROP)),
        nft.chain("other"),
        nft.rule("nowhere", decide(DROP)),
        nft.rule("in", expression("nonsense")),
    )
    assert errors == [ENOENT, ENOENT]
    assert nft.verdict(WEB) == Verdict.ACCEPT
    assert len(nft.dump(4)) == 1 and nft.dump(7) == []
    assert firewall_of(FIRST_NETWORK).generation == generation


def test_mistakes_are_located(nft: Nft) -> None:
    message = nft.chain("in", INPUT)
    (answer,) = nft.send(nft.framed(message))
    assert answer.flags & 0x200 != 0
    assert attributes(answer.body[4 + len(message) :]) == {2: struct.pack("<I", 20)}


def test_acknowledgments_come_in_order(nft: Nft) -> None:
    first = nft.table(flags=CREATE | ACK)
    second = nft.message(3, CREATE | ACK, 1, text(1, "t") + text(3, "c"))
    answers = nft.send(nft.framed(first, second))
    assert [struct.unpack_from("<i", each.body)[0] for each in answers] == [0, 0]
    assert [each.sequence for each in answers] == [1, 2]


def test_generations(nft: Nft) -> None:
    generation = firewall_of(FIRST_NETWORK).generation
    (answer,) = nft.send(nft.message(16, 0, 0))
    assert attributes(answer.body[4:])[1] == struct.pack(">I", generation)
    assert nft.errors(nft.table(), generation=generation + 1) == [ERESTART]
    assert nft.errors(nft.table(), generation=generation) == []
    assert firewall_of(FIRST_NETWORK).generation == generation + 1


def test_a_batch_without_an_end_is_dropped(nft: Nft) -> None:
    data = nft.framed(nft.table())
    assert nft.send(data[:-20]) == []
    assert nft.dump(1) == []


def test_places_of_rules(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("c"), nft.rule("c", decide(DROP)), nft.rule("c", decide(ACCEPT)))
    first, second = [int.from_bytes(rule[3], "big") for rule in nft.dump(7)]
    nft.batch(nft.rule("c", counter(), flags=CREATE))
    nft.batch(nft.rule("c", counter(), more=be64(6, first)))
    nft.batch(nft.rule("c", counter(), flags=CREATE, more=be64(6, second)))
    nft.batch(nft.rule("c", counter(), flags=REPLACE, more=be64(3, first)))
    shown = nft.dump(7)
    handles = [int.from_bytes(rule[3], "big") for rule in shown]
    assert handles == [second + 1, first, second + 2, second + 3, second]
    assert 6 not in shown[0] and int.from_bytes(shown[1][6], "big") == handles[0]
    nft.batch(nft.delete_rule("c", second))
    assert nft.errors(nft.delete_rule("c", second)) == [ENOENT]
    nft.batch(nft.delete_rule("c"))
    assert nft.dump(7) == []


def test_jumps_and_returns(nft: Nft) -> None:
    nft.batch(
        nft.table(), nft.chain("a"), nft.chain("b"), nft.chain("in", INPUT, policy=DROP),
        nft.rule("a", to_port(80), decide(ACCEPT)), nft.rule("a", decide(GOTO, "b")),
        nft.rule("b", to_port(22), decide(RETURN)), nft.rule("b", decide(DROP)),
        nft.rule("in", decide(JUMP, "a")), nft.rule("in", decide(ACCEPT)),
    )  # fmt: skip
    assert nft.verdict(WEB) == Verdict.ACCEPT
    assert nft.verdict(SSH) == Verdict.ACCEPT  # back to `in`
    assert nft.verdict(udp(A, 1, B, 53)) == Verdict.DROP
    assert nft.errors(nft.delete_chain("b")) == [EBUSY]
    nft.batch(nft.delete_rule("a"), nft.delete_chain("b"))


def test_circles_and_long_ways_are_refused(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.chain("a"), nft.chain("b"))
    errors = nft.errors(
        nft.rule("in", decide(JUMP, "a")), nft.rule("a", decide(JUMP, "b")), nft.rule("b", decide(JUMP, "a"))
    )
    assert errors == [EMLINK]
    chains = [nft.chain(f"c{i}") for i in range(17)]
    rules = [nft.rule(f"c{i}", decide(JUMP, f"c{i + 1}")) for i in range(14)]
    nft.batch(*chains, *rules, nft.rule("in", decide(JUMP, "c0")))
    assert nft.errors(nft.rule("c14", decide(JUMP, "c15"))) == [EMLINK]


def test_many_ways_through_chains_are_checked_in_time(nft: Nft) -> None:
    chains = [nft.chain(f"c{i}") for i in range(15)]
    rules = [nft.rule(f"c{i}", decide(JUMP, f"c{i + 1}")) for i in range(14) for _ in range(4)]
    nft.batch(nft.table(), nft.chain("in", INPUT), *chains, *rules, nft.rule("in", decide(JUMP, "c0")))


def test_policies_change_with_the_batch(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT))
    policy = nft.message(3, 0, 1, text(1, "t") + text(3, "in") + be32(5, DROP))
    assert nft.errors(policy, nft.rule("nowhere", decide(DROP))) == [ENOENT]
    assert nft.verdict(WEB) == Verdict.ACCEPT
    nft.batch(policy)
    assert nft.verdict(WEB) == Verdict.DROP


def test_what_exists(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT))
    nft.batch(nft.table())
    assert nft.errors(nft.table(flags=CREATE | EXCL)) == [EEXIST]
    assert nft.errors(nft.chain("in", FORWARD)) == [EOPNOTSUPP]
    assert nft.errors(nft.table(family=3)) == [EOPNOTSUPP]
    assert nft.errors(nft.chain("x", INPUT, kind="route")) == [EOPNOTSUPP]
    assert nft.errors(nft.chain("x", INPUT, kind="other")) == [ENOENT]
    assert nft.errors(nft.message(3, CREATE, 1, text(1, "t") + text(3, "y") + be32(5, DROP))) == [EOPNOTSUPP]
    assert nft.errors(nft.rule("in", decide(DROP), flags=0)) == [EINVAL]


def test_a_table_sleeps(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT, policy=DROP))
    nft.batch(nft.message(0, 0, 1, text(1, "t") + be32(2, 1)))
    assert nft.verdict(WEB) == Verdict.ACCEPT
    nft.batch(nft.message(0, 0, 1, text(1, "t") + be32(2, 0)))
    assert nft.verdict(WEB) == Verdict.DROP


# ---- Sets -----------------------------------------------------------------------------------------------------------


def key(data: bytes, more: bytes = b"") -> bytes:
    return value(1, data) + more


def ip(text_: str) -> bytes:
    return bytes(int(part) for part in text_.split("."))


def lookup(name: str, register: int = 1, more: bytes = b"") -> bytes:
    return expression("lookup", text(1, name) + be32(2, register) + more)


SOURCE = load(1, 12, 4)


def test_a_set_and_its_elements(nft: Nft) -> None:
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 0, 4), nft.elements("s", key(A)),
        nft.rule("in", SOURCE, lookup("s"), decide(DROP)),
    )  # fmt: skip
    assert nft.verdict(WEB) == Verdict.DROP and nft.verdict(tcp(B, 1, A, 80, 2)) == Verdict.ACCEPT
    nft.batch(nft.elements("s", key(B)), nft.elements("s", key(A), kind=14))
    assert nft.verdict(WEB) == Verdict.ACCEPT and nft.verdict(tcp(B, 1, A, 80, 2)) == Verdict.DROP
    shown, _ = nft.dump(13, 1, text(1, "t") + text(2, "s"))
    assert [attributes(attributes(each)[1])[1] for _, each in listed(shown[3])] == [B]
    assert nft.errors(nft.elements("s", key(B), flags=CREATE | EXCL)) == [EEXIST]
    assert nft.errors(nft.elements("s", key(A), kind=14)) == [ENOENT]
    assert nft.errors(nft.message(11, 0, 1, text(1, "t") + text(2, "s"))) == [EBUSY]
    flush = nft.message(14, 0, 1, text(1, "t") + text(2, "s"))
    nft.batch(flush, nft.elements("s", key(B)))
    assert nft.verdict(tcp(B, 1, A, 80, 2)) == Verdict.DROP
    nft.batch(flush)
    assert nft.verdict(tcp(B, 1, A, 80, 2)) == Verdict.ACCEPT


def test_intervals(nft: Nft) -> None:
    def between(first: str, end: str) -> tuple[bytes, bytes]:
        return key(ip(first)), key(ip(end), be32(3, 1))

    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 4, 4),
        nft.elements("s", *between("10.0.0.0", "10.0.0.10"), *between("10.0.0.10", "10.0.0.12")),
        nft.rule("in", SOURCE, lookup("s"), decide(DROP)),
    )  # fmt: skip

    def drops(address: str) -> bool:
        return nft.verdict(tcp(ip(address), 1, B, 80, 2)) == Verdict.DROP

    assert [drops(f"10.0.0.{i}") for i in (0, 9, 10, 11, 12)] == [True] * 4 + [False]
    assert not drops("9.255.255.255")
    assert nft.errors(nft.elements("s", *between("10.0.0.5", "10.0.0.6"))) == [EEXIST]
    assert nft.errors(nft.elements("s", *between("9.0.0.0", "10.0.0.5"))) == [EEXIST]
    assert nft.errors(nft.elements("s", *between("9.0.0.0", "11.0.0.0"))) == [EEXIST]
    nft.batch(nft.elements("s", *between("10.0.0.0", "10.0.0.10"), kind=14))
    assert not drops("10.0.0.9") and drops("10.0.0.10")


def test_ranges_of_fields(nft: Nft) -> None:
    fields = attribute(9, attribute(2, attribute(1, be32(1, 4)) + attribute(1, be32(1, 2))))
    first, last = ip("10.0.0.0") + b"\0\x50\0\0", ip("10.0.0.255") + b"\0\x5a\0\0"
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 0x84, 8, more=fields),
        nft.elements("s", key(first) + value(10, last)),
        nft.rule("in", load(1, 12, 4, 1), load(2, 2, 2, 9), lookup("s"), decide(DROP)),
    )  # fmt: skip
    assert nft.verdict(tcp(ip("10.0.0.7"), 1, B, 85, 2)) == Verdict.DROP
    assert nft.verdict(tcp(ip("10.0.0.7"), 1, B, 91, 2)) == Verdict.ACCEPT
    assert nft.verdict(tcp(ip("10.0.1.7"), 1, B, 85, 2)) == Verdict.ACCEPT


def test_maps_of_verdicts(nft: Nft) -> None:
    kinds = be32(6, 0xFFFF_FF00) + be32(7, 16)
    jump = key(b"\0\x50", attribute(2, verdict(JUMP, "web")))
    nft.batch(
        nft.table(), nft.chain("web"), nft.chain("in", INPUT), nft.rule("web", decide(DROP)),
        nft.set("m", 8, 2, more=kinds), nft.elements("m", jump),
        nft.rule("in", load(2, 2, 2), lookup("m", more=be32(3, 0))),
    )  # fmt: skip
    assert nft.verdict(WEB) == Verdict.DROP and nft.verdict(SSH) == Verdict.ACCEPT
    assert nft.errors(nft.delete_chain("web")) == [EBUSY]
    circle = nft.rule("web", load(2, 2, 2), lookup("m", more=be32(3, 0)))
    assert nft.errors(circle) == [EMLINK]
    nft.batch(nft.elements("m", key(b"\0\x50"), kind=14), nft.delete_chain("web"))


def test_sets_of_a_rule_go_with_it(nft: Nft) -> None:
    anonymous = nft.set("__set%d", 3, 4, number=9)
    entries = nft.message(
        12, CREATE, 1, text(1, "t") + text(2, "__set%d") + be32(4, 9) + attribute(3, attribute(1, key(A)))
    )
    rule = nft.rule("in", SOURCE, lookup("__set%d", more=be32(4, 9)), decide(DROP))
    nft.batch(nft.table(), nft.chain("in", INPUT), anonymous, entries, rule)
    assert nft.verdict(WEB) == Verdict.DROP
    assert len(nft.dump(10)) == 1
    nft.batch(nft.delete_rule("in"))
    assert nft.dump(10) == []
    assert nft.errors(anonymous) == [EINVAL]  # nobody uses it


def test_packets_add_to_sets(nft: Nft) -> None:
    size = attribute(9, be32(1, 2))
    add = expression("dynset", text(1, "s") + be32(3, 0) + be32(4, 1))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.set("s", 0x20, 4, more=size), nft.rule("in", SOURCE, add, decide(DROP))
    )
    verdicts = [nft.verdict(tcp(bytes([10, 0, 0, i]), 1, B, 80, 2)) for i in (1, 1, 2, 3)]
    assert verdicts == [Verdict.DROP] * 3 + [Verdict.ACCEPT]  # the third has no room


def test_elements_have_their_time(nft: Nft) -> None:
    add = expression("dynset", text(1, "s") + be32(3, 1) + be32(4, 1) + be64(6, 5000))
    nft.batch(
        nft.table(), nft.chain("in", INPUT), nft.chain("out", OUTPUT), nft.set("s", 0x30, 4),
        nft.rule("in", SOURCE, add),
        nft.elements("s", key(B, be64(4, 2000))), nft.rule("out", SOURCE, lookup("s"), decide(DROP)),
    )  # fmt: skip
    other = tcp(B, 1, A, 80, 2)
    nft.verdict(WEB)
    assert nft.verdict(WEB, OUTPUT) == nft.verdict(other, OUTPUT) == Verdict.DROP
    pass_time(3)
    assert nft.verdict(other, OUTPUT) == Verdict.ACCEPT and nft.verdict(WEB, OUTPUT) == Verdict.DROP
    (found,) = [each for each in firewall_of(FIRST_NETWORK).tables[0].sets.by_name[b"s"] if isinstance(each, DataSet)]
    assert found.count == 1
    nft.verdict(WEB)  # lives longer
    pass_time(4)
    assert nft.verdict(WEB, OUTPUT) == Verdict.DROP
    pass_time(3)
    assert nft.verdict(WEB, OUTPUT) == Verdict.ACCEPT and found.count == 0 and len(found.by_key) == 0


def test_named_counters(nft: Nft) -> None:
    made = nft.message(18, CREATE, 1, text(1, "t") + text(2, "n") + be32(3, 1) + attribute(4, b""))
    use = expression("objref", be32(1, 1) + text(2, "n"))
    nft.batch(nft.table(), nft.chain("in", INPUT), made, nft.rule("in", use))
    nft.verdict(WEB)
    (shown,) = nft.dump(19)
    assert attributes(shown[4])[2] == struct.pack(">Q", 1) and shown[5] == struct.pack(">I", 1)
    assert nft.errors(nft.message(20, 0, 1, text(1, "t") + text(2, "n") + be32(3, 1))) == [EBUSY]


def test_limits(nft: Nft) -> None:
    limit = expression("limit", be64(1, 1) + be64(2, 60) + be32(3, 3))
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.rule("in", limit, decide(DROP)))
    verdicts = [nft.verdict(WEB) for _ in range(5)]
    assert verdicts == [Verdict.DROP] * 3 + [Verdict.ACCEPT] * 2


def test_translation_belongs_to_its_chains(nft: Nft) -> None:
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.chain("post", 4, 100, kind="nat"))
    assert nft.errors(nft.rule("in", expression("masq"))) == [EOPNOTSUPP]
    nft.batch(nft.rule("post", expression("masq")))


def test_states_of_connections(nft: Nft) -> None:
    state = expression("ct", be32(2, 0) + be32(1, 1))
    invalid = expression("bitwise", be32(1, 1) + be32(2, 1) + be32(3, 4) + value(4, b"\1\0\0\0") + value(5, bytes(4)))
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.rule("in", state, invalid, compare(bytes(4), 1), decide(DROP)))
    assert nft.verdict(WEB) == Verdict.DROP  # it did not pass PREROUTING
    nft.batch(nft.delete_rule("in"))
    assert FIRST_NETWORK.hooks4 is not None and FIRST_NETWORK.hooks4.want_whole == 0


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_cut_messages_do_no_harm(nft: Nft, cut: int) -> None:
    whole = nft.rule("in", to_port(80), lookup("s"), counter(), decide(JUMP, "x"))
    nft.batch(nft.table(), nft.chain("in", INPUT), nft.set("s", 0, 2))
    body = whole[16:-cut]
    message = struct.pack("<IHHII", 16 + len(body), 10 << 8 | 6, CREATE | APPEND | 1, 1, 0) + body
    nft.errors(message + bytes(-len(message) % 4))


@pytest.mark.parametrize("names", [("x", "y"), ("y", "x")])
def test_a_chain_takes_the_name_of_one_that_goes(nft: Nft, names: tuple[str, str]) -> None:
    nft.batch(nft.table(), nft.chain(names[0], INPUT), nft.chain(names[1], INPUT))
    chains = firewall_of(FIRST_NETWORK).tables[0].chains
    (staying,) = chains.by_name[b"y"]
    rename = nft.message(3, 0, 1, text(1, "t") + be64(2, staying.handle) + text(3, "x"))
    assert nft.errors(nft.delete_chain("x"), rename) == []
    assert chains.by_name == {b"x": [staying]} and chains.count == 1
    nft.batch(nft.delete_chain("x"))
    assert chains.by_name == {}


def test_rules_are_numbered_for_their_chain(nft: Nft) -> None:
    """A rule that another chain has is no place in this one, though both have the same handle."""
    nft.batch(nft.table(), nft.chain("a"))
    chain = nft.message(3, CREATE, 1, text(1, "u") + text(3, "b"))
    rule = text(1, "u") + text(2, "b") + attribute(4, counter())
    nft.batch(nft.table("u"), chain, nft.message(6, CREATE | APPEND, 1, rule))
    first = nft.rule("a", counter(), more=be32(9, 77))
    assert nft.errors(first, nft.message(6, CREATE | APPEND, 1, rule + be32(10, 77))) == [ENOENT]
    numbered = text(1, "u") + text(2, "b") + be32(9, 77)
    assert nft.errors(nft.rule("a", counter(), more=be32(9, 77)), nft.message(8, 0, 1, numbered)) == [ENOENT]
