"""Networks: the state of a network namespace (network_namespaces(7)).

A `Network` is a host of its own: interfaces, addresses, routes, ports, settings, counters. A socket and an interface
belong to one, and every look-up starts from there. State of layers above the link layer is in `Part`s, which that layer
creates and narrows down; counters and settings are here, because all layers use them.

Tables whose keys hold an interface or a socket are machine-wide: neighbours, groups, fragments, TCP's connections.

A network is counted by its users: tasks, sockets, TCP's connections, open files of /proc/PID/ns. When the last one
is gone, the network thread takes it apart (`kernel/net/control/networks.py`). Interfaces of an ended network are in
LIMBO.

Context: thread context; nothing sleeps. Creating one raises MemoryError.
"""

from typing import Final

from kernel.lang import EEXIST, ENODEV, Errno, final, inline, noraise
from kernel.lib.namespace import (
    CLONE_NEWNET,
    FIRST_NET_NUMBER,
    FIRST_USER,
    NETWORKS,
    Namespace,
    UserNamespace,
    next_number,
)
from kernel.net.link.counters import IcmpCounters, IpCounters, TcpCounters, TcpEvents, UdpCounters
from kernel.net.link.device import (
    NetworkDevice,
    Tap,
    begin_change,
    check_room_for_device,
    end_change,
    register_device,
    take_down,
    transfer_device,
    unregister_device,
)
from kernel.net.link.hooks import Hooks
from kernel.net.link.loopback import LoopbackDevice
from kernel.net.link.packet import Packet
from kernel.net.link.part import Part

_NO_PART: Final = Part()
NETWORK_BYTES: Final = 20_000  # what one with nothing but lo costs; about
DEFAULT_SETTINGS: Final[list[int]] = []  # what a new network starts with, by the numbers of `NetworkSetting`s
INHERITED_SETTINGS: Final[list[int]] = []  # … except for those numbers: it starts with the first network's values


@final
class Ways:
    """Whether answers of look-ups still hold: their holders compare the number."""

    def __init__(self) -> None:
        self.generation: int = 1


@final
class Network(Namespace):
    """A network namespace. It is empty until `register_device` enters its loopback interface."""

    def __init__(self, number: int, maker: UserNamespace) -> None:
        super().__init__(CLONE_NEWNET, b"net", number, maker)
        self.users: int = 0
        self.has_ended: bool = False  # its last user has gone; it gets no others
        self.next_ended: Network | None = None
        self.devices: list[NetworkDevice] = []  # in ascending order of index
        self.by_index: dict[int, NetworkDevice] = {}
        self.by_name: dict[bytes, NetworkDevice] = {}
        self.next_index: int = 1
        self.taps: list[Tap] = []  # packet sockets
        self.hooks4: Hooks | None = None  # None while there are none
        self.hooks6: Hooks | None = None
        self.onlookers: int = 0  # taps, and `hooks4` and `hooks6`: while there are none, headers need no sums on lo
        self.ways: Ways = Ways()
        self.settings: list[int] = DEFAULT_SETTINGS[:]
        self.time_waits: int = 0  # TCP connections in TIME_WAIT
        self.unix_sockets: int = 0
        self.next_identification: int = 0  # of an IPv4 datagram; 0: none has been sent
        # Counters.
        self.ip4: IpCounters = IpCounters()
        self.ip6: IpCounters = IpCounters()
        self.icmp4: IcmpCounters = IcmpCounters()
        self.icmp6: IcmpCounters = IcmpCounters()
        self.udp4: UdpCounters = UdpCounters()
        self.udp6: UdpCounters = UdpCounters()
        self.tcp: TcpCounters = TcpCounters()
        self.tcp_events: TcpEvents = TcpEvents()
        # Parts of the layers above.
        self.addresses: Part = _NO_PART
        self.routing: Part = _NO_PART
        self.path_mtus: Part = _NO_PART
        self.redirections: Part = _NO_PART
        self.ports: Part = _NO_PART
        self.udp_sockets: Part = _NO_PART
        self.raw_sockets: Part = _NO_PART
        self.ping_sockets: Part = _NO_PART
        self.packet_sockets: Part = _NO_PART
        self.unix_names: Part = _NO_PART
        self.netlink_sockets: Part = _NO_PART
        self.neighbours: Part = _NO_PART
        self.groups: Part = _NO_PART
        self.fragments: Part = _NO_PART
        self.rates: Part = _NO_PART
        self.firewall: Part = _NO_PART
        self.connections: Part = _NO_PART  # until someone wants connections tracked
        self.loopback: LoopbackDevice = LoopbackDevice(self)

    def acquire(self) -> None:
        self.users += 1

    @noraise
    def release(self) -> None:
        self.users -= 1
        if self.users == 0 and not self.has_ended:
            self.has_ended = True
            ENDED.add(self)

    def is_over(self) -> bool:
        return self.has_ended

    def hold(self) -> None:
        self.acquire()

    @noraise
    def let_go(self) -> None:
        self.release()

    def parts(self) -> list[Part]:
        """All of them. Raises MemoryError."""
        return [
            self.addresses,
            self.routing,
            self.path_mtus,
            self.redirections,
            self.ports,
            self.udp_sockets,
            self.raw_sockets,
            self.ping_sockets,
            self.packet_sockets,
            self.unix_names,
            self.netlink_sockets,
            self.neighbours,
            self.groups,
            self.fragments,
            self.rates,
            self.firewall,
            self.connections,
        ]


class EndHook:
    """Wakes the code that takes networks apart. Base class."""

    @noraise
    def networks_ended(self) -> None:
        """Some networks have ended."""


@final
class EndedNetworks:
    """Networks without users, which will be taken apart. Linked by hand: a network has another base than `Queued`."""

    def __init__(self) -> None:
        self.first: Network | None = None
        self.last: Network | None = None  # set if there is a first one
        self.hook: EndHook = EndHook()

    @noraise
    def add(self, network: Network) -> None:
        """Queue a network, after the others."""
        last = self.last
        if self.first is None or last is None:
            self.first = network
        else:
            last.next_ended = network
        self.last = network
        self.hook.networks_ended()

    def take(self) -> None:
        """Remove the first one: it has been taken apart."""
        network = self.first
        if network is not None:
            self.first = network.next_ended
            network.next_ended = None
            if self.first is None:
                self.last = None


ENDED: Final = EndedNetworks()


class PartMaker:
    """Gives each network a part. Base class."""

    def make(self, network: Network) -> None:
        """Store the part in its place in the network. Raises MemoryError."""


_MAKERS: Final[list[PartMaker]] = []

FIRST_NETWORK: Final = Network(FIRST_NET_NUMBER, FIRST_USER)
FIRST_NETWORK.acquire()  # it never ends
LOOPBACK: Final = FIRST_NETWORK.loopback
"""The first network's."""
LIMBO: Final = Network(0, FIRST_USER)
"""Holds the interfaces of networks that have ended. It has no interface of its own, and nothing is ever up there."""
NETWORKS.first = FIRST_NETWORK


def register_part(maker: PartMaker) -> None:
    """Give all networks this part. While the kernel is built."""
    _MAKERS.append(maker)
    maker.make(FIRST_NETWORK)
    maker.make(LIMBO)


def new_network(owner: UserNamespace) -> Network:
    """A new network with only lo, which is down, and without users. Raises MemoryError."""
    network = Network(next_number(), owner)
    for place in INHERITED_SETTINGS:
        network.settings[place] = FIRST_NETWORK.settings[place]
    try:
        for maker in _MAKERS:
            maker.make(network)
        register_device(network.loopback)
    except (Errno, MemoryError):
        network.loopback.network = LIMBO  # they refer to each other
        raise
    return network


@inline
def network_of(packet: Packet) -> Network:
    """The network where a packet was received, or is being sent."""
    device = packet.device
    return LIMBO if device is None else device.network


def as_network(namespace: Namespace) -> Network:
    """Narrow a namespace that is known to be a network."""
    assert isinstance(namespace, Network)
    return namespace


@final
class Shown:
    """The network whose tables a file of /proc/PID/net shows."""

    def __init__(self) -> None:
        self.network: Network = FIRST_NETWORK


SHOWN: Final = Shown()


def shown_network() -> Network:
    """The functions that create such tables call this before anything else: nothing may sleep before it."""
    return SHOWN.network


def caller_network() -> Network:
    """The running thread's network; the first one in kernel threads."""
    find = NETWORKS.of_caller
    return FIRST_NETWORK if find is None else as_network(find())


def remove_device(device: NetworkDevice) -> None:
    """Remove a device: take it down and out of its network. Raises MemoryError, with nothing done that the next call
    would not redo. Does nothing to one that has left.
    """
    while not begin_change(device):
        if device.network is LIMBO or device.is_leaving:
            return  # otherwise it was moved meanwhile
    try:
        device.is_leaving = True  # from here on it gets no ports, and nothing on top
        try:
            take_down(device)
        except (MemoryError, Errno):
            device.is_leaving = False
            raise
        unregister_device(device)
        device.network = LIMBO
        device.has_ended()
    finally:
        end_change(device)


def move_device(device: NetworkDevice, network: Network, name: bytes, index: int) -> None:
    """Move a device to another network under a name; takes it down first. It keeps its index there, unless
    another device has it, or gets a requested one. Raises EEXIST for a name or an index that is taken, ENFILE,
    EINVAL, MemoryError, and ENODEV if it has left its network meanwhile.
    """
    if not begin_change(device):
        raise Errno(ENODEV)
    try:
        if name in network.by_name or (index != 0 and index in network.by_index):
            raise Errno(EEXIST)
        check_room_for_device(network)
        device.is_leaving = True
        try:
            take_down(device)
            transfer_device(device, network, name, index)
        finally:
            device.is_leaving = False
    finally:
        end_change(device)
