"""Addresses and ports of Internet sockets: struct sockaddr_in and sockaddr_in6, and which sockets may bind which ports.

A `Binding` is a socket's place in a `PortTable`. An IPv6 socket without IPV6_V6ONLY that is bound to :: takes the port
for IPv4 as well; one bound to a mapped address takes it for IPv4 only.

Context: thread context; only the search for a free port has safe points.
Source: ip(7), ipv6(7), socket(7) (SO_REUSEADDR, SO_REUSEPORT), RFC 6056 (random ports).
"""

from typing import Final, TypeVar

from kernel.lang import (
    EACCES,
    EADDRINUSE,
    EAFNOSUPPORT,
    EINVAL,
    Errno,
    final,
    span_of,
)
from kernel.lib import random
from kernel.lib.capabilities import CAP_NET_BIND_SERVICE
from kernel.lib.credentials import Credentials
from kernel.lib.ids import ROOT_USER, KernelUid
from kernel.lib.pace import pace, spend
from kernel.net.internet.addresses import ANY4, ANY6, is_mapped
from kernel.net.internet.sysctl import IP4_SETTINGS
from kernel.net.link.network import Network, PartMaker, register_part
from kernel.net.link.part import Part
from kernel.net.sockets.socket import AF_INET, AF_INET6

T = TypeVar("T")

SOCKADDR_IN: Final = 16
SOCKADDR_IN6: Final = 28
SOCKADDR_IN6_LEAST: Final = 24  # without the scope, as RFC 2133 had it

IP4_BIT: Final = 1
IP6_BIT: Final = 2

# Instructions for a port that may be free, and for each socket that shares one
_PORT_COST: Final = 120
_SHARED_COST: Final = 45
MOST_SHARING: Final = 4096  # sockets of a port, which one look passes without a safe point
_FEW_PORTS: Final = 4096  # that many are listed at once
_LIST_COST: Final = 60  # instructions for a port that may be listed
_HIGHEST_PORT: Final = 0xFFFF


def family_of(address: bytes) -> int:
    """The family of a struct sockaddr; EINVAL if it has none."""
    if len(address) < 2:
        raise Errno(EINVAL)
    return address[0] | address[1] << 8


def decode_inet(address: bytes) -> tuple[bytes, int]:
    """The IPv4 address and port of a struct sockaddr_in. EINVAL if it is too short, EAFNOSUPPORT for another family."""
    if len(address) < SOCKADDR_IN:
        raise Errno(EINVAL)
    if family_of(address) != AF_INET:
        raise Errno(EAFNOSUPPORT)
    return address[4:8], address[2] << 8 | address[3]


_name: Final = bytearray(SOCKADDR_IN)


def encode_inet(address: bytes, port: int) -> bytes:
    """A struct sockaddr_in. It is built in a reused buffer, which never needs to be cleared."""
    span = span_of(_name)
    span.store_u16(0, AF_INET)
    span.store_be16(2, port)
    span[4:8].copy_from(span_of(address))
    return bytes(_name)


def decode_inet6(address: bytes) -> tuple[bytes, int, int, int]:
    """The IPv6 address, port, flow information and scope of a struct sockaddr_in6. EINVAL, EAFNOSUPPORT."""
    if len(address) < SOCKADDR_IN6_LEAST:
        raise Errno(EINVAL)
    if family_of(address) != AF_INET6:
        raise Errno(EAFNOSUPPORT)
    span = span_of(address)
    scope = span.load_u32(24) if len(address) >= SOCKADDR_IN6 else 0
    return address[8:24], span.load_be16(2), span.load_be32(4), scope


def encode_inet6(address: bytes, port: int, flow: int = 0, scope: int = 0) -> bytes:
    """A struct sockaddr_in6."""
    result = bytearray(SOCKADDR_IN6)
    span = span_of(result)
    span.store_u16(0, AF_INET6)
    span.store_be16(2, port)
    span.store_be32(4, flow)
    span[8:24].copy_from(span_of(address))
    span.store_u32(24, scope)
    return bytes(result)


@final
class Binding:
    """The address and port that a socket is bound to."""

    def __init__(self, network: Network) -> None:
        self.network: Network = network
        self.port: int = 0  # 0: not in the table
        self.address: bytes = b""  # 4 or 16 bytes; empty: any address of `versions`
        self.versions: int = IP4_BIT  # IP4_BIT | IP6_BIT
        self.device_index: int = 0  # SO_BINDTODEVICE
        self.reuse_address: bool = False
        self.reuse_port: bool = False
        self.has_port_group: bool = False  # of its own: then SO_REUSEPORT does not let it take another's port
        self.uid: KernelUid = ROOT_USER
        self.is_listening: bool = False
        self.is_explicit: bool = False  # the program chose the port: SOCK_BINDPORT_LOCK
        self.is_timewait: bool = False
        self.first_port: int = 0  # IP_LOCAL_PORT_RANGE; 0: the system's
        self.last_port: int = 0

    def set_address(self, family: int, address: bytes, is_v6_only: bool) -> None:
        """Set `address` and `versions` for a socket of `family`; `address` as in its sockaddr."""
        if family == AF_INET:
            self.versions = IP4_BIT
            self.address = b"" if address == ANY4 else address
        elif is_mapped(address):
            self.versions = IP4_BIT
            self.address = b"" if address[12:16] == ANY4 else address[12:16]
        elif address == ANY6:
            self.versions = IP6_BIT if is_v6_only else IP4_BIT | IP6_BIT
            self.address = b""
        else:
            self.versions = IP6_BIT
            self.address = address

    def port_range(self) -> tuple[int, int]:
        """The first and the last port that may be chosen: the system's range, narrowed by the socket's own."""
        low = IP4_SETTINGS.local_ports.of(self.network)
        high = IP4_SETTINGS.local_ports.second_of(self.network)
        first = self.first_port if low <= self.first_port <= high else low
        last = self.last_port if low <= self.last_port <= high else high
        return first, max(first, last)

    def overlaps(self, other: "Binding") -> bool:
        """Whether an address belongs to both, on a device of both."""
        if self.versions & other.versions == 0:
            return False
        if self.device_index != 0 and other.device_index != 0 and self.device_index != other.device_index:
            return False
        return len(self.address) == 0 or len(other.address) == 0 or self.address == other.address


@final
class PortTable:
    """The ports of one protocol."""

    def __init__(self, is_stream: bool) -> None:
        self.is_stream: bool = is_stream  # a listener does not share a port by SO_REUSEADDR
        self.by_port: dict[int, list[Binding]] = {}

    def bind(self, binding: Binding, port: int) -> None:
        """Enter a binding at a port of its choice, or with 0 at a free one. EADDRINUSE also if none is free. The search
        has safe points; EINVAL if another thread has bound the socket meanwhile.
        """
        if port == 0:
            self._bind_free(binding)
            return
        if self.conflicts(binding, port):
            raise Errno(EADDRINUSE)
        self.insert(binding, port)

    def insert(self, binding: Binding, port: int) -> None:
        """Enter a binding without a look at who shares its port. Raises EADDRINUSE for too many, MemoryError, with
        nothing changed.
        """
        bindings = self.by_port.get(port)
        if bindings is None:
            self.by_port[port] = [binding]
        elif len(bindings) >= MOST_SHARING:
            raise Errno(EADDRINUSE)
        else:
            bindings.append(binding)
        binding.port = port

    def remove(self, binding: Binding) -> None:
        """Remove a binding; does nothing for one that is in no table."""
        if binding.port == 0:
            return
        bindings = self.by_port.get(binding.port)
        if bindings is not None and binding in bindings:
            spend(len(bindings) * _SHARED_COST)
            bindings.remove(binding)
            if len(bindings) == 0:
                del self.by_port[binding.port]
        binding.port = 0

    def conflicts(self, binding: Binding, port: int) -> bool:
        """Whether another binding has the port in a way that does not allow sharing it."""
        bindings = self.by_port.get(port)
        if bindings is None:
            return False
        spend(len(bindings) * _SHARED_COST)
        for other in bindings:
            if other is not binding and other.overlaps(binding) and not self._may_share(binding, other):
                return True
        return False

    def _may_share(self, binding: Binding, other: Binding) -> bool:
        if binding.reuse_port and other.reuse_port and not binding.has_port_group:
            if binding.uid == other.uid or other.is_timewait:
                return True
        if not binding.reuse_address or not other.reuse_address:
            return False
        return not self.is_stream or not other.is_listening

    def _bind_free(self, binding: Binding) -> None:
        """Bind to a free port: a random start, then upwards (RFC 6056, section 3.3.1)."""
        first, last = binding.port_range()
        count = last - first + 1
        start = random.word() % count
        for i in range(count):
            port = first + (start + i) % count
            if port not in self.by_port:
                self.insert(binding, port)
                return
            pace_unbound(binding)
        # All ports have an owner: share one, if all agree.
        for i in range(count):
            port = first + (start + i) % count
            if not self.conflicts(binding, port):
                self.insert(binding, port)
                return
            pace_unbound(binding)
        raise Errno(EADDRINUSE)


def listed_ports(by_port: dict[int, list[T]], base: int = 0) -> list[int]:
    """The keys of a table by port; if there are many, by number, with safe points, those from `base` on alone."""
    if len(by_port) <= _FEW_PORTS:
        return list(by_port.keys())
    found: list[int] = []
    for port in range(base, base + _HIGHEST_PORT + 1):
        if port in by_port:
            found.append(port)
        pace(_LIST_COST)
    return found


def pace_unbound(binding: Binding) -> None:
    """A safe point in the search for a port, if it is due. Raises EINVAL for a binding that has got one there."""
    pace(_PORT_COST)
    if binding.port != 0:
        raise Errno(EINVAL)


def check_port_right(network: Network, port: int, who: Credentials) -> None:
    """EACCES for a port that requires CAP_NET_BIND_SERVICE over the network."""
    if 0 < port < IP4_SETTINGS.unprivileged_ports.of(network):
        if not who.capable_in(network.owner, CAP_NET_BIND_SERVICE):
            raise Errno(EACCES)


@final
class Ports(Part):
    """The ports bound in a network."""

    def __init__(self) -> None:
        super().__init__()
        self.tcp: PortTable = PortTable(is_stream=True)
        self.udp: PortTable = PortTable(is_stream=False)
        self.pings4: PortTable = PortTable(is_stream=False)  # identifiers of ICMP
        self.pings6: PortTable = PortTable(is_stream=False)


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.ports = Ports()


register_part(_Maker())


def ports_of(network: Network) -> Ports:
    """The ports bound in a network."""
    part = network.ports
    assert isinstance(part, Ports)
    return part
