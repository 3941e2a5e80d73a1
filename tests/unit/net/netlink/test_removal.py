"""What listeners of NETLINK_ROUTE hear when an interface goes down and away: what Linux 6.12 said, in its order."""

import socket
import struct
from collections.abc import Iterator

import pytest

from kernel.lib.credentials import Credentials
from kernel.net.internet.addresses import list_addresses
from kernel.net.internet.routes import Route, add_route
from kernel.net.link.bridge import BridgeDevice, add_port, port_of, remove_port
from kernel.net.link.device import IFF_UP, bring_down, bring_up, register_device
from kernel.net.link.dummy import DummyDevice
from kernel.net.link.neighbours import PERMANENT, set_neighbour
from kernel.net.link.network import FIRST_NETWORK, remove_device
from kernel.net.netlink.socket import NETLINK_ROUTE, NetlinkSocket
from kernel.net.sockets.socket import SOCK_RAW
from tests.unit.net.conftest import Wire, give_address, pass_time

GROUPS = (1, 3, 5, 7, 9, 11)  # links, neighbours, addresses and routes
KINDS = {
    16: "link", 17: "no link", 20: "address", 21: "no address", 24: "route", 25: "no route",
    28: "neighbour", 29: "no neighbour",
}  # fmt: skip
HEADER_SIZES = {0: 16, 1: 8, 2: 12, 3: 12}


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("<HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3 :]


class Listener:
    def __init__(self) -> None:
        self.socket = NetlinkSocket(SOCK_RAW, NETLINK_ROUTE, Credentials(), FIRST_NETWORK)
        self.socket.bind(struct.pack("<HHII", 16, 0, 5, 0))
        for group in GROUPS:
            self.socket.set_option(270, 1, struct.pack("<I", group))

    def heard(self) -> list[str]:
        said = []
        while self.socket.queue:
            data = self.socket.queue.popleft().data
            _, kind = struct.unpack_from("<IH", data)
            payload = data[16:]
            text = KINDS[kind]
            if kind in (16, 17):
                flags, change = struct.unpack_from("<II", payload, 8)
                text += f" up {flags & IFF_UP} change {change:#x}"
            elif kind in (28, 29):
                text += f" state {struct.unpack_from('<H', payload, 8)[0]:#x}"
            named = 5 if kind in (16, 17) else 1
            for name, value in attributes(payload[HEADER_SIZES[(kind - 16) // 4] :]):
                if name == named and len(value) in (4, 16):
                    text += " " + socket.inet_ntop(socket.AF_INET if len(value) == 4 else socket.AF_INET6, value)
            said.append(text)
        self.socket.queued_bytes = 0
        return said


@pytest.fixture
def listener(wire: Wire) -> Iterator[Listener]:
    made = Listener()
    yield made
    made.socket.close()


@pytest.fixture
def dummy(wire: Wire) -> Iterator[DummyDevice]:
    device = DummyDevice(FIRST_NETWORK, b"going", b"\2\0\0\0\0\6")
    register_device(device)
    yield device
    remove_device(device)


def packed(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def furnish(device: DummyDevice, *addresses: str) -> None:
    bring_up(device)
    for text in addresses:
        address, prefix_length = text.split("/")
        give_address(device, packed(address), int(prefix_length))


def test_addresses_of_ipv4_go_one_by_one_and_other_routes_in_silence(
    dummy: DummyDevice, listener: Listener
) -> None:
    """The second address of a prefix goes last."""
    furnish(dummy, "10.5.0.1/24", "10.5.0.2/24", "10.6.0.1/16")
    set_neighbour(dummy, packed("10.5.0.9"), b"\2\0\0\0\0\x63", PERMANENT)
    pass_time(2)
    listener.heard()
    remove_device(dummy)
    assert [text for text in listener.heard() if ":" not in text] == [
        "link up 0 change 0x41",
        "no neighbour state 0x80 10.5.0.9",
        "no address 10.5.0.1",
        "no route 10.5.0.1",
        "no address 10.6.0.1",
        "no route 10.6.0.1",
        "no address 10.5.0.2",
        "no link up 0 change 0xffffffff",
    ]


def test_routes_of_ipv6_go_before_neighbours_and_addresses(dummy: DummyDevice, listener: Listener) -> None:
    furnish(dummy, "fd05::1/64")
    set_neighbour(dummy, packed("fd05::9"), b"\2\0\0\0\0\x63", PERMANENT)
    pass_time(2)
    listener.heard()
    bring_down(dummy)
    assert listener.heard() == [
        "link up 0 change 0x1",
        "no route fd05::",
        "no route fe80::",
        "no route fd05::1",
        "no route fe80::ff:fe00:6",
        "no route ff00::",
        "no neighbour state 0x80 fd05::9",
        "no address fd05::1",
        "no address fe80::ff:fe00:6",
    ]
    remove_device(dummy)
    assert listener.heard() == ["no link up 0 change 0xffffffff"]


def test_addresses_are_listed_in_the_order_of_linux(dummy: DummyDevice) -> None:
    furnish(dummy, "10.5.0.1/24", "10.5.0.2/24", "10.6.0.1/16", "fd05::1/64", "fd05::2/64")
    shown = [entry.address for entry in list_addresses(dummy, 0)]
    four = [address for address in shown if len(address) == 4]
    six = [address for address in shown if len(address) == 16]
    assert four == [packed("10.5.0.1"), packed("10.6.0.1"), packed("10.5.0.2")]
    assert six == [packed("fd05::2"), packed("fd05::1"), packed("fe80::ff:fe00:6")]


def test_routes_of_ipv6_go_in_the_order_of_a_tree(dummy: DummyDevice, listener: Listener) -> None:
    furnish(dummy, "fd05::1/64")
    for text, length in (("fd05::", 32), ("fd07::", 32), ("fd04::", 16), ("fd05:0:0:1::", 64)):
        add_route(FIRST_NETWORK, Route(packed(text), length, dummy))
    pass_time(2)
    listener.heard()
    bring_down(dummy)
    assert [text[9:] for text in listener.heard() if text.startswith("no route")][:6] == [
        "fd04::", "fd05::", "fd05:0:0:1::", "fd05::", "fd07::", "fe80::",
    ]  # fmt: skip


def test_of_a_port_that_comes_and_goes(dummy: DummyDevice, listener: Listener) -> None:
    """A bridge's own address is listed twice, also for VLAN 1; then it is that of its port."""
    listener.heard()
    bridge = BridgeDevice(FIRST_NETWORK, b"br0", b"\2\0\0\0\0\1")
    register_device(bridge)
    assert listener.heard() == ["link up 0 change 0xffffffff", "neighbour state 0x80", "neighbour state 0x80"]
    add_port(bridge, dummy)
    assert listener.heard() == [
        "link up 0 change 0x0",  # the port's master
        "link up 0 change 0x100",
        "link up 0 change 0x0",  # the bridge, by what its first link can do
        "neighbour state 0x80",
        "neighbour state 0x80",
        "no neighbour state 0x80",
        "no neighbour state 0x80",
        "link up 0 change 0x0",  # the port, in the bridge's family
        "link up 0 change 0x0",  # the bridge's address
    ]
    port = port_of(dummy)
    assert port is not None
    remove_port(port)
    assert listener.heard() == [
        "link up 0 change 0x100",
        "link up 0 change 0x0",
        "no link up 0 change 0x0",
        "link up 0 change 0x0",
        "no neighbour state 0x80",
        "no neighbour state 0x80",
        "link up 0 change 0x0",
        "link up 0 change 0x0",
    ]
    remove_device(bridge)
