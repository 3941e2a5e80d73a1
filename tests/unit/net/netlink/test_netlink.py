"""NETLINK_ROUTE under CPython: dumps, errors, and whatever bytes a program may send."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace, next_number
from kernel.net.link.device import register_device
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.network import FIRST_NETWORK, new_network
from kernel.net.netlink import route_socket, target_network
from kernel.net.netlink.route_socket import RouteSocket
from kernel.net.sockets.socket import SOCK_RAW
from tests.unit.net.conftest import Wire

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
    netlink.handle(message(18, 0x301, b"\0"), None)
    found = answers(netlink)
    assert found[-1] == (NLMSG_DONE, 2, bytes(4))
    names = [payload for kind, flags, payload in found if kind == 16 and flags == 2]
    assert any(wire.name + b"\0" in payload for payload in names)


def test_an_unknown_type_is_answered_with_the_request(netlink: RouteSocket) -> None:
    request = message(200, 1, bytes(4))
    netlink.handle(request, None)
    ((kind, flags, payload),) = answers(netlink)
    assert (kind, flags) == (NLMSG_ERROR, 0)
    assert payload == struct.pack("<i", -95) + request


def test_a_long_dump_comes_in_parts_of_whole_messages(netlink: RouteSocket) -> None:
    part = struct.pack("<IHHII", 1001, 24, 2, 1, 0) + bytes(985 + 3)
    netlink.enqueue_dump(bytearray(part * 20))
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
    netlink.handle(data + rest, None)
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
    socket.handle(request, opener if asks_opener else None)
    ((_, _, payload),) = answers(socket)
    assert struct.unpack_from("<i", payload) == (answer,)
    assert device.network is (network if asks_opener else FIRST_NETWORK)
