"""Requests of rtnetlink that find no memory, at whatever place, leave the network as it was."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable

import pytest

from kernel.lang import ENOMEM
from kernel.lib.credentials import Credentials
from kernel.net.link.device import NetworkDevice
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.link.thread import run_pending
from kernel.net.netlink import route_socket
from kernel.net.netlink.messages import Request
from kernel.net.netlink.request_socket import RequestSocket
from kernel.net.netlink.route_socket import RouteSocket
from kernel.net.sockets.socket import SOCK_RAW
from kernel.time import monotonic_ns
from tests.unit.net.conftest import turn
from tests.unit.net.netlink.sending import as_sent
from tests.unit.net.netlink.test_netlink import Caller, answers, attribute, message
from tests.unit.net.scarcity import Scarcity, State

UP = struct.pack("<IIII", 0, 0, 1, 1)
DOWN = bytes(16)


def link(kind: bytes, name: bytes, start: bytes = UP, data: bytes = b"", more: bytes = b"") -> bytes:
    information = attribute(1, kind + b"\0") + (attribute(2, data) if data else b"")
    return message(16, 0x605, start + attribute(3, name + b"\0") + attribute(18, information) + more)


def number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("<I", value))


def address(index: int, value: bytes, length: int) -> bytes:
    start = struct.pack("<BBBBI", 2 if len(value) == 4 else 10, length, 0, 0, index)
    return message(20, 0x605, start + attribute(2, value) + attribute(1, value))


def route(index: int, value: bytes, length: int, flags: int = 0x605) -> bytes:
    start = struct.pack("<BBBBBBBBI", 2 if len(value) == 4 else 10, length, 0, 0, 254, 3, 0, 1, 0)
    return message(24, flags, start + attribute(1, value) + number(4, index))


def neighbour(index: int, value: bytes) -> bytes:
    start = struct.pack("<BBHIHBB", 2, 0, 0, index, 0x80, 0, 0)
    return message(28, 0x605, start + attribute(1, value) + attribute(2, b"\2\0\0\0\0\7"))


def behind(index: int) -> bytes:
    start = struct.pack("<BBHIHBB", 7, 0, 0, index, 0x80, 4, 0)
    return message(28, 0x605, start + attribute(2, b"\2\0\0\0\0\x09"))


def named(name: bytes) -> int:
    return FIRST_NETWORK.by_name[name].index


def changed(flags: int, more: bytes) -> bytes:
    return message(16, 5, struct.pack("<BBHIII", 0, 0, 0, named(b"down"), flags, flags) + more)


SIX = b"\x20\x01\x0d\xb8" + bytes(11)

REQUESTS: dict[str, Callable[[], bytes]] = {
    "dummy": lambda: link(b"dummy", b"new"),
    "bridge": lambda: link(b"bridge", b"new"),
    "port": lambda: link(b"dummy", b"new", more=number(10, named(b"bridge"))),
    "pair": lambda: link(b"veth", b"new", data=attribute(1, UP + attribute(3, b"other\0"))),
    "macvlan": lambda: link(b"macvlan", b"new", data=number(1, 4), more=number(5, named(b"up"))),
    "passthru": lambda: link(b"macvlan", b"new", data=number(1, 8), more=number(5, named(b"up"))),
    "up": lambda: changed(1, b""),
    "master": lambda: changed(0, number(10, named(b"bridge"))),
    "name": lambda: changed(0, attribute(3, b"renamed\0")),
    "address4": lambda: address(named(b"up"), b"\x0a\x05\0\1", 24),
    "address6": lambda: address(named(b"up"), SIX + b"\1", 64),
    "route4": lambda: route(named(b"up"), b"\x0a\x06\0\0", 16),
    "route6": lambda: route(named(b"up"), SIX + b"\0", 64),
    "another4": lambda: route(named(b"up"), b"\x0a\x07\0\0", 16, flags=0x505),
    "another6": lambda: route(named(b"up"), b"\x20\x02" + bytes(14), 64, flags=0x505),
    "neighbour": lambda: neighbour(named(b"up"), b"\x0a\0\0\x09"),
    "entry": lambda: behind(named(b"port")),
}  # fmt: skip


@pytest.fixture
def netlink(loopback: NetworkDevice, monkeypatch: pytest.MonkeyPatch) -> RouteSocket:
    monkeypatch.setattr(route_socket, "current", Caller)
    socket = RouteSocket(SOCK_RAW, Credentials(), FIRST_NETWORK)
    for each in (link(b"dummy", b"up"), link(b"dummy", b"down", DOWN), link(b"bridge", b"bridge")):
        assert asked(socket, each) == 0
    assert asked(socket, link(b"dummy", b"port", more=number(10, named(b"bridge")))) == 0
    assert asked(socket, route(named(b"up"), b"\x0a\x07\0\0", 16)) == 0
    assert asked(socket, route(named(b"up"), b"\x20\x02" + bytes(14), 64)) == 0
    return socket


def asked(socket: RouteSocket, request: bytes) -> int:
    """The error that a request is answered with, even where there is no memory for the answer."""
    errors: list[int] = []
    acknowledge = RouteSocket.acknowledge

    def noted(self: RequestSocket, request: Request, error: int, place: int) -> None:
        errors.append(error)
        acknowledge(self, request, error, place)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(MemoryError):
        patch.setattr(RouteSocket, "acknowledge", noted)
        socket.handle(as_sent(request), None)
    answers(socket)
    return errors[0] if errors else ENOMEM


def settle() -> None:
    for _ in range(5):
        run_pending(monotonic_ns())
        turn()


LINKS = ("dummy", "bridge", "port", "pair", "macvlan", "passthru")


@pytest.mark.parametrize(("name", "lasts"), [(name, False) for name in REQUESTS] + [(name, True) for name in LINKS])
def test_without_memory_nothing_changes(netlink: RouteSocket, name: str, lasts: bool) -> None:
    """Where memory is short for longer, the network thread takes a new interface away when there is some again."""
    request = REQUESTS[name]()
    settle()
    before = State()
    wrong = []
    for nth in range(1, 2000):
        with Scarcity(nth, lasts=lasts) as fault:
            error = asked(netlink, request)
        if error == 0:
            break  # from here on the answer is all that there may be no memory for
        assert error == ENOMEM
        settle()
        after = before.differences()
        if after:
            wrong.append((fault.where, after[:6]))
            break
    assert not wrong
    assert nth > 5
