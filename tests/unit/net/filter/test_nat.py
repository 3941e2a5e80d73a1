"""Translation: what comes out, what comes back, and that no two connections meet."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.net.filter.access import STATE_ESTABLISHED, STATE_RELATED
from kernel.net.filter.connection import STATUS_DST_NAT, STATUS_SRC_NAT, STATUS_SRC_NAT_DONE
from kernel.net.filter.nat_chains import SWEEPER
from kernel.net.filter.translation import (
    NAT_FULLY_RANDOM,
    NAT_OFFSET,
    NAT_PERSISTENT,
    NAT_PREFIX,
    NAT_RANDOM,
    NatRequest,
    masquerade,
    redirect,
)
from kernel.net.internet.addresses import delete_address
from kernel.net.link.checksum import pseudo_header
from kernel.net.link.device import NetworkDevice, bring_down, bring_up
from kernel.net.link.hooks import (
    FAMILY_IP4,
    FAMILY_IP6,
    FORWARD,
    INPUT,
    OUTPUT,
    POSTROUTING,
    PREROUTING,
    Place,
    Verdict,
    hooks_of,
)
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, Packet
from kernel.time import monotonic_ns
from tests.unit.net.conftest import Wire, give_address, pass_time
from tests.unit.net.filter.gate import (
    FORWARDED,
    Gate,
    Rule,
    addresses_in,
    check_table,
    echo,
    error,
    has_right_sums,
    header_length,
    packet_of,
    ports_in,
    protocol_in,
    request_for,
    tcp,
    udp,
)

INSIDE, OTHER, SERVER = b"\x0a\x00\x00\x09", b"\x0a\x00\x00\x0a", b"\xc0\xa8\x00\x07"
OUTSIDE, SERVICE = b"\xc6\x33\x64\x01", b"\x0a\x00\x00\x50"
INSIDE6, SERVER6, OUTSIDE6 = (bytes([0x20, 1, 0, n]) + bytes(11) + b"\x01" for n in (1, 2, 3))
SYN, ACK = 2, 16
SECONDS = 30


class Masquerade(Rule):
    def decide(self, packet: Packet, place: Place) -> Verdict:
        return masquerade(packet, place, self.request)


class Redirect(Rule):
    def decide(self, packet: Packet, place: Place) -> Verdict:
        return redirect(packet, place, self.request)


def answer_to(data: bytes) -> bytes:
    """What the host that got this sends back."""
    source, destination = addresses_in(data)
    protocol = protocol_in(data)
    at = header_length(data)
    if protocol == 17:
        port, to = ports_in(data)
        return udp(destination, to, source, port, b"answer")
    if protocol == 6:
        port, to = ports_in(data)
        return tcp(destination, to, source, port, SYN | ACK, 5, int.from_bytes(data[at + 4 : at + 8], "big") + 1)
    identifier = int.from_bytes(data[at + 4 : at + 6], "big")
    return echo(destination, source, identifier, 0 if len(source) == 4 else 129)


@pytest.mark.parametrize(
    "question",
    [
        udp(INSIDE, 5000, SERVER, 53),
        tcp(INSIDE, 5000, SERVER, 80, SYN),
        echo(INSIDE, SERVER, 77),
        udp(INSIDE6, 5000, SERVER6, 53),
        tcp(INSIDE6, 5000, SERVER6, 80, SYN),
        echo(INSIDE6, SERVER6, 77),
    ],
)
def test_the_source_is_another_outside_and_answers_come_back(gate: Gate, question: bytes) -> None:
    is_ip4 = question[0] >> 4 == 4
    outside, inside, server = (OUTSIDE, INSIDE, SERVER) if is_ip4 else (OUTSIDE6, INSIDE6, SERVER6)
    rule = Rule(request_for(outside, to_source=True))
    gate.add(POSTROUTING, rule, FAMILY_IP4 if is_ip4 else FAMILY_IP6)
    sent = gate.through(question)
    assert addresses_in(sent) == (outside, server)
    assert has_right_sums(sent) and header_length(sent) == header_length(question)
    answer = gate.through(answer_to(sent))
    assert addresses_in(answer) == (server, inside)
    assert has_right_sums(answer)
    assert gate.through(question) == sent
    assert rule.asked == 1
    assert gate.table.first is not None and gate.table.first.has(STATUS_SRC_NAT)
    # An error about it, from a router outside, comes to the one inside, and quotes what that had sent.
    failure = gate.through(error(server, outside, sent))
    assert addresses_in(failure) == (server, inside) and has_right_sums(failure)
    assert failure[header_length(failure) + 8 :] == question[:200]
    check_table(gate.table)


def test_the_destination_is_another_inside(gate: Gate) -> None:
    gate.add(PREROUTING, Rule(request_for(SERVICE, ports=(8080, 8080), to_source=False), only_to=OUTSIDE))
    received = gate.through(tcp(SERVER, 4000, OUTSIDE, 80, SYN))
    assert addresses_in(received) == (SERVER, SERVICE) and ports_in(received) == (4000, 8080)
    assert has_right_sums(received)
    answer = gate.through(answer_to(received))
    assert addresses_in(answer) == (OUTSIDE, SERVER) and ports_in(answer) == (80, 4000)
    assert has_right_sums(answer)
    assert gate.table.first is not None and gate.table.first.has(STATUS_DST_NAT)
    failure = gate.through(error(SERVICE, SERVER, received))
    assert addresses_in(failure) == (OUTSIDE, SERVER) and has_right_sums(failure)
    assert failure[28:] == tcp(SERVER, 4000, OUTSIDE, 80, SYN)[:200]


def test_both_ends_are_others(gate: Gate) -> None:
    gate.add(PREROUTING, Rule(request_for(SERVICE, to_source=False), only_to=OUTSIDE))
    gate.add(POSTROUTING, Rule(request_for(OTHER, to_source=True), only_to=SERVICE))
    question = udp(INSIDE, 5000, OUTSIDE, 53)
    sent = gate.through(question)
    assert addresses_in(sent) == (OTHER, SERVICE) and has_right_sums(sent)
    answer = gate.through(answer_to(sent))
    assert addresses_in(answer) == (OUTSIDE, INSIDE) and has_right_sums(answer)
    failure = gate.through(error(SERVER, OTHER, sent))
    assert addresses_in(failure)[1] == INSIDE and failure[28:] == question and has_right_sums(failure)


def test_two_hosts_with_one_port_get_two(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    first = gate.through(udp(INSIDE, 5000, SERVER, 53))
    second = gate.through(udp(OTHER, 5000, SERVER, 53))
    assert ports_in(first) == (5000, 53)
    assert ports_in(second)[0] >= 1024 and ports_in(second)[0] != 5000
    assert addresses_in(gate.through(answer_to(second)))[1] == OTHER
    assert addresses_in(gate.through(answer_to(first)))[1] == INSIDE


@pytest.mark.parametrize(("port", "least", "most"), [(100, 1, 511), (600, 600, 1023), (1024, 1024, 65535)])
def test_ports_stay_in_their_class(gate: Gate, port: int, least: int, most: int) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    for host in range(20):
        sent = gate.through(udp(b"\x0a\x01\x00" + bytes([host]), port, SERVER, 53))
        assert least <= ports_in(sent)[0] <= most
    check_table(gate.table)


def test_a_source_keeps_its_port_for_other_destinations(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    gate.through(udp(INSIDE, 5000, SERVER, 53))
    first = ports_in(gate.through(udp(OTHER, 5000, SERVER, 53)))[0]
    for last in range(20):
        assert ports_in(gate.through(udp(OTHER, 5000, SERVER[:3] + bytes([100 + last]), 53)))[0] == first


def test_without_rules_that_match_clashes_are_avoided_too(gate: Gate) -> None:
    gate.add(PREROUTING, Rule(request_for(SERVICE, to_source=False), only_to=OUTSIDE))
    gate.through(udp(INSIDE, 5000, OUTSIDE, 53))
    second = gate.through(udp(INSIDE, 5000, SERVICE, 53))
    assert ports_in(second)[0] != 5000
    check_table(gate.table)
    assert addresses_in(gate.through(answer_to(second))) == (SERVICE, INSIDE)


def test_when_ports_run_out_the_packet_is_dropped(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, ports=(7000, 7009), to_source=True)))
    ports = set()
    for host in range(10):
        ports.add(ports_in(gate.through(udp(b"\x0a\x01\x00" + bytes([host]), 5000, SERVER, 53)))[0])
    assert ports == set(range(7000, 7010))
    assert gate.forward(udp(INSIDE, 5000, SERVER, 53)) is None
    assert gate.table.statistics.insert_failed == 1 and gate.table.count == 10
    check_table(gate.table)


def test_a_closed_connection_makes_place(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, ports=(7000, 7000), to_source=True), only_from=INSIDE))
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, ports=(7000, 7000), to_source=True), only_from=OTHER))
    sent = gate.through(tcp(INSIDE, 5000, SERVER, 80, SYN, 10))
    gate.through(answer_to(sent))
    gate.through(tcp(INSIDE, 5000, SERVER, 80, ACK, 11, 6))
    gate.through(tcp(INSIDE, 5000, SERVER, 80, ACK | 4, 11, 6))
    assert gate.table.count == 1
    assert ports_in(gate.through(tcp(OTHER, 5000, SERVER, 80, SYN, 10)))[0] == 7000
    assert gate.table.count == 1
    assert gate.forward(tcp(INSIDE, 5000, SERVER, 80, SYN, 10)) is None  # the other has not been closed
    check_table(gate.table)


def test_random_ports(gate: Gate) -> None:
    for flags in (NAT_RANDOM, NAT_FULLY_RANDOM):
        gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True, flags=flags)))
        sent = [gate.through(udp(INSIDE, 5000, SERVER, flags * 100 + to)) for to in range(20)]
        ports = {ports_in(data)[0] for data in sent}
        assert len(ports) > 15 and all(port >= 1024 for port in ports)


def test_ports_shift_by_an_offset(gate: Gate) -> None:
    request = request_for(SERVICE, ports=(8000, 8099), to_source=False, flags=NAT_OFFSET)
    request.base_port = 1000
    gate.add(PREROUTING, Rule(request))
    assert ports_in(gate.through(udp(SERVER, 9, OUTSIDE, 1042)))[1] == 8042


def test_a_prefix_is_exchanged(gate: Gate) -> None:
    gate.add(
        POSTROUTING,
        Rule(request_for(b"\xc6\x33\x64\x00", b"\xc6\x33\x64\xff", to_source=True, flags=NAT_PREFIX)),
    )
    for last in (0, 9, 255):
        sent = gate.through(udp(INSIDE[:3] + bytes([last]), 5000, SERVER, 53))
        assert addresses_in(sent)[0] == b"\xc6\x33\x64" + bytes([last]) and ports_in(sent)[0] == 5000


def test_a_range_of_addresses_is_spread_and_persistence_keeps_one_for_a_host(gate: Gate) -> None:
    first, last = b"\xc6\x33\x64\x10", b"\xc6\x33\x64\x1f"
    request = request_for(first, last, to_source=True)
    gate.add(POSTROUTING, Rule(request))
    used = {addresses_in(gate.through(udp(INSIDE, 5000 + n, b"\xc0\xa8\x01" + bytes([n]), 53)))[0] for n in range(60)}
    assert len(used) > 5 and all(first <= address <= last for address in used)
    request.flags |= NAT_PERSISTENT
    used = {addresses_in(gate.through(udp(OTHER, 5000 + n, b"\xc0\xa8\x01" + bytes([n]), 53)))[0] for n in range(60)}
    assert len(used) == 1


def test_ranges_of_ip6_addresses(gate: Gate) -> None:
    first, last = OUTSIDE6[:8] + bytes(8), OUTSIDE6[:8] + b"\xff" * 8
    gate.add(POSTROUTING, Rule(request_for(first, last, to_source=True)), FAMILY_IP6)
    used = set()
    for n in range(30):
        sent = gate.through(udp(INSIDE6[:15] + bytes([n]), 5000, SERVER6, 53))
        used.add(addresses_in(sent)[0])
        assert has_right_sums(sent)
    assert len(used) > 20 and all(first <= address <= last for address in used)


def test_partial_sums_follow_addresses_alone(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, ports=(9000, 9000), to_source=True)))
    for checksum, points in ((CHECKSUM_PARTIAL, (OUTPUT, POSTROUTING)), (CHECKSUM_VERIFIED, FORWARDED)):
        packet = packet_of(udp(INSIDE, 5000, SERVER, 53 + checksum))
        packet.checksum = checksum
        packet.checksum_start = packet.start + 20
        packet.checksum_offset = 6
        packet.span().store_be16(26, pseudo_header(INSIDE, SERVER, 17, len(packet) - 20))
        assert gate.pass_packet(packet, points)
        assert packet.source == OUTSIDE
        assert packet.span().load_be16(26) == pseudo_header(OUTSIDE, SERVER, 17, len(packet) - 20)
        assert ports_in(packet.span().to_bytes())[0] == 9000


def test_udp_without_a_sum_stays_without(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    question = bytearray(udp(INSIDE, 5000, SERVER, 53))
    question[26:28] = bytes(2)
    sent = gate.through(bytes(question))
    assert addresses_in(sent)[0] == OUTSIDE and sent[26:28] == bytes(2) and has_right_sums(sent)


def test_output_asks_for_a_new_way(gate: Gate) -> None:
    gate.add(OUTPUT, Rule(request_for(SERVICE, to_source=False), only_to=SERVER))
    for destination, is_asked in ((SERVER, True), (OUTSIDE, False)):
        packet = packet_of(udp(INSIDE, 5000, destination, 53))
        place = Place(FIRST_NETWORK, FAMILY_IP4, OUTPUT)
        hooks = hooks_of(FIRST_NETWORK, FAMILY_IP4)
        assert hooks is not None and hooks.run(packet, place) == Verdict.ACCEPT
        assert place.reroute == is_asked
        assert packet.destination == (SERVICE if is_asked else OUTSIDE)


def test_a_packet_on_loopback_is_translated_once(gate: Gate) -> None:
    gate.add(OUTPUT, Rule(request_for(SERVICE, ports=(90, 90), to_source=False), only_to=SERVER))
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    packet = packet_of(udp(INSIDE, 5000, SERVER, 53))
    assert gate.pass_packet(packet, (OUTPUT, POSTROUTING))
    sent = packet.span().to_bytes()
    assert gate.pass_packet(packet, (PREROUTING, INPUT))
    assert packet.span().to_bytes() == sent and has_right_sums(sent)
    assert addresses_in(sent) == (OUTSIDE, SERVICE) and ports_in(sent) == (5000, 90)
    back = gate.through(answer_to(sent), (OUTPUT, POSTROUTING))
    assert addresses_in(back) == (SERVER, INSIDE) and ports_in(back) == (53, 5000)


def test_connections_from_before_the_first_chain_stay_as_they_are(gate: Gate) -> None:
    gate.use()
    gate.through(udp(INSIDE, 5000, SERVER, 53))
    rule = Rule(request_for(OUTSIDE, to_source=True))
    gate.add(POSTROUTING, rule)
    assert addresses_in(gate.through(udp(INSIDE, 5000, SERVER, 53)))[0] == INSIDE
    assert gate.table.first is not None and not gate.table.first.has(STATUS_SRC_NAT_DONE)


def test_chains_are_asked_by_priority_until_one_decides(gate: Gate) -> None:
    second, first = Rule(request_for(OUTSIDE, to_source=True)), Rule(request_for(OTHER, to_source=True))
    first.priority = -10
    gate.add(POSTROUTING, second)
    gate.add(POSTROUTING, first)
    assert addresses_in(gate.through(udp(INSIDE, 5000, SERVER, 53)))[0] == OTHER
    assert (first.asked, second.asked) == (1, 0)


# ---- Masquerade and redirect ------------------------------------------------------------------------------------

OURS = b"\x0a\x00\x00\x01"


def leave(gate: Gate, data: bytes, device: NetworkDevice) -> bytes | None:
    return gate.forward(data, out=device)


def test_masquerade_takes_the_address_of_the_output_device(gate: Gate, wire: Wire) -> None:
    gate.add(POSTROUTING, Masquerade(NatRequest(to_source=True)))
    inside = b"\xac\x10\x00\x05"
    sent = leave(gate, udp(inside, 5000, b"\x0a\x00\x00\x02", 53), wire)
    assert sent is not None and addresses_in(sent) == (OURS, b"\x0a\x00\x00\x02") and has_right_sums(sent)
    assert addresses_in(gate.through(answer_to(sent)))[1] == inside
    assert leave(gate, udp(inside, 5000, b"\x0a\x00\x00\x02", 53), wire) == sent
    other = Wire()
    assert leave(gate, udp(inside, 5000, b"\x0a\x00\x00\x02", 53), other) is None
    assert gate.table.count == 0


def test_masqueraded_connections_end_with_device_or_address(gate: Gate, wire: Wire) -> None:
    gate.add(POSTROUTING, Masquerade(NatRequest(to_source=True), only_from=b"\xac\x10\x00\x05"))
    extra = give_address(wire, b"\x0a\x09\x00\x01", 24)

    def fill() -> None:
        gate.through(udp(SERVER, 1, OTHER, 2))
        for port in range(300):
            assert leave(gate, udp(b"\xac\x10\x00\x05", 5000 + port, b"\x0a\x00\x00\x02", 53), wire) is not None
            assert leave(gate, udp(b"\xac\x10\x00\x05", 5000 + port, b"\x0a\x09\x00\x02", 53), wire) is not None
        assert gate.table.count == 601

    fill()
    delete_address(extra)
    SWEEPER.run(0)
    assert 301 < gate.table.count < 601
    for _ in range(5):
        SWEEPER.run(0)
    assert gate.table.count == 301 and SWEEPER.sweeps == []
    for _ in range(3):
        bring_down(wire)
        bring_up(wire)
    assert leave(gate, udp(b"\xac\x10\x00\x05", 1, b"\x0a\x00\x00\x02", 53), wire) is not None
    for _ in range(9):
        SWEEPER.run(0)
    assert gate.table.count == 2 and len(gate.table.cursors) == 1
    check_table(gate.table)


def test_redirect_leads_to_this_host(gate: Gate, wire: Wire) -> None:
    request = request_for(b"", ports=(3128, 3128), to_source=False)
    gate.add(PREROUTING, Redirect(request))
    gate.add(OUTPUT, Redirect(request))
    packet = packet_of(tcp(OTHER, 5000, SERVER, 80, SYN))
    assert gate.pass_packet(packet, (PREROUTING, INPUT), into=wire)
    received = packet.span().to_bytes()
    assert addresses_in(received)[1] == OURS and ports_in(received) == (5000, 3128) and has_right_sums(received)
    packet = packet_of(tcp(OURS, 5001, SERVER, 80, SYN))
    assert gate.pass_packet(packet, (OUTPUT,))
    assert packet.destination == b"\x7f\0\0\1"
    assert not gate.pass_packet(packet_of(tcp(OTHER, 5000, SERVER, 81, SYN)), (PREROUTING,), into=Wire())


# ---- Any flows ----------------------------------------------------------------------------------------------------

HOSTS = [b"\x0a\x01\x00" + bytes([n]) for n in range(4)]
SERVERS = [b"\xc0\xa8\x00" + bytes([n]) for n in range(3)]
flows = st.tuples(
    st.sampled_from(HOSTS),
    st.sampled_from(SERVERS),
    st.sampled_from([6, 17, 1]),
    st.integers(0, 3).map(lambda n: 5000 + n),
    st.binary(max_size=9),
)


def question_of(flow: tuple[bytes, bytes, int, int, bytes]) -> bytes:
    host, server, protocol, port, data = flow
    if protocol == 17:
        return udp(host, port, server, 53, data)
    return tcp(host, port, server, 53, SYN) if protocol == 6 else echo(host, server, port, data=data)


@given(
    st.lists(flows, min_size=1, max_size=40),
    st.sampled_from([None, (6000, 6007), (5000, 5003)]),
    st.sampled_from([0, NAT_RANDOM, NAT_PERSISTENT]),
    st.integers(0, 3),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_replies_of_translated_flows_come_back(
    gate: Gate,
    chosen: list[tuple[bytes, bytes, int, int, bytes]],
    ports: tuple[int, int] | None,
    flags: int,
    more: int,
) -> None:
    """Whatever is translated has right sums, is like nothing else outside, and its answer comes back as if nothing had
    been translated.
    """
    try:
        last = OUTSIDE[:3] + bytes([OUTSIDE[3] + more])
        gate.add(POSTROUTING, Rule(request_for(OUTSIDE, last, ports, to_source=True, flags=flags)))
        gate.add(PREROUTING, Rule(request_for(SERVICE, to_source=False), only_to=SERVERS[0]))
        outside: dict[bytes, bytes] = {}
        for flow in chosen:
            question = question_of(flow)
            sent = gate.forward(question)
            if sent is None:
                assert ports is not None
                continue
            assert has_right_sums(sent)
            assert OUTSIDE <= addresses_in(sent)[0] <= last
            at = header_length(sent)
            kind = sent[at : at + 4] if flow[2] != 1 else sent[at + 4 : at + 6]
            key = sent[12:20] + sent[9:10] + kind
            inner = question[12:20] + question[20:24] if flow[2] != 1 else question[12:20] + question[24:26]
            assert outside.setdefault(key, inner) == inner
            answer = gate.through(answer_to(sent))
            assert has_right_sums(answer)
            assert addresses_in(answer) == (flow[1], flow[0])
            if flow[2] != 1:
                assert ports_in(answer) == (53, flow[3])
            packet = packet_of(error(SERVER, addresses_in(sent)[0], sent))
            assert gate.pass_packet(packet, FORWARDED)
            failure = packet.span().to_bytes()
            assert addresses_in(failure)[1] == flow[0] and has_right_sums(failure)
            assert failure[28:][:200] == question[:200]
        check_table(gate.table)
    finally:
        gate.clear()
        gate.chains.clear()


def test_connections_of_one_source_end_in_any_order(gate: Gate) -> None:
    """They are linked both ways, so that none looks for its place among all of them."""
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    for port in range(20):
        gate.through(udp(INSIDE, 5000, SERVER, 100 + port))
    (head,) = gate.table.by_source.values()
    chain = [head]
    while (following := chain[-1].next_of_source) is not None:
        assert following.previous_of_source is chain[-1]
        chain.append(following)
    assert len(chain) == 20 and head.previous_of_source is None
    for victim in (chain[7], chain[0], chain[19], chain[8]):
        gate.table.drop(victim)
    (head,) = gate.table.by_source.values()
    left = [head]
    while (following := left[-1].next_of_source) is not None:
        assert following.previous_of_source is left[-1]
        left.append(following)
    assert left == chain[1:7] + chain[9:19]


def test_time_ends_translated_connections_too(gate: Gate) -> None:
    gate.add(POSTROUTING, Rule(request_for(OUTSIDE, to_source=True)))
    for port in range(50):
        gate.through(udp(INSIDE, 5000 + port, SERVER, 53))
    assert len(gate.table.by_source) == 50
    pass_time(SECONDS + 1)
    assert gate.table.count == 0 and gate.table.by_source == {}
    assert gate.state(udp(INSIDE, 5000, SERVER, 53)) != STATE_ESTABLISHED | STATE_RELATED
    assert monotonic_ns() > 0 and FORWARD in FORWARDED
