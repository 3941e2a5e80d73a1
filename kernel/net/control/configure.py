"""Configuration from the kernel's command line: ip= (docs/kernel-parameters.md), and /proc/net/pnp.

A static configuration is applied at once. With ip=dhcp a kernel thread asks for a lease and keeps it; the boot waits
a while for it, so that the first program finds the network up.

Context: the boot thread, and the thread "dhcp". Both may sleep.
"""

from typing import Final

from kernel.lang import EEXIST, Errno, final, span_of
from kernel.lib import log, random
from kernel.lib.credentials import Credentials
from kernel.lib.proc_files import proc_file
from kernel.net.control.dhcp import CLIENT_PORT, SERVER_PORT, DhcpClient, Lease
from kernel.net.control.interface_ioctl import class_prefix, set_mtu
from kernel.net.datagram import udp
from kernel.net.datagram.udp_socket import UdpSocket
from kernel.net.internet.addresses import (
    ANY4,
    LIMITED_BROADCAST,
    InterfaceAddress,
    add_address,
    broadcast_of,
    delete_address,
    find_on,
    prefix_of_netmask,
)
from kernel.net.internet.output import NextHop, resolve
from kernel.net.internet.routes import BROADCAST, Route, add_route
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice, bring_up, device_by_index, device_by_name
from kernel.net.link.network import FIRST_NETWORK, LOOPBACK
from kernel.net.link.packet import Packet
from kernel.net.proc.tables import dotted
from kernel.net.sockets.socket import AF_INET
from kernel.sched import WaitQueue, spawn_kernel_thread, yield_now
from kernel.task.host import HOST, NAME_LIMIT
from kernel.time import monotonic_ns

_PATIENCE_NS: Final = 12_000_000_000
_SECOND_NS: Final = 1_000_000_000
_FIELDS: Final = 10


@final
class Configuration:
    """What is configured, for /proc/net/pnp, and the threads that wait for it."""

    def __init__(self) -> None:
        self.protocol: bytes = b""
        self.domain: bytes = b""
        self.servers: list[bytes] = []
        self.boot_server: bytes = b""
        self.is_done: bool = False
        self.waiters: WaitQueue = WaitQueue()

    def is_ready(self) -> bool:
        """A call: to a type checker, a flag found false stays false."""
        return self.is_done


_configuration: Final = Configuration()


def parse_address(text: bytes) -> bytes:
    """The IPv4 address of a text a.b.c.d; empty if it is none."""
    parts = text.split(b".")
    if len(parts) != 4:
        return b""
    result = bytearray()
    for part in parts:
        if not 1 <= len(part) <= 3:
            return b""
        value = 0
        for digit in part:
            if not ord("0") <= digit <= ord("9"):
                return b""
            value = value * 10 + digit - ord("0")
        if value > 255:
            return b""
        result.append(value)
    return bytes(result)


def configure(value: bytes) -> None:
    """Apply the value of `ip=`. What cannot be applied is logged. MemoryError."""
    if len(value) == 0:
        return
    fields = value.split(b":")
    while len(fields) < _FIELDS:
        fields.append(b"")
    first = fields[0]
    method = fields[6]
    if value.find(b":") < 0 and len(parse_address(value)) == 0:
        method = first
        first = b""
    if (method == b"off" or method == b"none") and len(first) == 0:
        return
    device = _choose_device(fields[5])
    if device is None:
        log.warn("ip=: there is no such network interface")
        return
    try:
        bring_up(LOOPBACK)
        bring_up(device)
    except Errno as error:
        log.warn(f"ip=: the interface does not go up: error {error.code}")
        return
    address = parse_address(first)
    if len(address) == 4:
        _configure_static(device, address, fields)
    elif method == b"dhcp" or method == b"on" or method == b"any" or len(method) == 0:
        _start_dhcp(device)
    else:
        log.warn("ip=: neither an address nor a method that is known")


def _choose_device(name: bytes) -> NetworkDevice | None:
    """The interface with this name, or the first that is not loopback."""
    if len(name) > 0:
        return device_by_name(FIRST_NETWORK, name)
    for device in FIRST_NETWORK.devices:
        if not device.is_loopback():
            return device
    return None


def _configure_static(device: NetworkDevice, address: bytes, fields: list[bytes]) -> None:
    lease = Lease()
    lease.address = address
    lease.mask = parse_address(fields[3])
    lease.router = parse_address(fields[2])
    lease.host = fields[4]
    for text in (fields[7], fields[8]):
        server = parse_address(text)
        if len(server) == 4:
            lease.servers.append(server)
    lease.server = parse_address(fields[1])
    _configuration.protocol = b"MANUAL"
    _apply(device, lease)


def _apply(device: NetworkDevice, lease: Lease) -> None:
    """Make a lease, or what the command line says, this host's configuration."""
    prefix = prefix_of_netmask(lease.mask) if len(lease.mask) == 4 else class_prefix(lease.address)
    if prefix < 0:
        prefix = class_prefix(lease.address)
    entry = InterfaceAddress(device, lease.address, prefix)
    if prefix < 31:
        entry.broadcast = lease.broadcast if len(lease.broadcast) == 4 else broadcast_of(lease.address, prefix)
    try:
        _take_address(entry)
        if len(lease.router) == 4 and lease.router != ANY4:
            route = Route(ANY4, 0, device)
            route.gateway = lease.router
            add_route(FIRST_NETWORK, route)
        if lease.mtu >= 576 and lease.mtu < device.mtu:
            set_mtu(device, lease.mtu)
    except Errno as error:
        if error.code != EEXIST:
            log.warn(f"ip=: the address cannot be set: error {error.code}")
    if 0 < len(lease.host) <= NAME_LIMIT and HOST.host == b"(none)":
        HOST.host = lease.host
    _configuration.domain = lease.domain
    _configuration.servers = lease.servers
    _configuration.boot_server = lease.server
    name = device.name.decode()
    log.info(f"{name}: address {dotted(lease.address).decode()}/{prefix}")
    ethernet.drain()


def _take_address(entry: InterfaceAddress) -> None:
    """Give the interface an address, unless it has it from a try before, which found no memory for the rest."""
    try:
        add_address(entry)
    except Errno as error:
        if error.code != EEXIST:
            raise


@proc_file("net/pnp")
def pnp() -> bytes:
    """/proc/net/pnp: what a program that writes /etc/resolv.conf wants to know."""
    configuration = _configuration
    if len(configuration.protocol) == 0:
        return b""
    text = bytearray(b"#MANUAL\n" if configuration.protocol == b"MANUAL" else b"#PROTO: DHCP\n")
    if len(configuration.domain) > 0:
        text.extend(b"domain " + configuration.domain + b"\n")
    for server in configuration.servers:
        text.extend(b"nameserver " + dotted(server) + b"\n")
    if len(configuration.boot_server) == 4:
        text.extend(b"bootserver " + dotted(configuration.boot_server) + b"\n")
    return bytes(text)


# ---- DHCP -----------------------------------------------------------------------------------------------------------


def _start_dhcp(device: NetworkDevice) -> None:
    """Start the client's thread, and wait until it has a lease or the waiting time is over."""
    spawn_kernel_thread(b"dhcp", _client, device.index)
    deadline_ns = monotonic_ns() + _PATIENCE_NS
    while not _configuration.is_ready():
        if not _configuration.waiters.sleep_until(deadline_ns, interruptible=False):
            log.warn("ip=dhcp: no answer yet; going on")
            return


def _client(index: int) -> None:
    """Get a lease and keep it, forever or until the card moves to another network."""
    device = device_by_index(FIRST_NETWORK, index)
    if device is None:
        return
    keeper: LeaseKeeper | None = None
    while device.network is FIRST_NETWORK:
        try:
            if keeper is None:
                keeper = _keeper_of(device)
                if keeper is None:
                    return
            keeper.turn()
        except MemoryError:
            yield_now()  # others must run, and free some
    if keeper is not None:
        keeper.socket.release()


def _keeper_of(device: NetworkDevice) -> "LeaseKeeper | None":
    """The client of an interface, at its port; None if that is taken. Raises MemoryError."""
    keeper = LeaseKeeper(device)
    code = 0
    try:
        keeper.socket.take_port(CLIENT_PORT)
    except Errno as error:
        code = error.code
    except MemoryError:
        keeper.socket.release()
        raise
    if code == 0:
        return keeper
    keeper.socket.release()
    log.error(f"dhcp: port {CLIENT_PORT} is taken: error {code}")
    return None


@final
class LeaseKeeper:
    """A client with its socket, and the lease that is in effect."""

    def __init__(self, device: NetworkDevice) -> None:
        self.device: NetworkDevice = device
        self.client: DhcpClient = DhcpClient(device.address, random.word(), monotonic_ns())
        self.held: Lease | None = None
        self.socket: UdpSocket = UdpSocket(AF_INET, Credentials(), FIRST_NETWORK)
        self.socket.bound_device = device.index

    def turn(self) -> None:
        """Send, receive, and put into effect what is due, or sleep until something is. After MemoryError the next turn
        goes on.
        """
        client = self.client
        now_ns = monotonic_ns()
        payload = client.message(now_ns)
        if len(payload) > 0:
            _send(self.device, client, payload)
        packet = self.socket.take_packet()
        if packet is not None:
            client.receive(packet.span(), now_ns)
        if client.lease is not self.held:
            _change(self.device, self.held, client.lease)
            self.held = client.lease
        if packet is None and len(payload) == 0:
            deadline_ns = min(client.due_ns, now_ns + 3600 * _SECOND_NS)
            self.socket.waiters.sleep_until(deadline_ns, interruptible=False)


def _change(device: NetworkDevice, old: Lease | None, new: Lease | None) -> None:
    """The lease changed: exchange the addresses."""
    if old is not None and (new is None or new.address != old.address):
        entry = find_on(device, old.address)
        if entry is not None:
            try:
                delete_address(entry)
            except Errno as error:
                log.warn(f"dhcp: the old address stays: error {error.code}")
    if new is None:
        return
    if old is None or old.address != new.address:
        _configuration.protocol = b"DHCP"
        _apply(device, new)
    _configuration.is_done = True
    _configuration.waiters.wake_all()


def _send(device: NetworkDevice, client: DhcpClient, payload: bytes) -> None:
    target = client.destination()
    packet = Packet(len(payload))
    packet.put(len(payload)).copy_from(span_of(payload))
    try:
        if len(target) == 4:
            hop = resolve(FIRST_NETWORK, target, b"", device.index)
            source = hop.source
        else:
            hop = NextHop(LIMITED_BROADCAST, device, BROADCAST)
            lease = client.lease
            source = ANY4 if lease is None else lease.address
        udp.send(packet, hop, source, CLIENT_PORT, SERVER_PORT, 64, 0, dont_fragment=False)
    except Errno:
        device.traffic.sent_errors += 1  # the next try comes by itself
    ethernet.drain()
