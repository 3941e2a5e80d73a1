"""NETLINK_ROUTE under CPython: dumps, errors, and whatever bytes a program may send."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.bpf.code import SOCKET_FILTER, Code
from kernel.bpf.program import Program
from kernel.fs.constants import POLLERR
from kernel.lang import ENOBUFS, ENOMEM, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace, next_number
from kernel.lib.pace import PACE, PACE_BUDGET, PACE_BYTES, STRETCH_LIMIT
from kernel.lib.user import Buffer
from kernel.net.internet.addresses import find_on
from kernel.net.link.device import NetworkDevice, device_by_name, register_device
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.network import FIRST_NETWORK, new_network, remove_device
from kernel.net.link.thread import run_pending
from kernel.net.netlink import new_link, route_socket, target_network
from kernel.net.netlink.route_socket import RouteSocket
from kernel.net.netlink.sent import MOST_MESSAGE, MOST_SENT, take_sent
from kernel.net.netlink.socket import NETLINK_ROUTE, NetlinkSocket, has_listener, multicast, netlink_sockets_of
from kernel.net.sockets.bpf import ProgramFilter
from kernel.net.sockets.socket import SOCK_RAW
from kernel.time import monotonic_ns
from tests.unit.bpf.assembler import LEAVE, R0, mov
from tests.unit.net.conftest import Wire, pass_time
from tests.unit.net.netlink.sending import as_sent

NLMSG_ERROR = 2
NLMSG_DONE = 3


class Caller:
    """Stands for the running task: root."""

    credentials = Credentials()


@pytest.fixture
def netlink(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> RouteSocket:
    monkeypatch.setattr(route_socket, "current", Caller)
    return RouteSocket(SOCK_RAW, Credentials(), FIRST_NETWORK)


def answers(socket: RouteSocket) -> list[tuple[int, int, bytes]]:
    """Type, flags and payload of all messages in the queue, which is emptied."""
    found = []
    while socket.queue:
        data = socket.queue.popleft().data
        while data:
            length, kind, flags, _, _ = struct.unpack_from("<IHHII", data)
            assert 16 <= length <= len(data)
            found.append((kind, flags, data[16:length]))
            data = data[(length + 3) & ~3 :]
    socket.queued_bytes = 0
    socket.is_dumping = False
    return found


def message(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("<IHHII", 16 + len(payload), kind, flags, 7, 0) + payload


def test_a_dump_of_links_names_all_and_ends(netlink: RouteSocket, wire: Wire) -> None:
    netlink.handle(as_sent(message(18, 0x301, b"\0")), None)
    found = answers(netlink)
    assert found[-1] == (NLMSG_DONE, 2, bytes(4))
    names = [payload for kind, flags, payload in found if kind == 16 and flags == 2]
    assert any(wire.name + b"\0" in payload for payload in names)


def test_an_unknown_type_is_answered_with_the_request(netlink: RouteSocket) -> None:
    request = message(200, 1, bytes(4))
    netlink.handle(as_sent(request), None)
    ((kind, flags, payload),) = answers(netlink)
    assert (kind, flags) == (NLMSG_ERROR, 0)
    assert payload == struct.pack("<i", -95) + request


def test_a_long_datagram_is_kept_in_pieces_and_put_together_by_message() -> None:
    data = bytes(range(251)) * 6000
    sent = as_sent(data)
    assert sent.length == len(data) > 20 * PACE_BYTES
    assert {len(piece) for piece in sent.pieces[:-1]} == {PACE_BYTES}
    end = PACE_BYTES - 4
    for start, count in ((0, 16), (end, 4), (end, 8), (4, 3 * PACE_BYTES), (70_000, MOST_MESSAGE)):
        assert sent.part(start, count) == data[start : start + count]
        assert sent.u32(start) == struct.unpack_from("<I", data, start)[0]
    for ask in (lambda: sent.part(0, MOST_MESSAGE + 1), lambda: take_sent(Buffer(MOST_SENT + 1), MOST_SENT + 1)):
        with pytest.raises(Errno) as raised:
            ask()
        assert raised.value.code == ENOBUFS


@pytest.mark.parametrize("length", [PACE_BYTES - 40, PACE_BYTES - 16, 3 * PACE_BYTES + 12])
def test_requests_after_a_long_one_are_found(netlink: RouteSocket, length: int) -> None:
    netlink.handle(as_sent(message(2, 0, bytes(length - 16)) + message(200, 1, bytes(4))), None)
    ((kind, _, payload),) = answers(netlink)
    assert kind == NLMSG_ERROR and struct.unpack_from("<i", payload) == (-95,)


def test_a_long_dump_comes_in_parts_of_whole_messages(netlink: RouteSocket) -> None:
    part = struct.pack("<IHHII", 1001, 24, 2, 1, 0) + bytes(985 + 3)
    netlink.enqueue_dump(bytearray(part * 20), [])
    sizes = [len(datagram.data) for datagram in netlink.queue]
    assert sum(sizes) == len(part) * 20
    assert all(size % len(part) == 0 and size <= 8192 for size in sizes)
    assert [datagram.ends_dump for datagram in netlink.queue] == [False] * (len(sizes) - 1) + [True]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(15, 40),
            st.integers(0, 0xFFF),
            st.binary(max_size=16),
            st.lists(st.tuples(st.integers(0, 24), st.binary(max_size=17), st.integers(-3, 3)), max_size=5),
        ),
        max_size=3,
    ),
    st.binary(max_size=20),
)
def test_whatever_comes_is_answered(
    netlink: RouteSocket,
    requests: list[tuple[int, int, bytes, list[tuple[int, bytes, int]]]],
    rest: bytes,
) -> None:
    data = b""
    for kind, flags, fixed, attributes in requests:
        payload = fixed + bytes(-len(fixed) % 4)
        for attribute, value, wrong in attributes:
            payload += struct.pack("<HH", max(0, 4 + len(value) + wrong), attribute) + value + bytes(-len(value) % 4)
        data += message(kind, flags | 1, payload)
    netlink.handle(as_sent(data + rest), None)
    for kind, _, payload in answers(netlink):
        assert kind != NLMSG_ERROR or len(payload) >= 20


@pytest.mark.parametrize(("asks_opener", "answer"), [(True, -1), (False, 0)])
def test_who_opened_the_socket_must_rule_the_target_as_well(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, asks_opener: bool, answer: int
) -> None:
    """A program of the administrator's that writes to what it was given as its output moves no interface for others."""
    monkeypatch.setattr(route_socket, "current", Caller)
    monkeypatch.setattr(target_network, "current", Caller)
    monkeypatch.setattr(target_network, "network_of_process", lambda number: FIRST_NETWORK)
    opener = Credentials()
    opener.enter(UserNamespace(FIRST_USER, next_number(), KernelUid(1000), KernelGid(1000)))
    network = new_network(opener.user_namespace)
    device = DummyDevice(network, b"theirs", b"\x02" + bytes(5))
    register_device(device)
    socket = RouteSocket(SOCK_RAW, opener, network)
    name = struct.pack("<HH8s", 12, 3, b"theirs")
    request = message(16, 5, bytes(16) + name + struct.pack("<HHI", 8, 19, 1))
    socket.handle(as_sent(request), opener if asks_opener else None)
    ((_, _, payload),) = answers(socket)
    assert struct.unpack_from("<i", payload) == (answer,)
    assert device.network is (network if asks_opener else FIRST_NETWORK)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def listener(port: int) -> NetlinkSocket:
    socket = NetlinkSocket(SOCK_RAW, NETLINK_ROUTE, Credentials(), FIRST_NETWORK)
    socket.bind(struct.pack("<HHII", 16, 0, port, 0))
    return socket


def test_only_those_in_a_group_are_told(wire: Wire) -> None:
    sockets = [listener(port) for port in (1, 2, 3)]
    sockets[0].set_option(270, 1, struct.pack("<I", 7))
    sockets[1].bind(struct.pack("<HHII", 16, 0, 2, 1 << 6))
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, sockets[1])
    assert [len(socket.queue) for socket in sockets] == [1, 0, 0]
    sockets[0].set_option(270, 2, struct.pack("<I", 7))
    assert has_listener(FIRST_NETWORK, NETLINK_ROUTE, 7)
    sockets[1].close()
    assert not has_listener(FIRST_NETWORK, NETLINK_ROUTE, 7)
    assert len(netlink_sockets_of(FIRST_NETWORK).listeners) == 0
    for socket in (sockets[0], sockets[2]):
        socket.close()


def test_one_operation_does_not_work_for_listeners_without_end(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network thread serves most of them. What is too much for it is an overrun, and then they hear on."""
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    sockets = [listener(port) for port in range(1, 101)]
    for socket in sockets:
        socket.set_option(270, 1, struct.pack("<I", 7))
        socket.receive_limit = 1 << 30
    for _ in range(2000):
        multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    assert len(sockets[0].queue) < 200 and sockets[-1].take_error() == 0
    work_off()
    assert all(256 <= len(socket.queue) < 500 for socket in sockets)
    assert all(socket.take_error() == ENOBUFS for socket in sockets)
    PACE.left = PACE_BUDGET
    before = len(sockets[0].queue)
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    assert len(sockets[0].queue) == before + 1 and sockets[0].take_error() == 0
    for socket in sockets:
        socket.close()


def work_off() -> None:
    """The network thread does what it is to do, in turns."""
    while run_pending(monotonic_ns()):
        assert PACE.left > -STRETCH_LIMIT // 2
        PACE.left = PACE_BUDGET


def test_one_message_is_not_sent_to_listeners_without_end(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    sockets = [listener(port) for port in range(1, 2001)]
    for socket in sockets:
        socket.set_option(270, 1, struct.pack("<I", 7))
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    assert PACE.left > -STRETCH_LIMIT // 2
    assert len(sockets[0].queue) == 1 and len(sockets[-1].queue) == 0
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"later", 0, None)
    assert len(sockets[0].queue) == 1, "it waits behind the first one"
    sockets[-2].close()
    late = listener(3000)
    late.set_option(270, 1, struct.pack("<I", 7))
    work_off()
    for socket in sockets[:-2] + sockets[-1:]:
        assert [each.data for each in socket.queue] == [b"change", b"later"] and socket.take_error() == 0
    late.close()
    for socket in sockets:
        socket.close()


def test_what_no_filter_had_time_for_is_an_overrun(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PACE, "left", PACE_BUDGET)
    socket = listener(1)
    socket.set_option(270, 1, struct.pack("<I", 7))
    socket.set_filter(ProgramFilter(Program(SOCKET_FILTER, b"", Code(mov(R0, 3) + LEAVE), []), FIRST_NETWORK.owner))
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    PACE.left = -600_000
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    assert [datagram.data for datagram in socket.queue] == [b"cha"] and socket.poll(None) & POLLERR != 0
    assert socket.take_error() == ENOBUFS
    socket.set_option(270, 5, struct.pack("<I", 1))  # NETLINK_NO_ENOBUFS
    multicast(FIRST_NETWORK, NETLINK_ROUTE, 7, b"change", 0, None)
    assert len(socket.queue) == 1 and socket.take_error() == 0
    socket.close()


def test_an_address_with_a_lifetime_ends(netlink: RouteSocket, wire: Wire) -> None:
    address = b"\x0a\x09\0\1"
    fixed = struct.pack("<BBBBI", 2, 24, 0, 0, wire.index)
    life = attribute(6, struct.pack("<IIII", 2, 3, 0, 0))
    netlink.handle(as_sent(message(20, 5, fixed + attribute(2, address) + life)), None)
    ((_, _, payload),) = answers(netlink)
    assert struct.unpack_from("<i", payload) == (0,)
    assert find_on(wire, address) is not None
    pass_time(4)
    assert find_on(wire, address) is None


@pytest.mark.parametrize("kind", [b"dummy", b"bridge"])
def test_an_interface_whose_removal_has_no_room_is_not_made(
    netlink: RouteSocket, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    def fail(device: NetworkDevice | None) -> None:
        raise MemoryError

    monkeypatch.setattr(new_link, "Removal", fail)
    request = bytes(16) + attribute(3, b"short\0") + attribute(18, attribute(1, kind + b"\0"))
    netlink.handle(as_sent(message(16, 0x605, request)), None)
    ((_, _, payload),) = answers(netlink)
    assert struct.unpack_from("<i", payload) == (-ENOMEM,)
    assert device_by_name(FIRST_NETWORK, b"short") is None


def test_half_a_pair_does_not_stay(netlink: RouteSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first end is taken away later, if there is no memory for that at once."""
    calls = 0

    def removal(device: NetworkDevice) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MemoryError
        remove_device(device)

    monkeypatch.setattr(new_link, "remove_device", removal)
    told = bytes(16) + attribute(3, b"other\0")
    information = attribute(1, b"veth\0") + attribute(2, attribute(1, told))
    request = bytes(16) + attribute(3, b"a%x\0") + attribute(18, information)
    netlink.handle(as_sent(message(16, 0x605, request)), None)
    answers(netlink)
    assert calls == 1 and device_by_name(FIRST_NETWORK, b"other") is not None
    run_pending(monotonic_ns())
    assert calls == 2 and device_by_name(FIRST_NETWORK, b"other") is None
